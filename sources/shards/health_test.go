package shards

import (
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// A loss is told for an hour, also when its shard ends at once, and beside it what
// is wrong now.
func TestALossIsToldForAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := ""
		h := newHealth(&Options{Logger: slog.New(slog.DiscardHandler), Report: func(err error) {
			if told = ""; err != nil {
				told = err.Error()
			}
		}})
		want := func(text string) {
			t.Helper()
			if told != text {
				t.Errorf("it tells %q; want %q", told, text)
			}
		}
		h.lost("a", errors.New("records are lost"))
		h.set("a", nil) // it has ended
		want("shard a: records are lost")
		h.set("b", errors.New("throttled"))
		want("shard a: records are lost (and 1 more with problems)")
		h.set("a", errors.New("the bus is full"))
		want("shard a: the bus is full (and 1 more with problems)")
		h.set("a", nil)
		h.set("b", nil)
		want("shard a: records are lost")
		time.Sleep(lossShown)
		h.set("b", nil)
		want("shard a: records are lost")
		time.Sleep(time.Second)
		h.set("b", nil)
		want("")
	})
}
