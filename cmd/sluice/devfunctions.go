package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"sluice/cmd/sluice/internal/service"
)

// watchFunctions takes over the files of functions whenever they change, until
// ctx ends.
func watchFunctions(ctx context.Context, running *service.Service, out *devLog) {
	var watched sync.WaitGroup
	defer watched.Wait()
	known := map[string]context.CancelFunc{}
	tick := time.NewTicker(devPoll)
	defer tick.Stop()
	for {
		var names []string
		for _, f := range running.Functions() {
			names = append(names, f.Name)
			if known[f.Name] == nil {
				inner, cancel := context.WithCancel(ctx)
				known[f.Name] = cancel
				watched.Go(func() { watchFunction(inner, running, f.Name, out) })
			}
		}
		for name, cancel := range known {
			if !slices.Contains(names, name) {
				cancel()
				delete(known, name)
			}
		}
		select {
		case <-ctx.Done():
			for _, cancel := range known {
				cancel()
			}
			return
		case <-tick.C:
		}
	}
}

// watchFunction looks at the files of one function.
func watchFunction(ctx context.Context, running *service.Service, name string, out *devLog) {
	before, err := running.Fingerprint(name)
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(devPoll):
		}
		after, failed := running.Fingerprint(name)
		if failed != nil || err != nil || before == after {
			before, err = after, failed
			continue
		}
		before = after
		if err := running.Refresh(ctx, name); ctx.Err() == nil {
			out.print(refreshText(out.paint, name, err))
		}
	}
}

// refreshText says what came of a changed function.
func refreshText(p paint, name string, err error) string {
	if err != nil {
		return fmt.Sprintf("%s\n%v\n", p.red(fmt.Sprintf("function %s has changed and cannot be taken over; the old one goes on:", name)), err)
	}
	return p.green(fmt.Sprintf("function %s taken over", name)) + p.dim("; workers of the old one end after what they run") + "\n"
}
