package core

import (
	"errors"
	"fmt"
	"slices"

	"sluice/router/ledger"
)

// ErrUnknownTrigger means that there is no trigger of this name.
var ErrUnknownTrigger = errors.New("there is no such trigger")

// configure takes over a new configuration.
func (c *Core) configure(in Configure) {
	first := c.version == 0
	c.version = in.Version
	if first {
		c.tailVersion = in.Version
	}
	was, reflowed := map[*trigger]bool{}, map[*trigger]bool{}
	for _, t := range c.order {
		was[t], t.configured = t.configured, false
	}
	numbers := map[string]uint32{}
	for i := range in.Triggers {
		t := c.place(&in.Triggers[i], in, first, reflowed)
		if !was[t] {
			c.returned(t, in.Version, reflowed)
		}
		numbers[t.gate.Name] = t.id
	}
	c.unbegun = slices.DeleteFunc(c.unbegun, func(t *trigger) bool { return !t.configured })
	c.reflow(reflowed)
	c.retire()
	c.ring.reset(c.tail + 1)
	c.emit(Indexed{Version: in.Version, Numbers: numbers})
	c.acknowledge(in.Token)
	c.touchAll()
}

// place finds or makes the trigger of a configuration.
func (c *Core) place(config *Trigger, in Configure, first bool, reflowed map[*trigger]bool) *trigger {
	t := c.find(config.Name)
	if t == nil || t.gate.Removed != 0 {
		t = c.former(config, in, t)
	}
	if t == nil {
		t = c.create(config, in, first)
	}
	if t.gate.Name != config.Name || t.gate.Removed != 0 {
		c.rename(t, config.Name)
		t.gate.Removed = 0
		c.changed(t)
	}
	if t.gate.Fingerprint != config.Fingerprint {
		t.gate.Fingerprint, t.gate.Since, t.version = config.Fingerprint, 0, in.Version
		c.changed(t)
	}
	if t.gate.Since == 0 {
		c.await(t, in.Last, first)
	}
	c.flowOf(t, config, in.Version, reflowed)
	t.flows = config.Flow != Flow{} || config.KeySpec != ""
	t.config, t.configured = *config, true
	if t.leaving {
		t.leaving = false
		c.leaving--
	}
	if t.quota < 0 {
		t.quota = c.suspicion(config)
	}
	return t
}

// returned has a trigger begin that was not configured before. Keys that nobody
// could find meanwhile are asked for anew.
func (c *Core) returned(t *trigger, version uint64, reflowed map[*trigger]bool) {
	t.version, t.keyVersion = version, version
	if _, found := reflowed[t]; !found && t.nameless > 0 {
		reflowed[t] = false
	}
}

// flowOf notes that the flow of t changes, and whether its keys do.
func (c *Core) flowOf(t *trigger, config *Trigger, version uint64, reflowed map[*trigger]bool) {
	was := &t.config
	if was.Flow == config.Flow && was.KeySpec == config.KeySpec {
		return
	}
	reflowed[t] = was.KeySpec != config.KeySpec
	if reflowed[t] {
		t.keyVersion = version
	}
	if was.Flow.Breaker != config.Flow.Breaker {
		t.breaker = breaker{}
	}
	if was.Flow.Adaptive != config.Flow.Adaptive {
		t.adaptive = adaptive{}
	}
}

// reflow has the deliveries of triggers whose flow has changed wait as the new
// one says.
func (c *Core) reflow(changed map[*trigger]bool) {
	if len(changed) == 0 {
		return
	}
	all := map[*trigger][]*delivery{}
	for _, d := range c.live {
		if _, found := changed[d.t]; found {
			all[d.t] = append(all[d.t], d)
		}
	}
	for _, t := range c.order {
		if renamed, found := changed[t]; found {
			slices.SortFunc(all[t], func(a, b *delivery) int { return compareKeys(a.key, b.key) })
			c.rebuild(t, all[t], renamed)
		}
	}
}

// await has t begin with the first stretch that is matched with its version. At
// the start of a claim everything is matched with it, but what was matched
// before with another is not to be held against it.
func (c *Core) await(t *trigger, last uint64, first bool) {
	if first && t.gate.Start > 0 {
		t.gate.Since = last + 1
		c.changed(t)
	} else if !slices.Contains(c.unbegun, t) {
		c.unbegun = append(c.unbegun, t)
	}
}

// suspicion is how many of a trigger's first attempts may repeat one that was
// under way at the crash: those that ran, what was read ahead, and what had
// ended unwritten; twice, since new and due deliveries start by turns.
func (c *Core) suspicion(config *Trigger) int {
	return 2 * (config.Concurrency + 2*config.Buffer + c.options.UnwrittenLimit)
}

// former finds the trigger that had one of the names that a configuration says
// it had, and has not left yet. If there is one, a removed trigger that still
// stands under the new name makes way: what waits for it is discarded now.
func (c *Core) former(config *Trigger, in Configure, removed *trigger) *trigger {
	for _, name := range config.Was {
		t := c.find(name)
		if t == nil || t.gate.Removed != 0 || named(in.Triggers, name) {
			continue
		}
		if removed != nil {
			c.rename(removed, fmt.Sprintf("%s@%d", removed.gate.Name, removed.id))
			removed.gate.Removed = min(removed.gate.Removed, c.now-int64(c.options.RemovedAfter)-c.state.Idle(0))
			c.changed(removed)
		}
		return t
	}
	return removed
}

func named(triggers []Trigger, name string) bool {
	return slices.ContainsFunc(triggers, func(t Trigger) bool { return t.Name == name })
}

// create makes a trigger that the ledger does not know. It starts where its
// configuration says, else with the first stretch that is matched with its
// version; at the start of a claim that is what comes after the log's last
// event.
func (c *Core) create(config *Trigger, in Configure, first bool) *trigger {
	t := &trigger{
		id:      c.state.NextTrigger,
		gate:    ledger.Gate{Trigger: c.state.NextTrigger, Name: config.Name, Fingerprint: config.Fingerprint},
		version: in.Version, keyVersion: in.Version, config: *config,
	}
	c.state.NextTrigger++
	switch {
	case config.From > 0:
		c.trail(t, config.From)
	case first:
		t.gate.Start, t.gate.Since = in.Last+1, in.Last+1
	}
	c.add(t)
	c.unknown++
	c.changed(t)
	return t
}

// trail starts t behind, before an event of the past: it sweeps through history
// by itself, and joins when it has caught up.
func (c *Core) trail(t *trigger, from uint64) {
	t.gate.Start, t.gate.Since = from, from
	t.gate.Behind, t.gate.Cursor = true, from-1
	t.read, t.recorded = from-1, from-1
	c.behind = append(c.behind, t)
}

func (c *Core) find(name string) *trigger { return c.names[name] }

func (c *Core) rename(t *trigger, name string) {
	if c.names[t.gate.Name] == t {
		delete(c.names, t.gate.Name)
	}
	t.gate.Name = name
	c.names[name] = t
}

// retire closes the gates of triggers that have left the configuration.
func (c *Core) retire() {
	for _, t := range c.order {
		if t.configured {
			continue
		}
		if t.gate.Removed == 0 {
			t.gate.Removed = c.now
			c.shut(t, c.tail)
			c.changed(t)
		}
		if at := c.leaves(t); c.removal == 0 || at < c.removal {
			c.removal = at
		}
	}
}

// leaves returns when the deliveries of a removed trigger are discarded. Time
// without a router does not count.
func (c *Core) leaves(t *trigger) int64 {
	return t.gate.Removed + int64(c.options.RemovedAfter) + c.state.Idle(t.gate.Removed)
}

// expire discards the deliveries of triggers that have been away for too long.
func (c *Core) expire() {
	if c.removal == 0 || c.now < c.removal || c.phase != serving {
		return
	}
	c.removal = 0
	for _, t := range c.order {
		if t.configured || t.leaving || t.gate.Removed == 0 {
			continue
		}
		at := c.leaves(t)
		if at > c.now || t.running > 0 {
			if c.removal == 0 || at < c.removal {
				c.removal = max(at, c.now+slowEvery)
			}
			continue
		}
		t.leaving = true
		c.leaving++
		c.changed(t)
		for _, d := range c.ofTrigger(t) {
			if d.phase != settled && d.phase != dying {
				c.discard(d, ledger.ReasonRemoved)
			}
		}
	}
}

func (c *Core) ofTrigger(t *trigger) []*delivery {
	var all []*delivery
	for _, d := range c.live {
		if d.t == t {
			all = append(all, d)
		}
	}
	slices.SortFunc(all, func(a, b *delivery) int { return compareKeys(a.key, b.key) })
	return all
}

// drop lets triggers go whose last deliveries end with this record.
func (c *Core) drop(f *flight) {
	if c.leaving == 0 || len(c.pending.outcomes) > 0 {
		return
	}
	c.order = slices.DeleteFunc(c.order, func(t *trigger) bool {
		if !t.leaving || t.delayed > 0 {
			return false
		}
		if len(f.record.Gates) >= recordGates { // must not be split from their outcomes
			c.pending.slow(c.now)
			return false
		}
		f.record.Gates = append(f.record.Gates, ledger.Gate{Trigger: t.id})
		delete(c.triggers, t.id)
		if c.names[t.gate.Name] == t {
			delete(c.names, t.gate.Name)
		}
		same := func(other *trigger) bool { return other == t }
		c.active = slices.DeleteFunc(c.active, same)
		c.behind = slices.DeleteFunc(c.behind, same)
		c.leaving--
		return true
	})
}

// pause sets whether t is paused; the token is acknowledged when that is
// durable.
func (c *Core) pause(name string, paused bool, token any) {
	t := c.find(name)
	if t == nil {
		c.emit(Acknowledge{Token: token, Err: ErrUnknownTrigger})
		return
	}
	switch {
	case t.gate.Paused == paused:
	case paused:
		c.halt(t, ledger.Pause{Reason: ledger.PausedByCommand})
	default:
		t.gate.Paused, t.pause, t.resumed = false, ledger.Pause{}, c.now
		c.changed(t)
		c.touch(t)
	}
	c.acknowledge(token)
}

// halt closes the gate of t until somebody resumes it.
func (c *Core) halt(t *trigger, why ledger.Pause) {
	why.Trigger, why.Since = t.id, c.now
	t.gate.Paused, t.pause = true, why
	c.shut(t, c.tail)
	c.changed(t)
	c.touch(t)
}

// gone pauses a trigger whose sink says that nobody is there any more, unless
// the attempt is older than the last resume.
func (c *Core) gone(t *trigger, r Result) {
	if !t.gate.Paused && c.now-int64(r.Duration) >= t.resumed {
		c.halt(t, ledger.Pause{Reason: ledger.PausedGone, Error: r.Error})
	}
}

func (c *Core) acknowledge(token any) {
	if token != nil {
		c.pending.tokens = append(c.pending.tokens, token)
		c.pending.important(c.now)
	}
}
