package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"time"
)

const (
	liveName = "live"
	liveType = "bench.live"
)

// backlog has many events wait, and delivers them.
func (b *bench) backlog(ctx context.Context, s system, dir string) error {
	h, can := s.(holder)
	if !can {
		return nil
	}
	c, err := b.catchUp(ctx, h, dir)
	if err != nil {
		return err
	}
	b.book.add(metricLive99, s.name(), c.alone)
	b.book.add(metricBusy99, s.name(), c.meanwhile)
	b.book.add(metricCatchUp, s.name(), c.rate)
	b.book.add(metricCatchUpCPU, s.name(), c.cpu)
	b.book.add(metricCatchUpMemory, s.name(), float64(c.most)/(1<<20))
	return nil
}

// adaptive is backlog of a sluice that finds out by itself how many attempts are
// of use.
func (b *bench) adaptive(ctx context.Context, dir string) error {
	s := b.sluice
	s.flow = "    adaptive: true\n"
	c, err := b.catchUp(ctx, s, dir)
	if err != nil {
		return err
	}
	b.book.add(metricAdaptive99, nameSluice, c.meanwhile)
	b.book.add(metricAdaptive, nameSluice, c.rate)
	return nil
}

// A catchUp is what came of delivering a backlog beside other events.
type catchUp struct {
	dispatch // of the rest of it, with nothing else
	// alone and meanwhile are the 99th percentiles of the latencies of other
	// events, while it waited and while it was delivered, ms.
	alone, meanwhile float64
}

// catchUp has many events wait. It looks how long events of another type take,
// first while they wait, and then while they are delivered; and how fast they are,
// once nothing else happens.
func (b *bench) catchUp(ctx context.Context, h holder, dir string) (c catchUp, err error) {
	w, err := startWorker(ctx, dir, b.self)
	if err != nil {
		return c, err
	}
	i, resume, err := h.hold(ctx, dir, w.url, b.waiting)
	if err != nil {
		return c, err
	}
	if c.alone, c.meanwhile, err = b.live(ctx, w, i, resume); err != nil {
		return c, err
	}
	if c.dispatch, err = b.remainder(ctx, w, i); err != nil {
		return c, err
	}
	c.most = i.most()
	return c, end(w, i)
}

// A holder can have events wait, while it delivers those of another type.
type holder interface {
	// hold runs it on a folder, to a worker, with so many events that wait until
	// resume is called.
	hold(ctx context.Context, dir, to string, waiting int) (i *instance, resume func() error, err error)
}

func (s theSluice) hold(ctx context.Context, dir, to string, waiting int) (*instance, func() error, error) {
	s = s.with(func(to string) string {
		return theSource + "triggers:\n" + trigger(triggerName, to+pathWork, eventType, "") + s.flow + trigger(liveName, to+pathNoted, liveType, "")
	})
	i, err := s.start(ctx, dir, to)
	if err != nil {
		return nil, nil, err
	}
	if err := i.ready(ctx); err != nil {
		return nil, nil, err
	}
	if err := i.command(ctx, "pause"); err != nil {
		return nil, nil, err
	}
	if i, _, err = s.restart(ctx, i, dir, to, syscall.SIGTERM, func() error { return publish(ctx, dir, 0, waiting) }); err != nil {
		return nil, nil, err
	}
	return i, func() error { return i.command(ctx, "resume") }, nil
}

func (f theFloor) hold(ctx context.Context, dir, to string, waiting int) (*instance, func() error, error) {
	if err := f.backlog(ctx, dir, waiting); err != nil {
		return nil, nil, err
	}
	i, err := f.run(ctx, dir, "-to", to+pathWork, "-live", to+pathNoted)
	if err != nil {
		return nil, nil, err
	}
	return i, func() error { return ask(ctx, http.MethodPost, strings.TrimSuffix(i.ingest, "/")+pathResume, nil) }, nil
}

// live sends events of the other trigger, calls resume, and sends more. It
// returns the 99th percentiles of both.
func (b *bench) live(ctx context.Context, w *workerProcess, i *instance, resume func() error) (alone, meanwhile float64, err error) {
	send, during := newSender(i, steadyClients), time.Duration(b.seconds)*time.Second
	send.kind = liveType
	send.next.Store(int64(b.waiting)) // ids of their own
	if _, err := send.steady(ctx, b.rate, warmUp); err != nil {
		return 0, 0, err
	}
	// What was published while sluice did not run has been read by then.
	if _, err := b.reach(ctx, w, i, pathNoted, send.accepted.Load()); err != nil {
		return 0, 0, err
	}
	before, err := send.steady(ctx, b.rate, during)
	if err != nil {
		return 0, 0, err
	}
	if err := resume(); err != nil {
		return 0, 0, err
	}
	after, err := send.steady(ctx, b.rate, during)
	if err != nil {
		return 0, 0, err
	}
	if _, err := b.reach(ctx, w, i, pathNoted, send.accepted.Load()); err != nil {
		return 0, 0, err
	}
	for _, part := range []struct {
		sent []sending
		to   *float64
	}{{before, &alone}, {after, &meanwhile}} {
		added, _, err := latencies(ctx, w, part.sent)
		if err != nil {
			return 0, 0, err
		}
		*part.to = percentile(added, 99)
	}
	return alone, meanwhile, nil
}

// remainder measures the rest of the backlog.
func (b *bench) remainder(ctx context.Context, w *workerProcess, i *instance) (d dispatch, err error) {
	first, err := b.reach(ctx, w, i, pathWork, 1)
	if err != nil {
		return d, err
	}
	if least := int64(b.waiting) / 10; int64(b.waiting)-first.Events < least {
		return d, fmt.Errorf("-waiting %d: after %d seconds %d of them were delivered, so that too few were left to measure", b.waiting, b.seconds, first.Events)
	}
	last, err := b.reach(ctx, w, i, pathWork, int64(b.waiting))
	return first.until(last), err
}
