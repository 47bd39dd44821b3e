package shards

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// begin returns the root of a stream that is seen for the first time.
func begin(d Description, start From, since time.Time, life uint32) root {
	r := root{Stream: d.ID, Life: life, Since: since.UnixMilli()}
	free := r.slots()
	for _, s := range sorted(d.Shards) {
		k := known{ID: s.ID, Start: start, Done: start == Latest && s.Closed}
		if !k.Done {
			k.Slot = free.take()
		}
		r.Shards = append(r.Shards, k)
	}
	return r
}

// slots gives out the slots that no shard has, the lowest first.
type slots struct {
	used map[uint32]bool
	next uint32
}

func (r *root) slots() *slots {
	s := &slots{used: make(map[uint32]bool, len(r.Shards))}
	for i := range r.Shards {
		if !r.Shards[i].Done {
			s.used[r.Shards[i].Slot] = true
		}
	}
	return s
}

func (s *slots) take() uint32 {
	for s.used[s.next] {
		s.next++
	}
	s.next++
	return s.next - 1
}

// sorted returns the shards by id: their order in a description is the service's.
func sorted(shards []Shard) []Shard {
	return slices.SortedFunc(slices.Values(shards), func(a, b Shard) int { return cmp.Compare(a.ID, b.ID) })
}

// update returns the root with what a description shows and with what was read
// to its end, and whether that changes it. Shards that are new begin at their
// beginning, and those that are done and gone are forgotten. One that is gone
// unread stays.
func (r *root) update(d Description, done map[string]bool) (next root, changed bool) {
	listed := make(map[string]bool, len(d.Shards))
	for i := range d.Shards {
		listed[d.Shards[i].ID] = true
	}
	next = *r
	next.Shards = nil
	seen := make(map[string]bool, len(r.Shards))
	for _, k := range r.Shards {
		seen[k.ID] = true
		if !k.Done && done[k.ID] {
			k.Done, k.Slot, changed = true, 0, true
		}
		if k.Done && !listed[k.ID] {
			changed = true
			continue
		}
		next.Shards = append(next.Shards, k)
	}
	free := next.slots()
	for _, s := range sorted(d.Shards) {
		if !seen[s.ID] {
			next.Shards = append(next.Shards, known{ID: s.ID, Slot: free.take(), Start: Horizon})
			changed = true
		}
	}
	return next, changed
}

// ready returns the shards that may be read: those that are not done, and whose
// parents are, or are gone.
func (r *root) ready(d Description, done map[string]bool) []known {
	open := make(map[string]bool, len(r.Shards))
	for i := range r.Shards {
		open[r.Shards[i].ID] = !r.Shards[i].Done && !done[r.Shards[i].ID]
	}
	parents := make(map[string][]string, len(d.Shards))
	for i := range d.Shards {
		parents[d.Shards[i].ID] = d.Shards[i].Parents
	}
	var all []known
	for _, k := range r.Shards {
		waits := slices.ContainsFunc(parents[k.ID], func(id string) bool { return id != k.ID && open[id] })
		if open[k.ID] && !waits {
			all = append(all, k)
		}
	}
	return all
}

// check tells whether a root can be stored.
func (r *root) check() error {
	if len(r.Shards) > MaxShards {
		return fmt.Errorf("the stream has %d shards, counting those that are closed and not yet gone: at most %d are followed", len(r.Shards), MaxShards)
	}
	return nil
}
