package router

import (
	"context"
	"time"

	"sluice/event"
	"sluice/router/core"
	"sluice/router/ledger"
)

// The states of a trigger.
const (
	StateRunning = "running"
	StateBehind  = "behind"
	StatePaused  = "paused"
	StateRemoved = "removed" // it has left the configuration
)

// A Status says how one trigger stands.
type Status struct {
	Name  string
	State string
	// Start is the first sequence that was offered to it. Cursor is the sequence
	// up to which all its deliveries are settled or wait.
	Start, Cursor uint64
	Behind        bool
	// Pause says since when and why it is paused; its Since is 0 when that is
	// not known.
	Pause ledger.Pause
	// Lag is how many positions of the log it has not been offered yet.
	Lag uint64
	// Waiting deliveries wait for a retry or a letter, Running ones are being
	// attempted, Buffered ones are in memory: not attempted yet, about to be
	// attempted again, or gathered for a batch.
	Waiting, Running, Buffered int
	// The counts are of its whole life: matched = delivered + dead + discarded +
	// waiting + running + buffered. What has ended counts when that is written down.
	Matched, Delivered, Dead, Discarded uint64
	// OldestWaiting is when the oldest event was accepted that is not settled;
	// zero when there is none.
	OldestWaiting time.Time
	// Holds say what keeps its deliveries from being attempted now.
	Holds []Hold

	// recorded is how many have matched as far as that is written down: a number
	// that a kill does not make smaller.
	recorded uint64
}

// Triggers returns how the triggers stand.
func (r *Router) Triggers(ctx context.Context) ([]Status, error) {
	var oldest []uint64
	all, err := r.standing(ctx, &oldest)
	if err != nil {
		return nil, err
	}
	return all, r.ages(ctx, all, oldest)
}

// standing returns how the triggers stand but for the ages, and the oldest
// unsettled sequence of each if somebody asks.
func (r *Router) standing(ctx context.Context, oldest *[]uint64) ([]Status, error) {
	var standings []core.Standing
	waiting := map[uint32]inBatches{}
	if err := r.askRun(ctx, func(u *run) {
		standings = u.core.Standings()
		for id := range u.gathering {
			waiting[id] = u.gatheredOf(id, u.configured.Load().triggers[id])
		}
	}); err != nil {
		return nil, err
	}
	_, last, err := r.options.Log.Bounds(ctx)
	if err != nil {
		return nil, err
	}
	configured := r.configured.Load()
	all := make([]Status, 0, len(standings))
	for i := range standings {
		s := &standings[i]
		if s.Gate.Name == unroutable && s.Totals == (ledger.Totals{}) && s.Waiting == 0 {
			continue
		}
		st, batch := status(s, last), waiting[s.ID]
		st.Running -= batch.deliveries
		st.Buffered += batch.deliveries
		if configured != nil {
			st.Holds = holdsOf(join(s.Holds, batch.holds), configured.triggers[s.ID])
		}
		all = append(all, st)
		if oldest != nil {
			*oldest = append(*oldest, s.Oldest)
		}
	}
	return all, nil
}

func status(s *core.Standing, last uint64) Status {
	st := Status{
		Name: s.Gate.Name, State: StateRunning, Start: s.Gate.Start, Cursor: s.Passed, Behind: s.Gate.Behind, Pause: s.Pause,
		Waiting: s.Waiting - s.Listed, Running: s.Running, Buffered: s.Buffered, recorded: s.Matched,
		Matched: s.Matched + uint64(s.Running-s.Listed+s.Buffered), Delivered: s.Totals.Done, Dead: s.Totals.Dead, Discarded: s.Totals.Discarded,
	}
	st.Lag = max(last, s.Read) - s.Read
	if s.Gate.Behind && st.Lag > 0 {
		st.State = StateBehind
	}
	switch {
	case !s.Configured:
		st.State = StateRemoved
	case s.Gate.Paused:
		st.State = StatePaused
	}
	return st
}

// ages looks up when the oldest events were accepted.
func (r *Router) ages(ctx context.Context, all []Status, oldest []uint64) error {
	for i, sequence := range oldest {
		if sequence == 0 {
			continue
		}
		entries, err := r.options.Log.Fetch(ctx, []uint64{sequence})
		if err != nil {
			return err
		}
		if len(entries) > 0 {
			all[i].OldestWaiting = entries[0].Time
		}
	}
	return nil
}

// askTimeout bounds how long those wait for the core who cannot say how long.
const askTimeout = 5 * time.Second

// Settled tells of each delivery, by its id, whether it has ended. What cannot be
// known yet is not settled; what nothing is known of any more is.
func (r *Router) Settled(ids ...string) []bool {
	settled := make([]bool, len(ids))
	sequences, asked := make([]uint64, len(ids)), map[string][]int{} // by trigger
	for i, id := range ids {
		delivery, err := event.ParseDeliveryID(id)
		if err != nil {
			continue
		}
		if settled[i] = delivery.Incarnation != r.options.Incarnation; !settled[i] {
			sequences[i] = delivery.Sequence
			asked[delivery.Trigger] = append(asked[delivery.Trigger], i)
		}
	}
	if len(asked) == 0 {
		return settled
	}
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	// Without an answer they stay as not settled.
	_ = r.ask(ctx, func(c *core.Core) {
		for _, some := range asked {
			for _, i := range some {
				settled[i] = true
			}
		}
		for number, t := range c.State().Triggers {
			for _, i := range asked[t.Name] {
				settled[i] = c.State().Settled(ledger.Key{Trigger: number, Sequence: sequences[i]})
			}
		}
	})
	return settled
}
