package config

import (
	"encoding/json"
	"math/big"
	"regexp"
	"strings"
)

// The forms of unquoted scalars: the core schema of YAML 1.2.2, section 10.3.2.
var (
	decimalInt = regexp.MustCompile(`^[-+]?[0-9]+$`)
	otherInt   = regexp.MustCompile(`^0(o[0-7]+|x[0-9a-fA-F]+)$`)
	float      = regexp.MustCompile(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`)
	noNumber   = regexp.MustCompile(`^([-+]?\.(inf|Inf|INF)|\.nan|\.NaN|\.NAN)$`)
	// ambiguousInt is decimal in YAML 1.2 and octal in YAML 1.1.
	ambiguousInt = regexp.MustCompile(`^[-+]?0[0-9]+$`)
	jsonNumber   = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)
)

func isNullText(text string) bool {
	return text == "" || text == "~" || text == "null" || text == "Null" || text == "NULL"
}

func isBoolText(text string) (value, ok bool) {
	switch text {
	case "true", "True", "TRUE":
		return true, true
	case "false", "False", "FALSE":
		return false, true
	default:
		return false, false
	}
}

// scalar resolves a scalar to text, json.Number, bool or nil.
func (n *Node) scalar() any {
	if n.quoted || n.vars {
		return n.text
	}
	if isNullText(n.text) {
		return nil
	}
	if value, ok := isBoolText(n.text); ok {
		return value
	}
	if number, ok := numberText(n.text); ok {
		return number
	}
	return n.text
}

// numberText returns the number that an unquoted scalar is, as JSON writes it
// and without loss.
func numberText(text string) (json.Number, bool) {
	switch {
	case jsonNumber.MatchString(text):
		return json.Number(text), true
	case otherInt.MatchString(text), decimalInt.MatchString(text):
		base := 10
		if otherInt.MatchString(text) {
			base = 0
		}
		value, ok := new(big.Int).SetString(text, base)
		if !ok {
			return "", false
		}
		return json.Number(value.String()), true
	case float.MatchString(text):
		return json.Number(jsonFloat(text)), true
	default:
		return "", false
	}
}

// jsonFloat rewrites a YAML float such as +.5 or 5.e3 as JSON has it.
func jsonFloat(text string) string {
	text = strings.TrimPrefix(text, "+")
	sign := ""
	if rest, ok := strings.CutPrefix(text, "-"); ok {
		sign, text = "-", rest
	}
	digits, exponent := text, ""
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		digits, exponent = text[:i], text[i:]
	}
	whole, fraction, _ := strings.Cut(digits, ".")
	whole = strings.TrimLeft(whole, "0")
	if whole == "" {
		whole = "0"
	}
	if fraction != "" {
		fraction = "." + fraction
	}
	return sign + whole + fraction + exponent
}

// unclear says why an unquoted scalar may not stand where any value may, or
// returns an empty text.
func (n *Node) unclear() string {
	switch {
	case n.kind != scalarNode || n.quoted || n.vars:
		return ""
	case ambiguousInt.MatchString(n.text):
		return "a number cannot begin with 0: put " + quoteShort(n.raw) + " in quotes if it is text"
	case noNumber.MatchString(n.text):
		return quoteShort(n.raw) + " has no form in JSON: put it in quotes if it is text"
	default:
		return ""
	}
}
