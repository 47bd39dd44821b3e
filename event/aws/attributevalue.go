package aws

import (
	"encoding/json"
	"fmt"
)

// maxNesting is how deep lists and maps of an item may nest, which is the
// service's own limit.
const maxNesting = 32

// checkItem tells whether JSON is a map of attribute values, or absent.
func checkItem(raw json.RawMessage) error { return checkMap(raw, 0) }

func checkMap(raw json.RawMessage, depth int) error {
	if len(raw) == 0 {
		return nil
	}
	var values map[string]json.RawMessage
	if err := json.Unmarshal(raw, &values); err != nil || values == nil {
		return fmt.Errorf(" is %s: want an object of attribute values", brief(string(raw)))
	}
	for name, value := range values {
		if err := checkValue(value, depth+1); err != nil {
			return fmt.Errorf(".%s%w", name, err)
		}
	}
	return nil
}

// checkValue tells whether JSON is one attribute value: an object with one
// member, whose name is the type.
func checkValue(raw json.RawMessage, depth int) error {
	if depth > maxNesting {
		return fmt.Errorf(" nests deeper than %d", maxNesting)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil || len(members) != 1 {
		return fmt.Errorf(" is %s: want one attribute value such as {%q: …}", brief(string(raw)), "S")
	}
	for kind, value := range members {
		switch kind {
		case "M":
			return checkMap(value, depth)
		case "L":
			return checkList(value, depth)
		}
		if into := valueOf(kind); into == nil || string(value) == "null" || json.Unmarshal(value, into) != nil {
			return fmt.Errorf(" is %s: want one attribute value such as {%q: …}", brief(string(raw)), "S")
		}
	}
	return nil
}

func checkList(raw json.RawMessage, depth int) error {
	var values []json.RawMessage
	if err := json.Unmarshal(raw, &values); err != nil {
		return fmt.Errorf(" is %s: want a list of attribute values", brief(string(raw)))
	}
	for i, value := range values {
		if err := checkValue(value, depth+1); err != nil {
			return fmt.Errorf("[%d]%w", i, err)
		}
	}
	return nil
}

// valueOf returns what a value of a type is read into, or nil.
func valueOf(kind string) any {
	switch kind {
	case "S", "N":
		return new(string)
	case "B":
		return new([]byte)
	case "BOOL", "NULL":
		return new(bool)
	case "SS", "NS":
		return new([]string)
	case "BS":
		return new([][]byte)
	}
	return nil
}
