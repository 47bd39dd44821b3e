package service

import (
	"context"
	"errors"
	"fmt"

	"sluice/config"
	"sluice/event"
	"sluice/event/aws"
	"sluice/functions"
	"sluice/router"
	"sluice/sinks"
	sinkfunction "sluice/sinks/function"
)

// A FunctionStatus says how a function stands that sluice runs itself.
type FunctionStatus struct {
	Name string
	// Err is why no worker can be started; nil when all is well.
	Err error
}

// A runner is the sink of a function that sluice runs itself.
type runner interface {
	Invoke(ctx context.Context, in functions.Invocation) (functions.Result, error)
	Refresh(ctx context.Context) error
	Fingerprint() string
	Health() error
	Stats() functions.Stats
}

// ErrNoFunction means that sluice runs no function of this name.
var ErrNoFunction = errors.New("there is no such function")

// openFunctions makes what functions share.
func (s *Service) openFunctions(ctx context.Context) error {
	metrics, err := functions.NewMetrics(s.registry)
	if err != nil {
		return fmt.Errorf("functions: %w", err)
	}
	if err := s.openLogs(ctx); err != nil {
		return err
	}
	s.functions = functions.Host{
		Observer: observers{s.logs, s.options.Functions}, Metrics: metrics,
		Folders: functions.NewFolders(func() (string, error) { return scratch(s.options.File) }),
	}
	return nil
}

// Functions returns how the functions stand that sluice runs itself, in the
// order of the file.
func (s *Service) Functions() []FunctionStatus {
	w := s.wiring.Load()
	var all []FunctionStatus
	for i := range w.file.Functions {
		f := &w.file.Functions[i]
		if run, ok := w.sinks[functionKey(f.Name)].inner.(runner); ok {
			all = append(all, FunctionStatus{Name: f.Name, Err: run.Health()})
		}
	}
	return all
}

// Invoke calls a function at once. Its errors are ErrNoFunction, wrapped, and
// those of functions.Pool.
func (s *Service) Invoke(ctx context.Context, function string, in functions.Invocation) (functions.Result, error) {
	var result functions.Result
	err := s.withFunction(function, func(run runner) (err error) {
		result, err = run.Invoke(ctx, in)
		return err
	})
	return result, err
}

// InvokeAsync has a function called later, by its trigger for that. It returns nil
// when that is durable; the request id is then that of each attempt. Its errors
// are ErrNoFunction, event.ErrTooLarge, event.ErrFull and event.ErrUnavailable,
// wrapped.
func (s *Service) InvokeAsync(ctx context.Context, function string, in functions.Invocation) error {
	trigger := function + config.SuffixAsync
	if found := s.wiring.Load().find(trigger); found == nil || !found.Directed {
		return fmt.Errorf("%w: %q", ErrNoFunction, function)
	}
	call := event.Event{
		ID: in.RequestID, Source: "/functions/" + function, Type: aws.TypeInvocation, Subject: function,
		Time: s.options.Now().UTC(), DataContentType: "application/json", Data: in.Payload,
	}
	for name, value := range map[string]string{
		sinkfunction.AttributeClientContext: in.ClientContext, sinkfunction.AttributeTraceID: in.TraceID,
	} {
		if value == "" {
			continue
		}
		if err := call.SetExtension(name, value); err != nil {
			return fmt.Errorf("invoke %q: %w", function, err)
		}
	}
	if err := call.Validate(); err != nil {
		return fmt.Errorf("invoke %q: %w", function, err)
	}
	if _, err := s.bus.PublishDirected(ctx, event.Directed{Trigger: trigger, Event: call}); err != nil {
		return fmt.Errorf("invoke %q: %w", function, err)
	}
	return nil
}

// result returns what tells a trigger of the deliveries to a function that have
// ended, where the function has such a trigger.
func result(file *config.File, f *config.Function, suffix string, to *config.To) *router.Result {
	section, ok := f.Sink.Section.(*sinkfunction.Config)
	if !ok || *to == (config.To{}) {
		return nil
	}
	return &router.Result{
		Trigger: f.Name + suffix,
		Record: func(end *sinks.End) (event.Event, error) {
			return section.Record(f.Name, int(file.Bus.MaxEvent), end)
		},
	}
}

// Refresh makes the program of a function anew. After an error the old one goes
// on.
func (s *Service) Refresh(ctx context.Context, function string) error {
	return s.withFunction(function, func(run runner) error { return run.Refresh(ctx) })
}

// Fingerprint changes whenever the files of a function's program do.
func (s *Service) Fingerprint(function string) (print string, err error) {
	err = s.withFunction(function, func(run runner) error {
		print = run.Fingerprint()
		return nil
	})
	return print, err
}

// withFunction calls use with a function, which is not closed meanwhile.
func (s *Service) withFunction(name string, use func(runner) error) error {
	for {
		lent := s.wiring.Load().sinks[functionKey(name)]
		if lent == nil {
			return fmt.Errorf("%w: %q", ErrNoFunction, name)
		}
		run, ok := lent.inner.(runner)
		if !ok {
			return fmt.Errorf("%w: %q is a sink of another kind, which takes deliveries only", ErrNoFunction, name)
		}
		if lent.borrow() {
			defer lent.done()
			return use(run)
		}
		if s.phase.Load() == stopping {
			return functions.ErrClosed
		}
	}
}
