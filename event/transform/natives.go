package transform

import (
	"errors"
	"math"

	"github.com/itchyny/gojq"
)

// options are what an expression is compiled with: the functions that a guard
// has put into it. Each gives its input on as it is, or an error.
func options(patterns []*pattern) []gojq.CompilerOption {
	paying := func(name string, args int, pay func(m *meter, in any, args []any) error) gojq.CompilerOption {
		return gojq.WithFunction(name, args+1, args+1, func(in any, all []any) any {
			if err := pay(all[0].(*meter), in, all[1:]); err != nil {
				return err
			}
			return in
		})
	}
	return []gojq.CompilerOption{
		gojq.WithVariables([]string{varMeter}),
		paying(callShallow, 1, func(m *meter, in any, args []any) error { return m.pay(shallow(in) * int64(args[0].(int))) }),
		paying(callDeep, 1, func(m *meter, in any, args []any) error { return m.payDeep(in, int64(args[0].(int))) }),
		paying(callPair, 3, func(m *meter, _ any, args []any) error { return m.payPair(args[0].(string), args[1], args[2]) }),
		paying(callEach, 1, func(m *meter, in any, args []any) error { return m.payEachOf(in, args[0]) }),
		paying(callGrow, 1, func(m *meter, in any, args []any) error { return m.payGrowth(in, args[0].([]any)) }),
		paying(callMatch, 1, func(m *meter, in any, args []any) error { return m.payMatch(in, patterns[args[0].(int)]) }),
		paying(callDigits, 1, func(m *meter, in any, _ []any) error {
			text, _ := in.(string)
			return m.pay(digits(len(text)))
		}),
		paying(callFixed, 1, func(m *meter, _ any, args []any) error { return m.pay(int64(args[0].(int))) }),
		gojq.WithFunction(callKey, 0, 0, func(in any, _ []any) any {
			switch in.(type) {
			case []any, map[string]any:
				return errors.New("a key is a text or a number, not an array or an object")
			}
			return in
		}),
	}
}

// payEachOf pays for a function that may compare each part of its input with
// each of its argument: bytes of texts, or elements.
func (m *meter) payEachOf(in, argument any) error {
	times := int64(1)
	switch argument := argument.(type) {
	case string:
		times += int64(len(argument)) / 16
		if list, ok := in.([]any); ok { // join: the text stands between all
			if err := m.pay(int64(len(list)) * int64(len(argument))); err != nil {
				return err
			}
			times = 8
		}
	case []any:
		times += int64(len(argument))
		if err := m.payDeep(argument, 1); err != nil {
			return err
		}
	case map[string]any:
		times += int64(len(argument))
		if err := m.payDeep(argument, 1); err != nil {
			return err
		}
	}
	return m.payDeep(in, times)
}

// payGrowth pays for the elements that an update at these paths adds to arrays.
func (m *meter) payGrowth(in any, paths []any) error {
	for _, path := range paths {
		keys, ok := path.([]any)
		if !ok {
			continue // jq says what is wrong
		}
		at := in
		for _, key := range keys {
			next, grows := step(at, key)
			if grows > 0 {
				if err := m.pay(16 * int64(min(grows, math.MaxInt32))); err != nil {
					return err
				}
			}
			at = next
		}
	}
	return nil
}

// step returns what is at a key, and by how much an array grows that is set
// there.
func step(at, key any) (next any, grows float64) {
	if name, ok := key.(string); ok {
		object, _ := at.(map[string]any)
		return object[name], 0
	}
	i, ok := toFloat(key)
	if !ok {
		return nil, 0
	}
	list, _ := at.([]any)
	switch {
	case i >= float64(len(list)):
		return nil, i - float64(len(list)) + 1
	case i < 0 && -i <= float64(len(list)):
		return list[len(list)+int(math.Floor(i))], 0
	case i >= 0:
		return list[int(i)], 0
	}
	return nil, 0
}
