package service

import (
	"context"
	"errors"
	"time"

	"sluice/cmd/sluice/internal/admin"
	"sluice/functions"
	"sluice/functions/logs"
	sinkfunction "sluice/sinks/function"
)

// openLogs opens the store of what functions write and use, and runs it until
// stopLogs: it is there before the first worker, and after the last one.
func (s *Service) openLogs(ctx context.Context) error {
	c := &s.options.File.Logs
	var err error
	s.logs, err = logs.Open(logs.Options{
		Dir: c.Dir, MaxBytes: int64(c.MaxBytes), MaxAge: time.Duration(c.MaxAge), Logger: s.logger, Now: s.options.Now,
		Full: func() bool {
			disk, ok := s.bus.Disk()
			return ok && disk.Free <= disk.MinFree // what is left is for the ledger and letters
		},
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- s.logs.Run(ctx) }()
	s.stopLogs = func() error {
		cancel()
		return errors.Join(<-ended, s.logs.Close())
	}
	return nil
}

// observers give what they take to each of them that is there.
type observers []functions.Observer

// Line is for functions.Observer.
func (o observers) Line(line functions.Line) {
	for _, one := range o {
		if one != nil {
			one.Line(line)
		}
	}
}

// Report is for functions.Observer.
func (o observers) Report(report functions.Report) {
	for _, one := range o {
		if one != nil {
			one.Report(report)
		}
	}
}

// ListFunctions returns how all functions stand, in the order of the file. It is
// for admin.Functions.
func (s *Service) ListFunctions() []admin.Function {
	w := s.wiring.Load()
	all := make([]admin.Function, 0, len(w.file.Functions))
	for i := range w.file.Functions {
		f := &w.file.Functions[i]
		seen := admin.Function{Name: f.Name, Kind: f.Sink.Kind}
		if run, ok := w.sinks[functionKey(f.Name)].inner.(runner); ok {
			fillFunction(&seen, run)
		}
		if c, ok := f.Sink.Section.(*sinkfunction.Config); ok {
			seen.Runtime, seen.Handler, seen.Shape = c.FoundRuntime(), c.Handler, string(c.Shape)
			seen.Concurrency, seen.Memory = c.Concurrency, int64(c.Memory)
			seen.TimeoutMS = float64(time.Duration(c.Timeout)) / float64(time.Millisecond)
		}
		all = append(all, seen)
	}
	return all
}

func fillFunction(seen *admin.Function, run runner) {
	stats := run.Stats()
	seen.State, seen.Starting, seen.Idle, seen.Busy, seen.Waiting = admin.StateOK, stats.Starting, stats.Idle, stats.Busy, stats.Waiting
	if err := run.Health(); err != nil {
		seen.State, seen.Error = admin.StateDegraded, err.Error()
	}
}
