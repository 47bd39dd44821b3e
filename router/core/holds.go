package core

// holds says what keeps the deliveries of t from starting, of which there are so
// many.
func (c *Core) holds(t *trigger, of *tally) (all []Hold) {
	if t.standsStill() {
		return nil // which its standing says
	}
	add := func(h Hold, holds bool) {
		if holds {
			all = append(all, h)
		}
	}
	waiting := t.buffered.len() + t.loaded.len() + t.ready.len()
	add(t.breakerHold(waiting))
	most := t.most()
	full := Hold{Reason: HeldByConcurrency, Deliveries: waiting, Limit: most}
	if most < t.config.Concurrency {
		full.Reason = HeldByAdaptive
	}
	add(full, waiting > 0 && t.running >= most)
	add(c.rateHold(t, waiting))
	add(Hold{Reason: HeldByRetry, Deliveries: of.retrying, Until: of.due}, of.retrying > 0)
	add(t.orderHold())
	add(t.slotsHold())
	add(t.debounceHold())
	add(Hold{Reason: HeldByLedger, Deliveries: waiting}, waiting > 0 && c.pending.blocked)
	add(Hold{Reason: HeldByCrashes, Deliveries: t.suspects.len()}, c.alone != nil && t.suspects.len() > 0)
	shut := t.gate.Behind && !t.live && !t.open
	tooMany := c.tooMany(t)
	add(Hold{Reason: HeldByWaiting, Deliveries: t.delayed, Limit: c.waitingLimit()}, shut && tooMany)
	add(Hold{Reason: HeldByBuffer, Deliveries: t.buffered.len(), Limit: t.config.Buffer}, shut && !tooMany)
	return all
}

// breakerHold has no end while the probe is under way.
func (t *trigger) breakerHold(waiting int) (Hold, bool) {
	h := Hold{Reason: HeldByBreaker, Deliveries: waiting}
	if t.breaker.probe == nil {
		h.Until = t.breaker.until
	}
	return h, t.breaker.until != 0
}

func (c *Core) rateHold(t *trigger, waiting int) (Hold, bool) {
	rate := t.config.Flow.Rate
	h := Hold{Reason: HeldByRate, Limit: rate.Limit}
	for _, m := range t.meters {
		at, n := m.at(rate), m.parked.len()
		if !rate.Keyed {
			n = waiting
		}
		if at <= c.now || n == 0 {
			continue
		}
		h.Deliveries += n
		if rate.Keyed {
			h.Keys++
		}
		if h.Until == 0 || at < h.Until {
			h.Until = at
		}
	}
	return h, h.Deliveries > 0
}

func (t *trigger) orderHold() (Hold, bool) {
	h := Hold{Reason: HeldByOrder}
	for _, l := range t.lanes {
		if n := len(l.all) - 1; n > 0 {
			h.Deliveries += n
			h.Keys++
			if first := l.first().key.Sequence; h.Event == 0 || first < h.Event {
				h.Event = first
			}
		}
	}
	return h, h.Keys > 0
}

func (t *trigger) slotsHold() (Hold, bool) {
	h := Hold{Reason: HeldByKeyConcurrency, Limit: t.config.Flow.PerKey}
	for _, s := range t.slots {
		if n := s.parked.len(); n > 0 {
			h.Deliveries += n
			h.Keys++
		}
	}
	return h, h.Keys > 0
}

func (t *trigger) debounceHold() (Hold, bool) {
	h := Hold{Reason: HeldByDebounce}
	for _, q := range t.quiets {
		h.Deliveries += q.collected.len()
		h.Keys++
		if due := q.due(); h.Until == 0 || due < h.Until {
			h.Until = due
		}
	}
	return h, h.Keys > 0
}
