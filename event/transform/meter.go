package transform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// The errors of evaluations that take too much.
var (
	// ErrHungry means that an expression would take more steps and memory than it
	// may. It would with every attempt.
	ErrHungry = errors.New("it takes too many steps or too much memory")
	// ErrSlow means that an evaluation took longer than MaxTime.
	ErrSlow = fmt.Errorf("it takes longer than %v", MaxTime)

	errDeep = fmt.Errorf("a value is nested deeper than %d", maxDepth)
)

// A meter is the context of one evaluation. gojq asks for Done before each
// instruction, and always on the same goroutine: so it counts them.
type meter struct {
	context.Context //nolint:containedctx // it is one itself
	left            int64
	until           time.Time
	steps           uint
	err             error // why the evaluation has to end
	over            chan struct{}
}

func newMeter(ctx context.Context, inputSize int) *meter {
	over := make(chan struct{})
	close(over)
	return &meter{
		Context: ctx, left: budget + budgetPerByte*int64(inputSize), until: time.Now().Add(MaxTime), over: over,
	}
}

// Done is closed when the evaluation has to end.
func (m *meter) Done() <-chan struct{} {
	m.steps++
	m.left -= stepCost
	if m.left < 0 || m.steps%1024 == 0 {
		m.check()
	}
	if m.err != nil {
		return m.over
	}
	return nil
}

// Err returns why the evaluation has to end.
func (m *meter) Err() error { return m.err }

func (m *meter) check() {
	switch {
	case m.err != nil:
	case m.left < 0:
		m.err = ErrHungry
	case m.Context.Err() != nil:
		m.err = m.Context.Err()
	case time.Now().After(m.until):
		m.err = ErrSlow
	}
}

// pay takes a price off the budget, and returns an error when it is not there.
func (m *meter) pay(price int64) error {
	m.left -= price
	if m.left < 0 || price > 4096 {
		m.check()
	}
	return m.err
}

// payDeep pays for going through a value, factor times.
func (m *meter) payDeep(v any, factor int64) error {
	w := weigher{left: m.left/max(1, factor) + 1}
	w.add(v, 0)
	if w.deep {
		m.err = errDeep
		return m.err
	}
	return m.pay(w.spent * factor)
}

// A weigher adds up what a value takes, each part as often as it is reached. It
// stops once it is over what is left.
type weigher struct {
	spent, left int64
	deep        bool
}

func (w *weigher) add(v any, depth int) {
	w.spent += shallow(v)
	if depth > maxDepth {
		w.deep = true
		return
	}
	switch v := v.(type) {
	case []any:
		for i := 0; i < len(v) && w.spent <= w.left && !w.deep; i++ {
			w.add(v[i], depth+1)
		}
	case map[string]any:
		for key, value := range v {
			if w.spent > w.left || w.deep {
				return
			}
			w.spent += int64(len(key))
			w.add(value, depth+1)
		}
	}
}

// shallow returns what a value takes without those in it.
func shallow(v any) int64 {
	switch v := v.(type) {
	case string:
		return 16 + int64(len(v))
	case []any:
		return 32 + 16*int64(len(v))
	case map[string]any:
		return 64 + 64*int64(len(v))
	case *big.Int:
		return digits(v.BitLen() / 3)
	case json.Number:
		return digits(len(v))
	default:
		return 16
	}
}

// digits is the price of a number of so many digits: working with it takes more
// than it is long.
func digits(n int) int64 { return 16 + int64(n)*int64(n)/16 }

// payPair pays for an operator before it is applied.
func (m *meter) payPair(operator string, left, right any) error {
	switch operator {
	case "*":
		return m.payProduct(left, right)
	case "-":
		if a, ok := left.([]any); ok {
			if b, ok := right.([]any); ok {
				return m.payEach(a, b)
			}
		}
	case "/":
		if text, ok := left.(string); ok {
			return m.pay(48 * shallow(text))
		}
	}
	return m.pay(shallow(left) + shallow(right))
}

// payProduct pays for a repeated text, for objects that are merged, and for the
// product of large numbers.
func (m *meter) payProduct(left, right any) error {
	if _, ok := right.(string); ok {
		left, right = right, left
	}
	if text, ok := left.(string); ok {
		n, _ := toFloat(right)
		if n > 1 {
			return m.pay(int64(min(n*float64(len(text)+16), 1<<60)))
		}
		return m.pay(shallow(text))
	}
	if _, ok := left.(map[string]any); ok {
		return errors.Join(m.payDeep(left, 1), m.payDeep(right, 1))
	}
	return m.pay(digits(int((shallow(left) + shallow(right)) / 4)))
}

// payEach pays for comparing each with each.
func (m *meter) payEach(a, b []any) error {
	if err := m.payDeep(a, max(1, int64(len(b)))); err != nil {
		return err
	}
	return m.payDeep(b, 1)
}

func toFloat(v any) (float64, bool) {
	switch v := v.(type) {
	case int:
		return float64(v), true
	case float64:
		return v, true
	case *big.Int:
		f, _ := new(big.Float).SetInt(v).Float64()
		return f, true
	case json.Number:
		f, err := v.Float64()
		return f, err == nil || f != 0
	}
	return 0, false
}
