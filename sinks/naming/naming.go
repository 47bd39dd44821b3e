// Package naming is what sinks have in common that write deliveries under names:
// keys of objects, paths of files. It says which deliveries go together, and
// makes names that a repeat of them has too.
package naming

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"strings"
	"sync"
	"unicode/utf8"

	"sluice/event"
	"sluice/event/transform"
	"sluice/sinks"
)

// What templates of names see beside the event's own attributes and
// sinks.AttributeDelivery. Nothing of it changes from attempt to attempt.
const (
	// AttributeTrigger is the name of the trigger.
	AttributeTrigger = "sluicetrigger"
	// AttributeBatch is a hash of the ids of the deliveries that go together.
	AttributeBatch = "sluicebatch"
)

// Unique tells whether the template's text names what it is for: two batches
// never have the same name.
func Unique(text string) bool {
	return strings.Contains(text, AttributeBatch) || strings.Contains(text, sinks.AttributeDelivery)
}

// Folder is the beginning of default names: the trigger, and the day of the
// event.
const Folder = `{{ .` + AttributeTrigger + ` }}/{{ .time[:10] // "undated" }}/`

// Groups returns the indexes of the deliveries that have the same name, but for
// AttributeBatch, in the order of the first of each. Those whose name cannot be
// made are added to failed; key is the template's in the file.
func Groups(ctx context.Context, turns *transform.Turns, key string, name *transform.Template, a *sinks.Attempt, failed *Failures) [][]int {
	var all [][]int
	place := map[string]int{}
	for i := range a.Deliveries {
		var text string
		err := sinks.Fill(ctx, turns, Event(a, &a.Deliveries[i], ""), func(ctx context.Context, in *transform.Input) (err error) {
			text, err = name.Text(ctx, in, nil)
			return Keyed(key, err)
		})
		if err != nil {
			failed.Add(err, i)
			continue
		}
		at, found := place[text]
		if !found {
			at = len(all)
			place[text], all = at, append(all, nil)
		}
		all[at] = append(all[at], i)
	}
	return all
}

// Keyed names the key of the file to which an error belongs, if there is one.
func Keyed(key string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", key, err)
}

// Event returns the event of a delivery as templates of names see it.
func Event(a *sinks.Attempt, d *sinks.Delivery, batch string) *event.Event {
	e := *d.Event
	e.Extensions = make(map[string]any, len(d.Event.Extensions)+3)
	maps.Copy(e.Extensions, d.Event.Extensions)
	e.Extensions[sinks.AttributeDelivery], e.Extensions[AttributeTrigger], e.Extensions[AttributeBatch] = d.ID, a.Trigger, batch
	return &e
}

// Batch returns AttributeBatch: 32 hexadecimal digits, the same for the same
// deliveries.
func Batch(deliveries []*sinks.Delivery) string {
	hash := sha256.New()
	for _, d := range deliveries {
		hash.Write([]byte(d.ID + "\n"))
	}
	return hex.EncodeToString(hash.Sum(nil)[:16])
}

// Check refuses names that are over a number of bytes, and those that mean
// something else than they say.
func Check(name string, most int) error {
	switch {
	case len(name) > most:
		return fmt.Errorf("it makes a name of %d bytes, at most %d", len(name), most)
	case !utf8.ValidString(name):
		return fmt.Errorf("it makes %q, which is not UTF-8", name)
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("it makes %q, which has a control character", name)
	}
	for segment := range strings.SplitSeq(name, "/") {
		switch segment {
		case "":
			return fmt.Errorf(`it makes %q, which has nothing before, between or after slashes; write what stands there then, as in .subject // "none"`, name)
		case ".", "..":
			return fmt.Errorf("it makes %q, which has the segment %q", name, segment)
		}
	}
	return nil
}

// Failures are what has failed of an attempt. They may be used by many goroutines
// at once.
type Failures struct {
	mu  sync.Mutex
	all map[int]error
}

// Add notes why the deliveries with these indexes have failed; nil is nothing.
func (f *Failures) Add(err error, indexes ...int) {
	if err == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all == nil {
		f.all = map[int]error{}
	}
	for _, i := range indexes {
		f.all[i] = err
	}
}

// Settle returns the error of an attempt of so many deliveries: that of all of
// them when they have failed together, or a *sinks.PartialError.
func (f *Failures) Settle(deliveries int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.all) == 0 {
		return nil
	}
	together := len(f.all) == deliveries
	for _, err := range f.all {
		together = together && err == f.all[0] //nolint:errorlint // the very same one
	}
	if together {
		return f.all[0]
	}
	return &sinks.PartialError{Failed: f.all}
}
