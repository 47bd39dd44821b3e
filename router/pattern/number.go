package pattern

import (
	"strconv"
	"strings"
)

// comparable64 returns the value of a JSON number if a 64-bit float holds it
// exactly, which is: if the shortest decimal that reads back as that float is
// the number itself. Other numbers have no place on the number line of
// patterns; they equal only their own spelling.
func comparable64(text string) (float64, bool) {
	if n, ok := smallInteger(text); ok {
		return n, true
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, false
	}
	var buffer [32]byte
	shortest := strconv.AppendFloat(buffer[:0], f, 'e', -1, 64)
	if !sameDecimal(text, string(shortest)) {
		return 0, false
	}
	return f, true
}

// smallInteger is the fast way for what most numbers are.
func smallInteger(text string) (float64, bool) {
	digits := strings.TrimPrefix(text, "-")
	if len(digits) == 0 || len(digits) > 15 {
		return 0, false
	}
	var n int64
	for i := range len(digits) {
		c := digits[i]
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	if len(digits) < len(text) {
		n = -n
	}
	return float64(n), true
}

// sameDecimal tells whether two JSON numbers have the same value, by comparing
// sign, significant digits and exponent.
func sameDecimal(a, b string) bool {
	da, db := parseDecimal(a), parseDecimal(b)
	if da.empty() || db.empty() {
		return da.empty() && db.empty()
	}
	if da.negative != db.negative || da.point != db.point || !da.valid || !db.valid {
		return false
	}
	for {
		ca, moreA := da.next()
		cb, moreB := db.next()
		if ca != cb || moreA != moreB {
			return false
		}
		if !moreA {
			return true
		}
	}
}

// A decimal is 0.d1d2d3… times ten to the power of point, without zeros at
// either end of the digits.
type decimal struct {
	negative bool
	valid    bool
	digits   string // may hold one dot
	point    int
}

func parseDecimal(text string) decimal {
	d := decimal{valid: true}
	text, d.negative = strings.TrimPrefix(text, "-"), strings.HasPrefix(text, "-")
	mantissa, exponent := text, 0
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		var err error
		mantissa = text[:i]
		exponent, err = strconv.Atoi(strings.TrimPrefix(text[i+1:], "+"))
		d.valid = err == nil
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	whole = strings.TrimLeft(whole, "0")
	fraction = strings.TrimRight(fraction, "0")
	d.point = len(whole) + exponent
	switch {
	case whole == "":
		trimmed := strings.TrimLeft(fraction, "0")
		d.point = exponent - (len(fraction) - len(trimmed))
		d.digits = trimmed
	case fraction == "":
		d.digits = strings.TrimRight(whole, "0")
	default:
		d.digits = mantissa[strings.Index(mantissa, whole) : len(whole)+1+len(fraction)+strings.Index(mantissa, whole)]
	}
	return d
}

// empty tells whether the number is zero.
func (d *decimal) empty() bool { return d.digits == "" }

func (d *decimal) next() (byte, bool) {
	d.digits = strings.TrimPrefix(d.digits, ".")
	if d.digits == "" {
		return 0, false
	}
	c := d.digits[0]
	d.digits = d.digits[1:]
	return c, true
}
