package bus

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// blockTimes returns for how long the server keeps the blocks that it begins from
// now on of a stream, and those that there are.
func blockTimes(t *testing.T, s *server.Server, name string) (next time.Duration, blocks []time.Duration) {
	t.Helper()
	store := must(find(must(streamOf(s, name))(t), "store"))(t)
	next = *must(setting[time.Duration](must(find(store, "fcfg"))(t), "CacheExpire"))(t)
	all := must(find(store, "blks"))(t)
	for i := range all.Len() {
		blocks = append(blocks, *must(setting[time.Duration](all.Index(i), "cexp"))(t))
	}
	return next, blocks
}

// TestBlocksAreForgotten shows that the server has the setting where it is looked
// for, and that the blocks of the log and of objects go by it, and no others: also
// those of a server that is started on streams that exist. It fails with a server
// that has the setting elsewhere.
func TestBlocksAreForgotten(t *testing.T) {
	const byItself = 10 * time.Second // so nats-server has it
	b := must(Open(t.Context(), small(t)))(t)
	for _, e := range samples("e", 45) { // with 200 KiB each more than a block of 8 MiB
		check(t, b.Source("web").Publish(limited(t), sized(e.ID, 200<<10)))
	}
	times := map[string]time.Duration{
		b.names.Events: cacheFor, b.names.Objects: cacheFor, b.names.Ledger: byItself, b.names.Letters: byItself,
	}
	for name, want := range times {
		next, _ := blockTimes(t, running(b), name)
		equal(t, name, next, want)
	}
	_, blocks := blockTimes(t, running(b), b.names.Events)
	equal(t, "blocks", len(blocks), 2)
	equal(t, "the second block", blocks[1], cacheFor)
	shut(t, b)
	again := must(startEmbedded(b.options, b.names))(t)
	next, _ := blockTimes(t, must(again.current())(t), b.names.Events)
	equal(t, "after a restart", next, cacheFor)
	check(t, again.stop(limited(t)))
}

// TestAnotherServer shows that what is not as expected is told, and left alone.
func TestAnotherServer(t *testing.T) {
	type stored struct{ Name int }
	for want, given := range map[string]any{
		`no field "Other"`:           stored{},
		`"Name" is a int, not a `:    &stored{},
		`no field "Name" in invalid`: (*stored)(nil),
	} {
		v, name := reflect.ValueOf(given), "Name"
		if strings.Contains(want, "Other") {
			name = "Other"
		}
		if _, err := setting[time.Duration](v, name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", given, err, want)
		}
	}
}
