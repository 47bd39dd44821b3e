package core

// Held returns how much a core keeps: deliveries, timers, bodies asked for.
func (c *Core) Held() (live, timers, wanted, flow, held int) {
	for _, t := range c.order {
		flow += t.flow.len()
		held += t.held
	}
	return len(c.live), len(c.timers.heap), len(c.wanted), flow, held
}
