package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"sluice/bus"
	"sluice/dlq"
	"sluice/event"
)

const (
	// letterTriggers is how many triggers the letters are of, and rareLetters
	// which of them have another reason than the rest.
	letterTriggers = 10
	rareLetters    = 10_000
	// pageOfLetters is how many are listed in one request.
	pageOfLetters = 1000
	// lettersMemory bounds by how much the resident memory grows while letters are
	// listed, filtered and counted, however many there are; lettersHeap is what Go's
	// runtime is told to keep within, over what it has at rest: without, it would
	// let garbage grow with what it has, which is an index of all letters.
	lettersMemory, lettersHeap = 128 << 20, 64 << 20
)

// letters asks a sluice that has many letters for some of them, and for all.
func (b *bench) letters(ctx context.Context, dir string) error {
	if err := b.storeLetters(ctx, dir); err != nil {
		return err
	}
	atRest, err := b.atRest(ctx, dir)
	if err != nil {
		return err
	}
	limited := b.sluice
	limited.memory = atRest + lettersHeap
	i, err := limited.start(ctx, dir, "")
	if err != nil {
		return err
	}
	if err := errors.Join(i.ready(ctx), pause(ctx, settleDown), i.forgetMost()); err != nil {
		return err
	}
	for _, ask := range []struct {
		metric metric
		query  string
		want   int
	}{
		{metricLetterPage, "", pageOfLetters},
		{metricLetterTrigger, "&trigger=t3", min(pageOfLetters, b.lettered/letterTriggers)},
		{metricLetterSince, "&since=" + diedAt(b.lettered-10, b.lettered).Format(time.RFC3339Nano), 10},
		{metricLetterReason, "&reason=" + dlq.ReasonExpired, b.lettered / rareLetters},
	} {
		began := time.Now()
		page, err := i.lettersPage(ctx, ask.query)
		if err != nil {
			return err
		}
		if len(page.Letters) != ask.want {
			return fmt.Errorf("%s: %d letters, not %d", ask.query, len(page.Letters), ask.want)
		}
		b.book.add(ask.metric, nameSluice, milliseconds(int64(time.Since(began))))
	}
	if err := b.allLetters(ctx, i); err != nil {
		return err
	}
	grown := i.most() - atRest
	b.book.add(metricLetterMemory, nameSluice, float64(atRest)/(1<<20))
	b.book.add(metricLetterGrowth, nameSluice, float64(grown)/(1<<20))
	if grown > lettersMemory {
		return fmt.Errorf("asking for letters has taken %d MiB of memory; %d are enough for any number", grown>>20, lettersMemory>>20)
	}
	return i.stop(syscall.SIGTERM)
}

// atRest returns the resident memory of a sluice on the letters, of which nobody
// asks for any.
func (b *bench) atRest(ctx context.Context, dir string) (int64, error) {
	i, err := b.sluice.start(ctx, dir, "")
	if err != nil {
		return 0, err
	}
	if err := i.ready(ctx); err != nil {
		return 0, err
	}
	if err := pause(ctx, settleDown); err != nil {
		return 0, err
	}
	return i.memory("VmRSS"), i.stop(syscall.SIGTERM)
}

// allLetters counts all letters, and lists them page by page.
func (b *bench) allLetters(ctx context.Context, i *instance) error {
	began := time.Now()
	var counts struct{ Total int }
	if err := ask(ctx, http.MethodGet, i.admin+"/api/v1/letters?group=error", &counts); err != nil {
		return err
	}
	b.book.add(metricLetterCount, nameSluice, float64(counts.Total)/time.Since(began).Seconds())
	began = time.Now()
	listed, after := 0, uint64(0)
	for {
		page, err := i.lettersPage(ctx, "&after="+strconv.FormatUint(after, 10))
		if err != nil {
			return err
		}
		listed += len(page.Letters)
		if after = page.Next; after == 0 {
			break
		}
	}
	b.book.add(metricLetterList, nameSluice, float64(listed)/time.Since(began).Seconds())
	if counts.Total != b.lettered || listed != b.lettered {
		return fmt.Errorf("%d letters are counted and %d listed; there are %d", counts.Total, listed, b.lettered)
	}
	return nil
}

type lettersPage struct {
	Letters []struct{ ID string }
	Next    uint64
}

func (i *instance) lettersPage(ctx context.Context, query string) (page lettersPage, err error) {
	return page, ask(ctx, http.MethodGet, i.admin+"/api/v1/letters?limit="+strconv.Itoa(pageOfLetters)+query, &page)
}

// storeLetters puts letters into a folder that nobody else has open. The server
// syncs rarely meanwhile: how fast letters are stored is not measured here.
func (b *bench) storeLetters(ctx context.Context, dir string) error {
	o := storeOptions(dir)
	o.SyncInterval = time.Minute
	opened, err := bus.Open(ctx, o)
	if err != nil {
		return err
	}
	err = putLetters(ctx, opened, b.lettered)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	return errors.Join(err, opened.Close(closing))
}

func putLetters(ctx context.Context, b *bus.Bus, letters int) error {
	store, err := dlq.Open(ctx, b.JetStream(), dlq.Options{
		Prefix: b.Prefix(), Stream: b.Names().Letters, Log: b, Settled: func(ids ...string) []bool { return make([]bool, len(ids)) },
	})
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	const writers = 64
	for w := range writers {
		group.Go(func() error {
			for n := w; n < letters; n += writers {
				if err := store.Put(ctx, letter(b.Incarnation(), n, letters)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// letter makes one of so many letters, of a whole day.
func letter(incarnation string, n, of int) *dlq.Letter {
	died := diedAt(n, of)
	e := makeEvent(n, died.Add(-time.Minute))
	l := &dlq.Letter{
		ID:     event.DeliveryID{Incarnation: incarnation, Sequence: uint64(n + 1), Trigger: "t" + strconv.Itoa(n%letterTriggers)},
		Source: sourceName, Event: &e, Reason: dlq.ReasonExhausted, Status: http.StatusServiceUnavailable,
		Error: fmt.Sprintf("answered 503 Service Unavailable: request %d", n), AcceptedAt: e.Time, DiedAt: died, Made: 3,
	}
	if n%rareLetters == rareLetters-1 {
		l.Reason = dlq.ReasonExpired
	}
	// One attempt is told of: the letters' stream has 1 GiB, for a million.
	l.Attempts = []dlq.Attempt{{Number: 3, Time: died, Duration: time.Millisecond, Status: l.Status, Error: l.Error}}
	return l
}

// diedAt spreads letters over the day before.
func diedAt(n, of int) time.Time {
	const day = 24 * time.Hour
	return time.Now().Truncate(day).Add(-day + time.Duration(n)*(day/time.Duration(of))).UTC()
}
