package main

import (
	"context"
	"syscall"
	"time"
)

// life starts sluice with nothing and leaves it alone. Then it has it deliver
// most of many events, and kills it while the rest waits for a paused trigger.
func (b *bench) life(ctx context.Context, dir string) error {
	w, err := startWorker(ctx, dir, b.self)
	if err != nil {
		return err
	}
	to, began := w.url+pathWork, time.Now()
	i, err := b.sluice.start(ctx, dir, to)
	if err != nil {
		return err
	}
	if err := i.ready(ctx); err != nil {
		return err
	}
	b.book.add(metricStart, nameSluice, time.Since(began).Seconds())
	if err := b.rest(ctx, i, metricIdleCPU, metricIdleMemory); err != nil {
		return err
	}
	if i, err = b.fill(ctx, i, dir, w); err != nil {
		return err
	}
	i, took, err := b.sluice.restart(ctx, i, dir, to, syscall.SIGKILL, func() error { return nil })
	if err != nil {
		return err
	}
	b.book.add(metricRestart, nameSluice, took.Seconds())
	if err := b.rest(ctx, i, metricFullCPU, metricFullMemory); err != nil {
		return err
	}
	if err := i.command(ctx, "resume"); err != nil {
		return err
	}
	if _, err := b.reach(ctx, w, i, pathWork, int64(b.stored)); err != nil {
		return err
	}
	return end(w, i)
}

// fill stores events: nine of ten are delivered, and the rest waits.
func (b *bench) fill(ctx context.Context, i *instance, dir string, w *workerProcess) (*instance, error) {
	to, settled := w.url+pathWork, b.stored-b.stored/10
	i, _, err := b.sluice.restart(ctx, i, dir, to, syscall.SIGTERM, func() error { return publish(ctx, dir, 0, settled) })
	if err != nil {
		return nil, err
	}
	if _, err := b.reach(ctx, w, i, pathWork, int64(settled)); err != nil {
		return nil, err
	}
	if err := i.command(ctx, "pause"); err != nil {
		return nil, err
	}
	i, _, err = b.sluice.restart(ctx, i, dir, to, syscall.SIGTERM, func() error { return publish(ctx, dir, settled, b.stored) })
	return i, err
}

// settleDown is how long what was done before may go on after its end.
const settleDown = 3 * time.Second

// rest looks at a process that has nothing to do.
func (b *bench) rest(ctx context.Context, i *instance, processor, memory metric) error {
	if err := pause(ctx, settleDown); err != nil {
		return err
	}
	cpu := i.cpu()
	if err := pause(ctx, b.idle); err != nil {
		return err
	}
	b.book.add(processor, nameSluice, 100*(i.cpu()-cpu).Seconds()/b.idle.Seconds())
	b.book.add(memory, nameSluice, float64(i.memory("VmRSS"))/(1<<20))
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
