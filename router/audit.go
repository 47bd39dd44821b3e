package router

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sluice/event"
	"sluice/router/core"
	"sluice/router/ledger"
	"sluice/router/pattern"
)

// An Audit says whether every matched delivery is accounted for (invariant I2).
type Audit struct {
	Conserved bool
	// Checked is how many events of the log were matched again.
	Checked  uint64
	Triggers []Balance
	// Missing are deliveries that match, are passed by their trigger's cursor,
	// and have neither ended nor wait. There are at most MissingMost.
	Missing []Missing
}

// MissingMost is how many missing deliveries an audit names.
const MissingMost = 100

// A Balance is the conservation of one trigger: matched = delivered + dead +
// discarded + waiting, and Off is by how much that fails.
type Balance struct {
	Name                                string
	Matched, Delivered, Dead, Discarded uint64
	Waiting                             int
	Off                                 int64
}

// A Missing is a delivery that is not accounted for.
type Missing struct {
	Sequence   uint64
	Trigger    string
	DeliveryID string
	Why        string
}

// auditPage is how many events an audit matches at a time.
const auditPage = 1024

// Audit checks the counts of every trigger, and matches the history that is
// left in the log again: each delivery that a cursor has passed has an end in
// the ledger, or waits.
func (r *Router) Audit(ctx context.Context) (Audit, error) {
	a := auditor{Router: r, waiting: map[ledger.Key]bool{}, ended: map[uint32]*bits{}}
	if err := r.ask(ctx, a.copy); err != nil {
		return Audit{}, err
	}
	if err := a.readEnds(ctx); err != nil {
		return Audit{}, fmt.Errorf("read the ledger: %w", err)
	}
	if err := a.rematch(ctx); err != nil {
		return Audit{}, fmt.Errorf("read the log: %w", err)
	}
	a.audit.Conserved = len(a.audit.Missing) == 0
	for i := range a.audit.Triggers {
		a.audit.Conserved = a.audit.Conserved && a.audit.Triggers[i].Off == 0
	}
	return a.audit, nil
}

type auditor struct {
	*Router
	audit   Audit
	table   *table
	waiting map[ledger.Key]bool
	passed  map[uint32]uint64 // c(t), of the triggers that are checked
	since   map[uint32]uint64
	ended   map[uint32]*bits
	to      uint64
	horizon time.Time // what was accepted before has ends that were trimmed
}

// copy takes what is durable at one moment.
func (a *auditor) copy(c *core.Core) {
	a.table = a.configured.Load()
	a.passed, a.since = map[uint32]uint64{}, map[uint32]uint64{}
	standings := c.Standings()
	for i := range standings {
		s := &standings[i]
		if s.Gate.Name != unroutable || s.Totals != (ledger.Totals{}) {
			a.audit.Triggers = append(a.audit.Triggers, Balance{
				Name: s.Gate.Name, Matched: s.Matched, Delivered: s.Totals.Done, Dead: s.Totals.Dead,
				Discarded: s.Totals.Discarded, Waiting: s.Waiting, Off: s.Unbalanced,
			})
		}
		known := c.State().Triggers[s.ID]
		t := a.table.triggers[s.ID]
		if known == nil || known.Since == 0 || t == nil || t.fingerprint() != known.Fingerprint {
			continue // it is being reconfigured
		}
		a.passed[s.ID], a.since[s.ID] = s.Passed, known.Since
		a.to = max(a.to, s.Passed)
	}
	for key := range c.State().Waiting {
		a.waiting[key] = true
	}
}

// readEnds reads which deliveries have ended.
func (a *auditor) readEnds(ctx context.Context) error {
	first := true
	return a.outcomes(ctx, 0, func(sequence uint64, at time.Time, r *ledger.Record) {
		if first && sequence > 1 {
			a.horizon = at
		}
		first = false
		for i := range r.Outcomes {
			if o := &r.Outcomes[i]; o.Kind.Settles() {
				a.end(o.Key)
			}
		}
	})
}

func (a *auditor) end(key ledger.Key) {
	b := a.ended[key.Trigger]
	if b == nil {
		b = &bits{}
		a.ended[key.Trigger] = b
	}
	b.set(key.Sequence)
}

// rematch reads the log up to the furthest cursor and looks for deliveries
// without an end.
func (a *auditor) rematch(ctx context.Context) error {
	first, _, err := a.options.Log.Bounds(ctx)
	if err != nil {
		return err
	}
	for from := first; from <= a.to; {
		batch, err := a.options.Log.Range(ctx, from, auditPage, sweepBytes)
		if err != nil {
			return err
		}
		if batch.To < from {
			return nil
		}
		matched, err := a.table.match(batch.Entries, a.judgeable(ctx))
		if err != nil {
			return err
		}
		for _, e := range matched {
			if e.Sequence <= a.to {
				a.check(&e)
			}
		}
		a.audit.Checked += uint64(len(batch.Entries))
		from = batch.To + 1
	}
	return nil
}

// judgeable returns a loader that has data of no kind for what is lost: what was
// matched before that cannot be matched again.
func (a *auditor) judgeable(ctx context.Context) pattern.Loader {
	load := a.loader(ctx)
	return func(large *event.Large) ([]byte, error) {
		data, err := load(large)
		if errors.Is(err, event.ErrLost) {
			return nil, nil
		}
		return data, err
	}
}

func (a *auditor) check(e *core.Entry) {
	for _, number := range e.Triggers {
		passed, checked := a.passed[number]
		if !checked || e.Sequence > passed || e.Sequence < a.since[number] || e.Body.(*event.Entry).Time.Before(a.horizon) {
			continue
		}
		key := ledger.Key{Trigger: number, Sequence: e.Sequence}
		if a.waiting[key] || a.ended[number].has(e.Sequence) || len(a.audit.Missing) == MissingMost {
			continue
		}
		name := a.table.triggers[number].Name
		a.audit.Missing = append(a.audit.Missing, Missing{
			Sequence: e.Sequence, Trigger: name, Why: "it matches, and has neither ended nor waits",
			DeliveryID: event.DeliveryID{Incarnation: a.options.Incarnation, Sequence: e.Sequence, Trigger: name}.String(),
		})
	}
}

// bits is a sparse set of sequences.
type bits struct{ pages map[uint64]*[64]uint64 }

func (b *bits) set(n uint64) {
	if b.pages == nil {
		b.pages = map[uint64]*[64]uint64{}
	}
	page := b.pages[n>>12]
	if page == nil {
		page = new([64]uint64)
		b.pages[n>>12] = page
	}
	page[n>>6&63] |= 1 << (n & 63)
}

// has works on nil too, which has nothing.
func (b *bits) has(n uint64) bool {
	if b == nil {
		return false
	}
	page := b.pages[n>>12]
	return page != nil && page[n>>6&63]&(1<<(n&63)) != 0
}
