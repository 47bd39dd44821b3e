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
	if len(text) <= 16 && strings.Contains(text, ".") && !strings.ContainsAny(text, "eE") {
		return f, true // no two numbers of up to 15 digits have the same float
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
	a, b = da.digits, db.digits
	for a != "" && b != "" {
		if a[0] != b[0] {
			return false
		}
		a, b = nextDigits(a), nextDigits(b)
	}
	return a == b
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
		mantissa = text[:i]
		exponent, d.valid = parseExponent(text[i+1:])
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

// parseExponent is strconv.Atoi without an error, which would make garbage of
// every number that is read.
func parseExponent(text string) (n int, valid bool) {
	digits := strings.TrimLeft(text, "+-")
	for i := range len(digits) {
		if n = 10*n + int(digits[i]-'0'); n > 1<<50 {
			return 0, false
		}
	}
	if strings.HasPrefix(text, "-") {
		n = -n
	}
	return n, true
}

// empty tells whether the number is zero.
func (d *decimal) empty() bool { return d.digits == "" }

// nextDigits are those behind the first.
func nextDigits(digits string) string { return strings.TrimPrefix(digits[1:], ".") }
