package main

import (
	"context"
	"net/http"
	"syscall"
	"time"
)

// life starts sluice with nothing, kills it with many events behind a paused
// trigger, starts it again, lets the trigger catch up, and leaves it alone.
func (b *bench) life(ctx context.Context, s system, dir string) error {
	began := time.Now()
	w, i, err := b.pair(ctx, s, dir)
	if err != nil {
		return err
	}
	if err := b.sluice.ready(ctx, i); err != nil {
		return err
	}
	b.book.add(metricStart, s.name(), time.Since(began).Seconds())
	if err := ask(ctx, http.MethodPost, i.admin+"/api/v1/triggers/"+triggerName+"/pause", nil); err != nil {
		return err
	}
	if err := i.stop(syscall.SIGTERM); err != nil {
		return err
	}
	if err := publish(ctx, dir, b.stored); err != nil {
		return err
	}
	if i, err = b.killed(ctx, s, dir, w); err != nil {
		return err
	}
	if err := b.catchUp(ctx, s, w, i); err != nil {
		return err
	}
	if err := b.rest(ctx, s, i); err != nil {
		return err
	}
	return end(w, i)
}

// killed starts a system on a full store, kills it, and starts it again.
func (b *bench) killed(ctx context.Context, s system, dir string, w *workerProcess) (*instance, error) {
	i, err := s.start(ctx, dir, w.url+"/work")
	if err != nil {
		return nil, err
	}
	if err := b.sluice.ready(ctx, i); err != nil {
		return nil, err
	}
	if err := i.stop(syscall.SIGKILL); err != nil {
		return nil, err
	}
	began := time.Now()
	if i, err = s.start(ctx, dir, w.url+"/work"); err != nil {
		return nil, err
	}
	if err := b.sluice.ready(ctx, i); err != nil {
		return nil, err
	}
	b.book.add(metricRestart, s.name(), time.Since(began).Seconds())
	return i, nil
}

// catchUp resumes the trigger.
func (b *bench) catchUp(ctx context.Context, s system, w *workerProcess, i *instance) error {
	cpu := w.cpu() + i.cpu()
	began := time.Now()
	if err := ask(ctx, http.MethodPost, i.admin+"/api/v1/triggers/"+triggerName+"/resume", nil); err != nil {
		return err
	}
	last, err := b.reach(ctx, w, i, int64(b.stored))
	if err != nil {
		return err
	}
	b.book.add(metricCatchUp, s.name(), float64(b.stored)/time.Unix(0, last.Last).Sub(began).Seconds())
	b.book.add(metricCatchUpCPU, s.name(), (last.cpu-cpu).Seconds()/float64(b.stored)*100_000)
	return nil
}

// settleDown is how long what was done before may go on after its end.
const settleDown = 3 * time.Second

// rest looks at a process that has nothing to do.
func (b *bench) rest(ctx context.Context, s system, i *instance) error {
	if err := pause(ctx, settleDown); err != nil {
		return err
	}
	cpu := i.cpu()
	if err := pause(ctx, b.idle); err != nil {
		return err
	}
	b.book.add(metricIdleCPU, s.name(), 100*(i.cpu()-cpu).Seconds()/b.idle.Seconds())
	b.book.add(metricIdleMemory, s.name(), float64(i.resident())/(1<<20))
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
