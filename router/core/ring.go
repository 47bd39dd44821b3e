package core

import "sort"

// A ring is what the shared reader has offered last: every event from a
// position on that matches something.
type ring struct {
	from    uint64 // everything from here up to the tail is covered
	entries queue[Entry]
	bytes   int
}

func (r *ring) reset(from uint64) { *r = ring{from: from} }

// add takes a stretch over, if it was matched with the newest version.
func (r *ring) add(in Matched, version uint64, options Options) {
	if in.Version != version {
		r.reset(in.To + 1)
		return
	}
	for i := range in.Entries {
		if len(in.Entries[i].Triggers) > 0 {
			r.entries.push(in.Entries[i])
			r.bytes += in.Entries[i].Size
		}
	}
	for r.entries.len() > options.Ring || r.bytes > options.Budget/4 && r.entries.len() > 0 {
		dropped := r.entries.pop()
		r.bytes -= dropped.Size
		r.from = dropped.Sequence + 1
	}
}

// after returns the events above a sequence, ascending.
func (r *ring) after(sequence uint64) []Entry {
	all := r.entries.all()
	return all[sort.Search(len(all), func(i int) bool { return all[i].Sequence > sequence }):]
}

// at returns the event at a sequence, or nil.
func (r *ring) at(sequence uint64) *Entry {
	rest := r.after(sequence - 1)
	if len(rest) == 0 || rest[0].Sequence != sequence {
		return nil
	}
	return &rest[0]
}
