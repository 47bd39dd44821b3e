package core_test

import (
	"slices"
	"time"

	"sluice/router/core"
	"sluice/router/ledger"
)

func (w *world) publish() {
	for range 1 + w.rng.IntN(8) {
		if w.rng.IntN(10) == 0 {
			w.next++ // a cursor, or something trimmed
		}
		w.events = append(w.events, w.next)
		w.next++
	}
}

func (w *world) readTail() {
	last := w.next - 1
	if w.tail >= last {
		return
	}
	from := w.tail + 1
	entries, to := w.matchedBetween(from, last, w.version, 1+w.rng.IntN(12))
	w.tail = to
	w.step(core.Matched{From: from, To: to, Version: w.version, Entries: entries})
}

func (w *world) answerRead() {
	if w.read == nil {
		return
	}
	from := w.read.From
	entries, to := w.matchedBetween(from, w.next-1, w.version, w.read.Max)
	w.read = nil
	w.step(core.Swept{From: from, To: to, Version: w.version, Entries: entries})
}

func (w *world) answerFetch() {
	if w.fetch == nil {
		return
	}
	var entries []core.Entry
	for _, sequence := range w.fetch.Sequences {
		if sequence <= w.purged {
			if w.needs(sequence) {
				w.failf("I3: sequence %d is needed and was trimmed", sequence)
			}
			continue
		}
		entries = append(entries, core.Entry{Sequence: sequence, Size: 100 + int(sequence%7)*100, Body: sequence})
	}
	w.fetch = nil
	w.step(core.Fetched{Entries: entries})
}

// needs tells whether a delivery of an event waits; what was discarded meanwhile
// may still be asked for.
func (w *world) needs(sequence uint64) bool {
	for key := range w.core.State().Waiting {
		if key.Sequence == sequence {
			return true
		}
	}
	return false
}

// land makes the append under way durable.
func (w *world) land() (core.Appended, bool) {
	if w.append == nil {
		return core.Appended{}, false
	}
	a := core.Appended{Number: w.append.Number, Sequence: uint64(len(w.messages) + 1)}
	for _, r := range w.append.Records {
		a.Bytes += w.store(w.claim, r)
		w.observe(r)
	}
	w.append = nil
	return a, true
}

// observe checks what has become durable: no end without what replaces it.
func (w *world) observe(r *ledger.Record) {
	for _, key := range r.Started {
		w.begun[key] = true
	}
	for i := range r.Outcomes {
		o := &r.Outcomes[i]
		id := w.id(o.Key)
		if !o.Kind.Settles() {
			continue
		}
		if kind, twice := w.settled[id]; twice {
			w.failf("I2: %s ends twice: %v and %v", id, kind, o.Kind)
		}
		if o.Kind == ledger.Dead && w.letters[id] == 0 {
			w.failf("I3: %s is dead and has no letter", id)
		}
		if o.Kind == ledger.Discarded && o.Detail.Reason == ledger.ReasonDebounced {
			w.checkDebounced(o.Key)
		} else if o.Kind == ledger.Discarded && o.Detail.Reason != ledger.ReasonRemoved && o.Detail.Reason != ledger.ReasonFiltered {
			w.failf("I2: %s is discarded as %s", id, o.Detail.Reason)
		}
		w.settled[id] = o.Kind
		delete(w.unsettled, o.Key)
	}
}

func (w *world) answerAppend() {
	if a, ok := w.land(); ok {
		w.step(a)
	}
}

func (w *world) storeLetter() {
	if len(w.pending) == 0 || w.full {
		return
	}
	at := w.rng.IntN(len(w.pending))
	letter := w.pending[at]
	w.pending = slices.Delete(w.pending, at, at+1)
	if !w.hasty {
		w.putLetter(letter)
	}
	delete(w.unsettled, letter.Key)
	w.over[letter.Key] = true
	w.step(core.LetterStored{Key: letter.Key})
}

// putLetter stores one letter a delivery, however often it is asked to.
func (w *world) putLetter(l core.WriteLetter) {
	w.letters[w.id(l.Key)] = 1
	if l.Reason == "" || l.Reason != ledger.ReasonPoison && len(l.History) == 0 {
		w.failf("letter of %s without a reason or attempts: %q %v", w.id(l.Key), l.Reason, l.History)
	}
	if n := len(l.History); n > 0 && l.Reason != ledger.ReasonPoison && l.History[n-1].Status == statusGone {
		w.failf("%s is dead because its sink is gone", w.id(l.Key))
	}
	if l.Reason == ledger.ReasonExpired {
		w.failf("%s is too old, and the world is younger than any may become", w.id(l.Key))
	}
}

// finish ends one attempt; it returns false when that crashed the process.
func (w *world) finish() bool {
	if len(w.attempts) == 0 {
		return true
	}
	at := w.rng.IntN(len(w.attempts))
	s := w.attempts[at]
	name := w.name(s.Key.Trigger)
	if isPoison(name, s.Key.Sequence) {
		w.poisoned[w.id(s.Key)]++
		if n := w.poisoned[w.id(s.Key)]; n > 6 {
			w.failf("I7: %s has crashed the process %d times", w.id(s.Key), n)
		}
		return false
	}
	m := w.mood[name]
	if m.hangs {
		return true
	}
	w.attempts = slices.Delete(w.attempts, at, at+1)
	r := w.result(m)
	if r.Class == core.Gone {
		w.gone[s.Key.Trigger] = true
	}
	if r.Class == core.Succeeded || r.Class == core.Dropped {
		delete(w.unsettled, s.Key)
		w.over[s.Key] = true
	}
	w.step(core.Finished{Key: s.Key, Result: r})
	return true
}

const (
	statusGone = 410
	dropped    = 0.02 // of the attempts
)

func (w *world) result(m mood) core.Result {
	r := core.Result{Class: core.Succeeded, Status: 200, Duration: time.Millisecond, Jitter: w.rng.Float64()}
	switch draw := w.rng.Float64(); {
	case draw < m.fail:
		r.Class, r.Status, r.Error = core.Failed, 500, "failed"
	case draw < m.fail+m.refuse:
		r.Class, r.Status, r.Error = core.Refused, 400, "refused"
	case draw < m.fail+m.refuse+m.busy:
		r.Class, r.Status, r.Error = core.Busy, 429, "busy"
	case draw < m.fail+m.refuse+m.busy+m.gone:
		r.Class, r.Status, r.Error, r.Duration = core.Gone, statusGone, "gone", 0
	case draw > 1-dropped:
		r.Class, r.Status, r.Error = core.Dropped, 0, "nothing to deliver"
	}
	return r
}

// crash ends the core in the middle: what is under way may or may not happen.
func (w *world) crash() {
	w.crashes++
	if w.rng.IntN(2) == 0 {
		w.land()
	}
	for _, l := range w.pending {
		if w.rng.IntN(2) == 0 {
			w.putLetter(l)
		}
	}
	w.now = w.now.Add(time.Duration(w.rng.IntN(1300)-300) * time.Millisecond)
	if w.rng.IntN(4) == 0 { // the machine was off, or its clock has jumped
		w.now = w.now.Add(time.Duration(w.rng.IntN(100)-50) * time.Hour)
	}
	w.open()
}

// trim purges what nobody needs.
func (w *world) trim() {
	if low := w.core.Low(); low > 1 {
		w.purged = max(w.purged, min(low-1, w.next-1))
	}
}

func (w *world) tick() {
	switch {
	case w.rng.IntN(20) == 0:
		w.now = w.now.Add(time.Duration(w.rng.IntN(1500)) * time.Millisecond)
	case !w.wake.IsZero() && w.wake.After(w.now):
		w.now = w.wake
	default:
		w.now = w.now.Add(time.Millisecond)
	}
	w.step()
}

func (w *world) stop() {
	w.step(core.Drain{})
	for range 200 {
		if w.stopped || w.fault != nil {
			break
		}
		w.answerAppend()
		if len(w.attempts) > 0 && !w.finish() {
			w.crash()
			return
		}
		if w.rng.IntN(30) == 0 {
			w.step(core.Stop{})
			w.answerAppend()
		}
		w.tick()
	}
	w.now = w.now.Add(time.Millisecond)
	w.open()
}
