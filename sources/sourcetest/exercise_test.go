package sourcetest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/event"
	"sluice/sources"
	"sluice/sources/sourcetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A tape is an upstream of things that can be read again from any position.
type tape struct {
	mu      sync.Mutex
	changed chan struct{}
	length  int
	rewound int // a reader beyond it reads from here once more; -1 for none
	acked   map[int]bool
}

func newTape() *tape { return &tape{changed: make(chan struct{}), rewound: -1, acked: map[int]bool{}} }

func (t *tape) send(_ context.Context, n int) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.length += n
	t.signal()
	return nil
}

func (t *tape) again(context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rewound = 0
	t.signal()
	return nil
}

func (t *tape) signal() {
	close(t.changed)
	t.changed = make(chan struct{})
}

func (t *tape) ack(position int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.acked[position] = true
}

func (t *tape) countAcked() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.acked)
}

// next waits for the thing at position, or at an earlier one after a rewind.
func (t *tape) next(ctx context.Context, position int) (int, error) {
	for {
		t.mu.Lock()
		if t.rewound >= 0 {
			position, t.rewound = t.rewound, -1
		}
		ready, changed := position < t.length, t.changed
		t.mu.Unlock()
		if ready {
			return position, nil
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-changed:
		}
	}
}

// number is that of the thing that an event was made from.
func number(e *event.Event) int {
	n, _ := strconv.Atoi(e.ID)
	return n
}

// keys is how many partition keys there are.
const keys = 2

// A reader is a source that reads a tape; flaw is what is wrong with it.
type reader struct {
	tape *tape
	flaw string
	mu   sync.Mutex
	made int
}

func (r *reader) Run(ctx context.Context, out sources.Out) error {
	cursor, err := out.Cursor(ctx, "tape")
	if err != nil {
		return err
	}
	position, _ := strconv.Atoi(string(cursor))
	switch r.flaw {
	case "starts at the end":
		position = r.tape.length
	case "starts at the beginning":
		position = 0
	case "says nothing":
		<-ctx.Done()
		return nil
	case "cannot work":
		return errors.New("no such tape")
	}
	if r.flaw == "leaks" {
		go func() { <-make(chan struct{}) }()
	}
	for {
		if position, err = r.tape.next(ctx, position); err != nil {
			return r.end(err)
		}
		if r.step(ctx, out, position) {
			position++
		}
		if ctx.Err() != nil {
			return r.end(ctx.Err())
		}
	}
}

func (r *reader) end(err error) error {
	switch r.flaw {
	case "returns the context's error":
		return err
	case "does not stop":
		<-time.After(sourcetest.StopWithin + 2*time.Second)
	}
	return nil
}

// step publishes one thing and tells whether to go on to the next.
func (r *reader) step(ctx context.Context, out sources.Out, position int) bool {
	id := strconv.Itoa(position)
	if r.flaw == "mixes order" {
		id = strconv.Itoa(position ^ 2*keys)
	}
	if r.flaw == "makes ids up" {
		r.mu.Lock()
		r.made++
		id = fmt.Sprintf("%d-%d-%d", position, r.made, time.Now().UnixNano())
		r.mu.Unlock()
	}
	if r.flaw == "acks early" {
		r.tape.ack(position)
	}
	key := strconv.Itoa(position % keys)
	e := event.Event{ID: id, Source: "/tape", Type: "made", Extensions: map[string]any{"partitionkey": key}}
	if r.flaw == "makes invalid events" {
		e.Type = ""
	}
	err := out.PublishAt(ctx, "tape", []byte(strconv.Itoa(position+1)), e)
	if err != nil && r.flaw != "goes on after a failure" {
		return false
	}
	r.tape.ack(position)
	return true
}

func fixture(flaw string) sourcetest.Fixture {
	wrong := func(testing.TB, sources.Env) sources.Source {
		if flaw == "" {
			return &reader{tape: newTape(), flaw: "cannot work"}
		}
		return &reader{tape: newTape(), flaw: flaw}
	}
	return sourcetest.Fixture{Start: func(testing.TB) sourcetest.Upstream {
		t := newTape()
		return sourcetest.Upstream{
			Source: func(testing.TB) sources.Source { return &reader{tape: t, flaw: flaw} },
			Send:   t.send,
			Again:  t.again,
			Acked:  t.countAcked,
			Keeps:  true,
			Exact:  true,
			Number: number,
			Wrong:  []sourcetest.Wrong{{Name: "no tape", Want: "no such tape", Source: wrong}},
		}
	}}
}

func TestASoundSourcePasses(t *testing.T) {
	sourcetest.Exercise(t, fixture(""))
}

// child is set in the process that runs the suite on a flawed source.
const child = "SLUICE_TEST_FLAW"

func TestFlawedSource(t *testing.T) {
	flaw := os.Getenv(child)
	if flaw == "" {
		t.Skip("runs in a process of its own")
	}
	sourcetest.Exercise(t, fixture(flaw))
}

// The suite is no good unless it catches these.
func TestFlawedSourcesAreCaught(t *testing.T) {
	cases := []struct{ flaw, caught string }{
		{"acks early", "I1:_no_early_ack"},
		{"goes on after a failure", "I1:_no_early_ack"},
		{"makes ids up", "I5:_same_id_twice"},
		{"starts at the end", "restart"},
		{"starts at the beginning", "restart"},
		{"mixes order", "order_per_key"},
		{"says nothing", "wrong_settings"},
		{"does not stop", "stops_while_idle"},
		{"returns the context's error", "stops_while_idle"},
		{"leaks", "stops_while_idle"},
		{"makes invalid events", "delivers_all"},
	}
	for _, c := range cases {
		t.Run(c.flaw, func(t *testing.T) {
			t.Parallel()
			command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFlawedSource$/^"+c.caught+"$", "-test.v", "-test.timeout=6s")
			command.Env = append(os.Environ(), child+"="+c.flaw)
			output, err := command.CombinedOutput()
			text := string(output)
			if err == nil || strings.Contains(text, "panic:") || !strings.Contains(text, "--- FAIL: TestFlawedSource/"+c.caught) {
				t.Errorf("the suite does not catch it: %v\n%s", err, text)
			}
		})
	}
}
