package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/connect/redisconn"
	"sluice/event"
	"sluice/sources/upstream"
)

// A list takes the items of a list. One goroutine uses it.
type list struct {
	*run
	key   string
	end   string // where items are taken
	own   string // holds what is taken and not yet durable, the oldest at its right end
	large string // holds what was too large
	state string // a hash of the incarnation, and of how many were taken away
	pace  pace
	asked time.Time
}

// The fields of the state.
const (
	fieldIncarnation = "incarnation"
	fieldTaken       = "taken"
)

func newList(r *run) *list {
	base := r.cfg.List
	if !strings.Contains(base, "{") { // the keys of one source are on one server of a cluster
		base = "{" + base + "}"
	}
	base += ":sluice:" + r.env.Name
	return &list{
		run: r, key: r.cfg.List, end: strings.ToUpper(r.cfg.From),
		own: base, large: base + ":too-large", state: base + ":state", pace: newPace(),
	}
}

// A view is what the source's own list holds at one moment.
type view struct {
	items       []string // the oldest ones, from the oldest
	incarnation string
	taken       int64 // how many were taken away before them
	waiting     int64 // in the list itself
}

func (l *list) read(ctx context.Context, well func()) error {
	if err := l.writing.HSetNX(ctx, l.state, fieldIncarnation, rand.Text()[:10]).Err(); err != nil {
		return err
	}
	for ctx.Err() == nil {
		v, err := l.look(ctx, 0)
		if err != nil {
			return err
		}
		well()
		if len(v.items) == 0 && v.waiting > 0 {
			v, err = l.look(ctx, min(v.waiting, int64(l.pace.count)))
		} else if len(v.items) == 0 {
			_, err = l.ask(ctx, l.reading, 1, "blmove", l.key, l.own, l.end, "left", block.Seconds())
		}
		if err == nil {
			err = l.take(ctx, v)
		}
		if err == nil && time.Since(l.asked) >= lagEvery {
			l.asked = time.Now()
			err = l.measure(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// look moves up to n items to the source's own list, and returns what is there
// then, all in one transaction.
func (l *list) look(ctx context.Context, n int64) (view, error) {
	var (
		own   *redis.StringSliceCmd
		state *redis.SliceCmd
		rest  *redis.IntCmd
	)
	_, err := l.reading.TxPipelined(ctx, func(p redis.Pipeliner) error {
		for range n {
			p.LMove(ctx, l.key, l.own, l.end, "LEFT")
		}
		own = p.LRange(ctx, l.own, -int64(l.pace.count), -1)
		state = p.HMGet(ctx, l.state, fieldIncarnation, fieldTaken)
		rest = p.LLen(ctx, l.key)
		return nil
	})
	_, tooLong := errors.AsType[*redisconn.TooLongError](err)
	switch {
	case tooLong && !l.pace.shrink():
		return view{}, fmt.Errorf("an item is larger than any event can be: take it out of %q by hand: %w", l.own, err)
	case err != nil && !errors.Is(err, redis.Nil):
		return view{}, err
	}
	v := view{items: own.Val(), waiting: rest.Val()}
	slices.Reverse(v.items)
	size := 0
	for _, item := range v.items {
		size += len(item)
	}
	l.pace.learn(len(v.items), size)
	v.incarnation, v.taken, err = parseState(state.Val())
	return v, errors.Join(err, own.Err(), rest.Err())
}

var errState = errors.New("the state of the list is gone, as after FLUSHALL: it begins anew")

// parseState reads the two fields of the state. The second one is not there
// before something was taken.
func parseState(values []any) (incarnation string, taken int64, err error) {
	if len(values) != 2 {
		return "", 0, errAnswer
	}
	incarnation, _ = values[0].(string)
	if incarnation == "" {
		return "", 0, errState
	}
	if text, is := values[1].(string); is {
		taken, err = strconv.ParseInt(text, 10, 64)
	}
	return incarnation, taken, err
}

// event returns the event of the item at a place of a view.
func (l *list) event(v *view, i int) event.Event {
	item := v.items[i]
	e := event.Event{
		ID:     fmt.Sprintf("%s/%s/%d/%s", l.key, v.incarnation, v.taken+int64(i), hash(item)),
		Source: ceSource(l.key), Type: Type, Subject: l.key, Time: l.env.Now().UTC(),
		Data: []byte(item), Extensions: map[string]any{"partitionkey": l.key},
	}
	if len(e.Data) > 0 {
		e.DataContentType = contentType(e.Data)
	}
	return e
}

// take publishes the items of a view, and takes them away.
func (l *list) take(ctx context.Context, v view) error {
	if len(v.items) == 0 {
		return nil
	}
	long, cancel := upstream.Grace(ctx, grace)
	defer cancel()
	events := make([]event.Event, len(v.items))
	for i := range events {
		events[i] = l.event(&v, i)
	}
	tooLarge, err := upstream.Divide(len(events), func(from, to int) error {
		return l.health.Until(long, l.key+" bus", func(ctx context.Context) error {
			return l.out.Publish(ctx, events[from:to]...)
		})
	})
	if err != nil {
		return err
	}
	return l.remove(long, &v, tooLarge)
}

var errShared = errors.New("somebody else takes from the same list of the source's own: is there another sluice with a source of this name?")

// remove takes the items of a view away, and puts those that are too large into
// their list, when nobody else has taken any away.
func (l *list) remove(ctx context.Context, v *view, tooLarge []int) error {
	err := l.writing.Watch(ctx, func(tx *redis.Tx) error {
		values, err := tx.HMGet(ctx, l.state, fieldIncarnation, fieldTaken).Result()
		if err != nil {
			return err
		}
		incarnation, taken, err := parseState(values)
		if err != nil {
			return err
		}
		if incarnation != v.incarnation || taken != v.taken {
			return errShared
		}
		_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
			for _, i := range tooLarge {
				p.LPush(ctx, l.large, v.items[i])
			}
			p.LTrim(ctx, l.own, 0, -int64(len(v.items))-1)
			p.HIncrBy(ctx, l.state, fieldTaken, int64(len(v.items)))
			return nil
		})
		return err
	}, l.state)
	if errors.Is(err, redis.TxFailedErr) {
		return errShared
	}
	if err == nil && len(tooLarge) > 0 {
		l.logger(l.key).Warn("items are larger than bus.max_event, and were put into a list of their own",
			slog.Int("items", len(tooLarge)), slog.String("list", l.large))
		l.asked = time.Time{}
	}
	return err
}

// measure asks what waits, and what is too large.
func (l *list) measure(ctx context.Context) error {
	waiting, err := l.writing.LLen(ctx, l.key).Result()
	if err != nil {
		return err
	}
	large, err := l.writing.LLen(ctx, l.large).Result()
	if err != nil {
		return err
	}
	l.lag.set(l.key, lag{items: waiting})
	if large == 0 {
		l.health.Set(l.key+" large", nil)
		return nil
	}
	l.health.Set(l.key+" large", fmt.Errorf("%q: %d items are larger than bus.max_event, and are in the list %q: raise that and move them back (LMOVE), or delete them",
		l.key, large, l.large))
	return nil
}
