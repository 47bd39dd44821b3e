package core_test

import (
	"fmt"
	"maps"
	"slices"

	"sluice/router/core"
	"sluice/router/ledger"
)

func (w *world) command() {
	name := w.names[w.rng.IntN(len(w.names))]
	if w.rng.IntN(8) == 0 {
		w.full = !w.full
	}
	switch w.rng.IntN(4) {
	case 0:
		w.step(core.Pause{Name: name, Token: name})
	case 1:
		w.resume(name)
	case 2:
		w.reconfigure(name)
	default:
		m := w.mood[name]
		m.hangs = !m.hangs && w.rng.IntN(3) == 0
		w.mood[name] = m
	}
}

// reconfigure adds a trigger, or changes, renames, removes or brings back one.
func (w *world) reconfigure(name string) {
	switch draw := w.rng.IntN(6); {
	case draw <= 1 && w.created < 9:
		w.addTrigger(fmt.Sprintf("t%d", w.created))
	case draw == 2:
		w.prints[name] = string(rune('f' + w.rng.IntN(3)))
		w.drawFlow(name)
	case draw == 3 && len(w.renamed) < 4 && name != "t0":
		next := name + "n"
		w.names[slices.Index(w.names, name)] = next
		w.renamed[next], w.prints[next], w.mood[next] = append([]string{name}, w.renamed[name]...), w.prints[name], w.mood[name]
		w.flows[next], w.forever[next] = w.flows[name], w.forever[name]
		w.past[next], w.starts[next] = w.past[name], w.starts[name]
	case draw == 4 && len(w.names) > 1:
		w.names = slices.DeleteFunc(w.names, func(n string) bool { return n == name })
		w.away = append(w.away, name)
	case len(w.away) > 0:
		w.names = append(w.names, w.away[0])
		w.away = w.away[1:]
	}
	w.step(w.configuration("changed"))
}

// turn does one thing, drawn at random.
func (w *world) turn() {
	switch draw := w.rng.IntN(100); {
	case draw < 10:
		w.publish()
	case draw < 25:
		w.readTail()
	case draw < 35:
		w.answerRead()
	case draw < 43:
		w.answerFetch()
	case draw < 45:
		w.answerIdentify()
	case draw < 60:
		w.answerAppend()
	case draw < 68:
		w.storeLetter()
	case draw < 85:
		if !w.finish() {
			w.crash()
		}
	case draw < 94:
		w.tick()
	case draw < 96:
		w.trim()
	case draw < 98:
		w.command()
	case draw == 98:
		if w.rng.IntN(3) == 0 {
			w.crash()
		}
	default:
		if w.rng.IntN(6) == 0 {
			w.stop()
		}
	}
}

// settle lets everything come to its end.
func (w *world) settleAll(moods func(string) mood) {
	w.full = false
	for name := range w.mood {
		w.mood[name] = moods(name)
	}
	w.names, w.away = append(w.names, w.away...), nil
	w.step(w.configuration("back"))
	w.resumeAll()
	for range 60_000 {
		if w.fault != nil || w.quiet() {
			return
		}
		w.readTail()
		w.answerRead()
		w.answerFetch()
		w.answerIdentify()
		w.answerAppend()
		w.storeLetter()
		for range len(w.attempts) {
			if !w.finish() {
				w.crash()
				w.resumeAll() // a resume is durable only once it is acknowledged
			}
		}
		w.tick()
	}
	w.failf("does not come to rest: mark %d of %d, %d waiting", w.core.State().Mark, w.next-1, len(w.core.State().Waiting))
}

func (w *world) resumeAll() {
	for _, name := range w.names {
		w.resume(name)
	}
}

func (w *world) resume(name string) {
	for _, s := range w.core.Standings() {
		if s.Gate.Name == name {
			w.gone[s.ID] = false
		}
	}
	w.step(core.Resume{Name: name, Token: name})
}

// quiet tells whether there is nothing left to do.
func (w *world) quiet() bool {
	state := w.core.State()
	if w.append != nil || w.read != nil || w.fetch != nil || w.identify != nil || len(w.pending) > 0 || w.core.Running() > 0 || len(state.Waiting) > 0 || state.Mark < w.next-1 {
		return false
	}
	for _, t := range state.Triggers {
		if t.Behind && t.Cursor < w.next-1 {
			return false
		}
	}
	return true
}

// check looks at the end: conservation, named (invariant I2).
func (w *world) check() {
	state := w.core.State()
	for _, number := range slices.Sorted(maps.Keys(state.Triggers)) {
		t := state.Triggers[number]
		if off := state.Unbalanced()[number]; off != 0 {
			w.failf("I2: trigger %s is off by %d: %+v", t.Name, off, t)
		}
		if from := w.starts[t.Name]; from > 0 && t.Start != from {
			w.failf("trigger %s starts at %d, not at %d", t.Name, t.Start, from)
		}
		for _, sequence := range w.events {
			id := w.id(ledger.Key{Trigger: number, Sequence: sequence})
			_, ended := w.settled[id]
			if sequence >= t.Since && t.Since > 0 && ended != matches(t.Fingerprint, sequence) {
				w.failf("I2: sequence %d of trigger %s: ended %v, want %v", sequence, t.Name, ended, !ended)
			}
			if ended && sequence < t.Start {
				w.failf("I2: sequence %d of trigger %s, which starts at %d", sequence, t.Name, t.Start)
			}
		}
	}
	for id := range w.letters {
		if w.settled[id] != ledger.Dead {
			w.failf("I2: %s has a letter and ends as %v", id, w.settled[id])
		}
	}
}
