package router

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"sluice/event"
	"sluice/router/core"
	"sluice/router/ledger"
	"sluice/router/pattern"
)

// Keys are the fields by which the limits of a trigger tell events apart; a limit
// without fields does not.
type Keys struct{ Concurrency, Rate, Debounce, Batch []pattern.Field }

// longestKey is how many bytes of a key are kept; a longer one is hashed.
const longestKey = 64

// A keying finds the keys of the events of one trigger.
type keying struct {
	ordered bool
	fields  [4][]pattern.Field // as in Keys
	specs   [4]string          // of each
}

// keying returns nil when the trigger needs no keys.
func (t *Trigger) keying() *keying {
	k := &keying{ordered: t.Flow.Ordered, fields: [4][]pattern.Field{t.Keys.Concurrency, t.Keys.Rate, t.Keys.Debounce, t.Keys.Batch}}
	needed := k.ordered
	for i, fields := range k.fields {
		needed = needed || len(fields) > 0
		for _, f := range fields {
			k.specs[i] += fmt.Sprintf("%q", []string(f))
		}
	}
	if !needed {
		return nil
	}
	return k
}

// spec stands for how keys are found.
func (k *keying) spec() string {
	if k == nil {
		return ""
	}
	return fmt.Sprintf("%v %s", k.ordered, strings.Join(k.specs[:], " "))
}

// of finds the keys of an event. The document's LoadError must be asked
// afterwards.
func (k *keying) of(e *event.Event, doc *pattern.Doc) *core.Keys {
	var found [4]string
	for i, fields := range k.fields {
		switch same := slices.Index(k.specs[:i], k.specs[i]); {
		case len(fields) == 0:
		case same >= 0:
			found[i] = found[same]
		default:
			found[i] = keyOf(doc, fields)
		}
	}
	keys := &core.Keys{Concurrency: found[0], Rate: found[1], Debounce: found[2], Batch: found[3]}
	if k.ordered {
		keys.Order = short([]byte(e.PartitionKey()))
	}
	return keys
}

// keyOf returns the values of fields as one text.
func keyOf(doc *pattern.Doc, fields []pattern.Field) string {
	var text []byte
	for i, f := range fields {
		if i > 0 {
			text = append(text, ',')
		}
		text = doc.AppendValue(text, f)
	}
	return short(text)
}

// short keeps what stays in memory within bounds.
func short(text []byte) string {
	if len(text) <= longestKey {
		return string(text)
	}
	hash := sha256.Sum256(text)
	return hex.EncodeToString(hash[:])
}

// keysOf returns the keys of an entry for each of the triggers that it goes to,
// or nil when none needs any. A panic in our own code makes it a letter, not a
// crash (invariant I7).
func (t *table) keysOf(e *event.Entry, doc *pattern.Doc, numbers []uint32) (keys []*core.Keys, err error) {
	if len(t.keyings) == 0 {
		return nil, nil
	}
	defer func() {
		if p := recover(); p != nil {
			e.Err = fmt.Errorf("finding the keys of the event panicked: %v", p)
			keys, err = nil, nil
		}
	}()
	for i, number := range numbers {
		k := t.keyings[number]
		if k == nil {
			continue
		}
		if keys == nil {
			keys = make([]*core.Keys, len(numbers))
		}
		if doc == nil {
			doc = pattern.FromEvent(e.Event)
		}
		keys[i] = k.of(e.Event, doc)
	}
	if doc == nil {
		return nil, nil
	}
	return keys, doc.LoadError()
}

// identify answers the core's requests for keys.
func (u *run) identify(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case wanted := <-u.identities:
			u.persist(ctx, "keys", func() error { return u.identifyOnce(ctx, wanted.Deliveries) })
		}
	}
}

// identifyMost is how many events are looked at together.
const identifyMost = 256

func (u *run) identifyOnce(ctx context.Context, deliveries []ledger.Key) error {
	t := u.configured.Load()
	answer := core.Identified{Version: t.version, Keys: make(map[ledger.Key]*core.Keys, len(deliveries))}
	for len(deliveries) > 0 {
		some := deliveries[:min(len(deliveries), identifyMost)]
		deliveries = deliveries[len(some):]
		if err := u.identifySome(ctx, t, some, answer.Keys); err != nil {
			return err
		}
	}
	u.inbox.put(answer)
	return nil
}

// identifySome finds the keys of deliveries, which are in the order of their
// sequences.
func (u *run) identifySome(ctx context.Context, t *table, deliveries []ledger.Key, keys map[ledger.Key]*core.Keys) error {
	sequences := make([]uint64, len(deliveries))
	for i, d := range deliveries {
		sequences[i] = d.Sequence
	}
	entries, err := u.options.Log.Fetch(ctx, slices.Compact(sequences))
	if err != nil {
		return err
	}
	for _, e := range entries {
		doc := t.doc(e, u.loader(ctx))
		at, _ := slices.BinarySearchFunc(deliveries, e.Sequence, func(d ledger.Key, sequence uint64) int {
			return cmp.Compare(d.Sequence, sequence)
		})
		for ; at < len(deliveries) && deliveries[at].Sequence == e.Sequence; at++ {
			found, err := t.keysOf(e, doc, []uint32{deliveries[at].Trigger})
			if err != nil {
				return err
			}
			if len(found) == 0 {
				found = []*core.Keys{{}}
			}
			keys[deliveries[at]] = found[0]
		}
	}
	return nil
}
