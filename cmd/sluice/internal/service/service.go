package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/bus"
	"sluice/cmd/sluice/internal/admin"
	"sluice/config"
	"sluice/connect/natsconn"
	"sluice/dlq"
	"sluice/event"
	"sluice/event/transform"
	"sluice/functions"
	"sluice/functions/invokeapi"
	"sluice/functions/logs"
	"sluice/router"
	"sluice/sinks"
	"sluice/sources"
	sourcehttp "sluice/sources/http"
)

const (
	defaultDrain = 25 * time.Second
	// stopWithin is how long a part may take to stop beyond the time that it
	// takes by itself.
	stopWithin  = 20 * time.Second
	closeBus    = 10 * time.Second
	readyWithin = 2 * time.Second // one health check of the bus
)

// Options are what a Service is made of.
type Options struct {
	File    *config.File
	Logger  *slog.Logger
	Version string
	// Token, when it is set, must come with every request to the admin listener.
	Token config.Secret
	// Drain is how long attempts under way may go on when the service stops: 25 s
	// by default.
	Drain time.Duration
	// Observe is called for each end of an attempt, Accepted for events that are
	// durable, with the number of triggers that each matches. Neither may block;
	// either may be nil.
	Observe  func(router.Observation)
	Accepted func(source string, e *event.Event, triggers int)
	// Functions takes what functions log and use. It may be nil.
	Functions functions.Observer
	// Now is the clock; nil for the system's.
	Now func() time.Time
}

// A Service is everything that a configuration asks for. It is made by Open and
// runs once.
type Service struct {
	options  Options
	logger   *slog.Logger
	registry *prometheus.Registry
	bus      *bus.Bus
	letters  *dlq.Store
	janitor  *bus.Janitor
	router   *router.Router
	ingest   *sourcehttp.Server
	admin    *admin.Server
	sources  *supervisor
	turns    *transform.Turns // of all transforms and templates

	functions functions.Host
	logs      *logs.Store // of functions
	stopLogs  func() error
	invokes   *invokeapi.API // nil when nobody may invoke

	ready  chan struct{}
	served bool // the ingest server has run, and has closed its listener
	phase  atomic.Int32
	taking atomic.Bool // the ingest listener runs
	wiring atomic.Pointer[wiring]
	reload sync.Mutex
}

// The phases of a service.
const (
	starting = iota
	serving
	stopping
)

// Open opens the store and the listeners, and builds everything. What it has
// opened is closed by Run, or by Open itself when it fails.
func Open(ctx context.Context, options Options) (*Service, error) {
	if options.Drain == 0 {
		options.Drain = defaultDrain
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	s := &Service{
		options: options, logger: options.Logger, ready: make(chan struct{}), turns: transform.NewTurns(runtime.GOMAXPROCS(0)),
	}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.close(ctx))
	}
	return s, nil
}

func (s *Service) open(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		s.openBus, s.openLetters, s.openFunctions, s.openRouter, s.openIngest, s.openInvokes, s.openAdmin,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) openBus(ctx context.Context) error {
	registry, err := newRegistry(s.options.Version)
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	s.registry = registry
	options, err := s.busOptions()
	if err != nil {
		return fmt.Errorf("bus: %w", err)
	}
	s.bus, err = bus.Open(ctx, options)
	if err != nil {
		return fmt.Errorf("bus: %w", err)
	}
	return s.registry.Register(&busCollector{bus: s.bus})
}

// busOptions are those of the file.
func (s *Service) busOptions() (bus.Options, error) {
	c := &s.options.File.Bus
	o := bus.Options{
		Dir: c.Dir, URL: c.URL, Replicas: c.Replicas, Prefix: c.Prefix, MaxBytes: int64(c.MaxBytes),
		MaxEventSize: int(c.MaxEvent), ObjectBytes: int64(c.MaxLarge), MinFree: int64(c.MinFree),
		Logger: s.logger, Cluster: c.Placement.Cluster, Tags: c.Placement.Tags,
		Login: natsconn.From(&c.Auth),
	}
	if c.TLS == (config.TLS{}) {
		return o, nil
	}
	var err error
	o.TLS, err = c.TLS.Load()
	return o, err
}

// openLetters opens the letters. They ask the router what is settled, and the
// janitor for room; both are there before Run works on any.
func (s *Service) openLetters(ctx context.Context) error {
	var err error
	s.letters, err = dlq.Open(ctx, s.bus.JetStream(), dlq.Options{
		Prefix: s.bus.Prefix(), Stream: s.bus.Names().Letters, Log: s.bus, Logger: s.logger, Now: s.options.Now,
		Keep:    func() error { return s.bus.Keep(s.bus.Names().Letters) },
		Settled: func(ids ...string) []bool { return s.router.Settled(ids...) }, //nolint:contextcheck // it asks the router's own goroutine
		Known:   s.knows,
		History: s.bus, Incarnation: s.bus.Incarnation(), Select: s.selection,
		Settle: func() { s.janitor.Settle() }, Room: func(ctx context.Context) error { return s.janitor.Room(ctx) },
	})
	if err != nil {
		return fmt.Errorf("letters: %w", err)
	}
	return nil
}

// knows tells whether there is a trigger that has this name, or had it.
func (s *Service) knows(trigger string) bool { return s.wiring.Load().find(trigger) != nil }

// sinkEnv is what all sinks are given.
func (s *Service) sinkEnv() sinks.Env {
	return sinks.Env{Logger: s.logger, Turns: s.turns, Functions: s.functions}
}

func (s *Service) openRouter(context.Context) error {
	made, err := wire(s.options.File, nil, s.options.Now(), s.sinkEnv())
	if err != nil {
		return err
	}
	s.wiring.Store(made)
	s.router, err = router.New(router.Options{
		Log: s.bus, Ledger: s.bus, Letters: s.letters, Replies: &replies{bus: s.bus, accepted: s.accepted()}, Results: s.bus,
		Incarnation: s.bus.Incarnation(), Triggers: made.triggers,
		Logger: s.logger, Drain: s.options.Drain, Metrics: s.registry, Observe: s.options.Observe, Turns: s.turns,
	})
	if err != nil {
		return fmt.Errorf("router: %w", err)
	}
	s.janitor = bus.NewJanitor(s.bus, bus.JanitorOptions{
		MaxAge: time.Duration(s.options.File.Bus.MaxAge), Line: s.router.Line, Replays: s.letters,
		Letters: s.letters.Objects, Logger: s.logger,
	})
	return nil
}

func (s *Service) openIngest(ctx context.Context) error {
	c := &s.options.File.Ingest
	s.ingest = sourcehttp.NewServer(sourcehttp.Options{
		Listen: c.Listen, Logger: s.logger, AllowUnauthenticated: c.UnsafeNoAuth,
		MaxConnections: c.MaxConnections, MaxConnectionsPerAddress: c.MaxConnectionsPerAddress,
		HeaderTimeout: time.Duration(c.HeaderTimeout), BodyTimeout: time.Duration(c.BodyTimeout),
	})
	if err := s.ingest.Listen(ctx); err != nil {
		return listenError(err, "ingest.listen")
	}
	s.sources = &supervisor{
		logger: s.logger, ingest: s.ingest, now: s.options.Now, swaps: make(chan swap), accepted: s.accepted(),
		out: func(name string) sources.Out { return s.bus.Source(name) },
	}
	return s.registry.Register(&sourceCollector{supervisor: s.sources})
}

func (s *Service) openAdmin(ctx context.Context) error {
	c := &s.options.File.Admin
	var err error
	s.admin, err = admin.New(ctx, admin.Options{
		Listen: c.Listen, Token: s.options.Token, UnsafeNoAuth: c.UnsafeNoAuth, Logger: s.logger,
		Router: s.router, Log: s.bus, Letters: s.letters, Metrics: s.registry,
		Checks: s.checks, Sources: s.sources.list, Now: s.options.Now,
		Subscriptions: func() []admin.Subscription { return s.wiring.Load().subscriptions },
		Functions:     s, Logs: s.logs,
	})
	if err != nil {
		return listenError(err, "admin.listen")
	}
	return nil
}

// listenError names the key in the file by which a listener is moved.
func listenError(err error, key string) error {
	return fmt.Errorf("%w (%s in the file says where)", err, key)
}

// accepted returns what notes the events that sources have published, or nil.
func (s *Service) accepted() func(string, []event.Event) {
	if s.options.Accepted == nil {
		return nil
	}
	return func(source string, events []event.Event) {
		for i := range events {
			matched := s.wiring.Load().index.Match(source, &events[i], nil)
			s.options.Accepted(source, &events[i], len(matched))
		}
	}
}

// replies publish what sinks have answered with, and note it as accepted.
type replies struct {
	bus      *bus.Bus
	accepted func(string, []event.Event) // may be nil
}

// PublishReplies is for router.Replies.
func (r *replies) PublishReplies(ctx context.Context, name, delivery string, events ...event.Event) error {
	err := r.bus.PublishReplies(ctx, name, delivery, events...)
	if err == nil && r.accepted != nil {
		r.accepted(name, events)
	}
	return err
}

// Ready is closed when the service takes and carries events.
func (s *Service) Ready() <-chan struct{} { return s.ready }

// AdminAddr returns the address of the admin listener.
func (s *Service) AdminAddr() string { return s.admin.Addr() }

// IngestAddr returns the address that HTTP sources take requests on.
func (s *Service) IngestAddr() string { return s.ingest.Addr().String() }

// Run runs everything until ctx ends, and then stops it in order. It returns nil
// after an orderly stop.
func (s *Service) Run(ctx context.Context) error {
	running := newLayers(s.logger)
	err := s.start(ctx, running)
	if err == nil {
		s.phase.Store(serving)
		close(s.ready)
		s.logger.Info("ready", slog.String("ingest", s.IngestAddr()), slog.String("admin", s.AdminAddr()))
		select {
		case <-ctx.Done():
		case err = <-running.failed:
		}
	}
	s.phase.Store(stopping)
	s.logger.Info("stopping", slog.Duration("drain", s.options.Drain))
	s.reload.Lock() // a reload under way ends first
	defer s.reload.Unlock()
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return errors.Join(err, running.stop(), s.close(ctx))
}

// start starts the layers, from the bottom up.
func (s *Service) start(ctx context.Context, running *layers) error {
	running.start(ctx, "memory", stopWithin, keepMemory)
	running.start(ctx, "admin listener", stopWithin, s.admin.Run)
	running.start(ctx, "replays", stopWithin, func(ctx context.Context) error {
		keep(ctx, s.letters.Run, func(err error, wait time.Duration) {
			s.logger.Warn("replays are interrupted", slog.Any("error", err), slog.Duration("again_in", wait))
		})
		return nil
	})
	running.start(ctx, "router", s.options.Drain+stopWithin, s.router.Run)
	select {
	case <-s.router.Started():
	case err := <-running.failed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
	running.start(ctx, "janitor", stopWithin, s.janitor.Run)
	next, err := s.sources.build(s.options.File.Sources)
	if err != nil {
		return err
	}
	running.start(ctx, "sources", stopWithin, s.sources.run)
	if err := s.sources.swap(ctx, next); err != nil {
		return err
	}
	s.startInvokes(ctx, running)
	s.served = true
	running.start(ctx, "ingest listener", stopWithin, func(ctx context.Context) error {
		s.taking.Store(true)
		defer s.taking.Store(false)
		return s.ingest.Run(ctx)
	})
	return nil
}

// close closes what Open has opened and no layer closes.
func (s *Service) close(ctx context.Context) error {
	var all []error
	if s.admin != nil && s.phase.Load() == starting {
		all = append(all, s.admin.Close())
	}
	all = append(all, s.closeIngest(ctx))
	if w := s.wiring.Load(); w != nil {
		all = append(all, w.sinks.close())
	}
	if s.stopLogs != nil {
		all = append(all, s.stopLogs())
	}
	if s.bus != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeBus)
		defer cancel()
		all = append(all, s.bus.Close(ctx))
	}
	return errors.Join(all...)
}

// closeIngest closes the listener of a server that has not run.
func (s *Service) closeIngest(ctx context.Context) error {
	if s.served || s.ingest == nil || s.ingest.Addr() == nil {
		return nil
	}
	ended, cancel := context.WithCancel(context.WithoutCancel(ctx))
	cancel()
	return s.ingest.Run(ended)
}

// Reload takes over another configuration: triggers and sources, of which only
// those that changed are restarted. After an error the old one goes on.
func (s *Service) Reload(ctx context.Context, file *config.File) (Changes, error) {
	s.reload.Lock()
	defer s.reload.Unlock()
	if s.phase.Load() != serving {
		return Changes{}, errors.New("the service is not running")
	}
	before := s.wiring.Load()
	changes := compare(before.file, file)
	next, err := s.sources.build(file.Sources)
	if err != nil {
		return changes, err
	}
	made, err := wire(file, before, s.options.Now(), s.sinkEnv())
	if err != nil {
		return changes, err
	}
	if err := s.router.Configure(ctx, made.triggers); err != nil {
		made.sinks.retireExcept(before.sinks)
		return changes, fmt.Errorf("router: %w", err)
	}
	s.wiring.Store(made)
	s.takeKeys(&file.Ingest.Invoke)
	before.sinks.retireExcept(made.sinks)
	return changes, s.sources.swap(ctx, next)
}
