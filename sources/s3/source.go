package s3

import (
	"context"
	"errors"
	"hash/fnv"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"

	"sluice/sources"
)

const (
	// maxNotes is how many notifications wait while the bus is away or a page
	// is compared. Beyond, the listing finds what they told.
	maxNotes = 4096

	firstRetry = 500 * time.Millisecond
	maxRetry   = 30 * time.Second
	// listenRetry is the pause before the listen API is tried again on a server
	// that has refused it: it may have been upgraded.
	listenRetry = 5 * time.Minute
	// stable is how long a stream must have lived for the next pause to be
	// short.
	stable = time.Minute
)

var (
	_ sources.Source  = (*source)(nil)
	_ sources.Lagging = (*source)(nil)
)

type source struct {
	cfg     Config
	env     sources.Env
	waiting atomic.Int64 // notifications taken and not yet published
}

// Source builds the source. It opens no connection.
func (c *Config) Source(env sources.Env) (sources.Source, error) {
	if env.Report == nil {
		env.Report = func(error) {}
	}
	if c.Notify != nil {
		if err := c.Notify.Permit(env); err != nil {
			return nil, err
		}
	}
	return &source{cfg: *c, env: env}, nil
}

// Lag returns how many notifications wait to be published. How old what the
// server has not told is cannot be known.
func (s *source) Lag() (age time.Duration, items int64) { return -1, s.waiting.Load() }

// Run publishes the bucket's new objects until ctx ends. What the server
// refuses is reported as health and tried again; an error is returned only when
// the memory cannot be read or somebody else has taken over.
func (s *source) Run(ctx context.Context, out sources.Out) error {
	server, err := newClient(&s.cfg)
	if err != nil {
		return err
	}
	known, err := recall(ctx, out, s.cfg.Bucket, s.scope(), server.wants)
	if err != nil {
		return ignoreEnd(ctx, err)
	}
	if known.former {
		s.logger().Warn("what is known was stored in an older form and is found out anew: what was uploaded since may become an event again",
			slog.Time("since", known.root.since))
	}
	r := newRun(s, server, known)
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		r.workers.Wait()
		server.close()
		s.waiting.Store(0)
	}()
	if s.cfg.Listen == auto {
		r.workers.Go(func() { r.listen(ctx) })
	}
	if s.cfg.Notify != nil {
		r.workers.Go(func() { r.serveNotifications(ctx) })
	}
	err = r.loop(ctx)
	close(r.over)
	return ignoreEnd(ctx, err)
}

// ignoreEnd turns the errors that come from the end of ctx into none.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // who ended ctx knows
	}
	return err
}

func (s *source) scope() scope {
	return scope{bucket: hash(s.cfg.Bucket), filter: hash(s.cfg.Prefix, s.cfg.Suffix)}
}

func hash(parts ...string) uint64 {
	h := fnv.New64a()
	for _, part := range parts {
		_, _ = h.Write([]byte(part + "\x00")) // never fails
	}
	return h.Sum64()
}

// A run is one life of a source. All fields but the channels and atomics belong to loop's goroutine.
type run struct {
	*source
	server  *client
	memory  *memory
	workers sync.WaitGroup

	notes    chan note
	opened   chan struct{} // the stream of notifications is open, or known to be of no use
	held     atomic.Bool   // the server has the listen API, but no timely notifications
	overflow atomic.Bool   // a notification was dropped
	pushes   chan push
	asked    sequencers
	failed   chan error    // pushes cannot be taken
	over     chan struct{} // closed when loop has ended
	away     atomic.Bool   // nothing can be published
	pages    chan page     // of the listing under way; nil for none
	began    time.Time     // by the server's clock, when it began
	started  time.Time     // the same by this machine's
	again    bool          // list again as soon as it is over
	next     *time.Timer   // when to list
	pause    backoff.BackOff
	bucket   versioning
	ready    bool // bucket is known, and the server's clock

	listError, busError error
	reported            string
}

func newRun(s *source, server *client, known *memory) *run {
	r := &run{
		source: s, server: server, memory: known,
		notes:  make(chan note, maxNotes),
		opened: make(chan struct{}, 1),
		pushes: make(chan push),
		asked:  sequencers{},
		failed: make(chan error, 1),
		over:   make(chan struct{}),
		next:   time.NewTimer(0),
		pause:  newBackoff(maxRetry),
	}
	if s.cfg.Metadata {
		known.describe = r.describe
	}
	return r
}

func newBackoff(longest time.Duration) backoff.BackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(firstRetry),
		backoff.WithMaxInterval(longest),
		backoff.WithMaxElapsedTime(0),
	)
}

// loop handles one thing after another: what it knows needs no lock.
func (r *run) loop(ctx context.Context) error {
	defer r.next.Stop()
	start := r.env.Now() // not later, however long it takes to store it
	if err := r.persist(ctx, func() error { return r.memory.start(ctx, start, r.cfg.Backfill) }); err != nil {
		return err
	}
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-r.opened:
			r.list(ctx)
		case <-r.next.C:
			r.list(ctx)
		case p := <-r.pages:
			err = r.page(ctx, p)
		case first := <-r.readyNotes():
			err = r.take(ctx, first)
		case first := <-r.readyPushes():
			err = r.takePushes(ctx, first)
		case err = <-r.failed:
		}
		if err != nil {
			return err
		}
	}
}

// readyNotes returns no channel until it is known how to read notifications.
func (r *run) readyNotes() <-chan note {
	if !r.ready {
		return nil
	}
	return r.notes
}

// take publishes what a notification and all that wait behind it tell.
func (r *run) take(ctx context.Context, first note) error {
	var objects []object
	var keys []string
	taken := int64(0)
	for n, more := first, true; more; n, more = r.waitingNote() {
		taken++
		switch found, asked := r.resolve(n); {
		case asked:
			keys = append(keys, n.object.key)
		default:
			objects = append(objects, found...)
		}
		if taken >= maxEvents {
			break
		}
	}
	err := r.persist(ctx, func() error { return r.memory.learn(ctx, objects) })
	if err == nil {
		err = r.ask(ctx, keys)
	}
	r.waiting.Add(-taken)
	if r.overflow.CompareAndSwap(true, false) {
		r.listSoon()
	}
	return err
}

// ask has the bucket tell what has become of the keys. What it does not tell,
// the next listing finds.
func (r *run) ask(ctx context.Context, keys []string) error {
	slices.Sort(keys)
	missed, err := r.lookUpAll(ctx, slices.Compact(keys))
	if missed != nil {
		r.listSoon()
	}
	return err
}

func (r *run) waitingNote() (note, bool) {
	select {
	case n := <-r.notes:
		return n, true
	default:
		return note{}, false
	}
}

// resolve returns the objects of a notification as a listing would show them,
// or says that the bucket is to be asked.
func (r *run) resolve(n note) (objects []object, ask bool) {
	switch {
	case r.bucket == unversioned && n.object.version != "":
		// Versioning has just been switched on: the next listing asks.
		r.listSoon()
		return nil, false
	case n.vague:
		return nil, true
	case r.bucket == hidden:
		return []object{n.object.unversioned()}, false
	}
	return []object{n.object}, false
}

// lookUp lists the versions of one key.
func (r *run) lookUp(ctx context.Context, key string) ([]object, error) {
	var found []object
	err := r.server.list(ctx, r.bucket, key, func(o object) bool {
		if o.key == key {
			found = append(found, o)
		}
		return o.key == key
	})
	return found, err
}

// compare publishes in what a view differs from what is known. While the bus is
// away it tries again, and returns only what another try cannot mend.
func (r *run) compare(ctx context.Context, v view) error {
	return r.persist(ctx, func() error { return r.memory.compare(ctx, v) })
}

func (r *run) persist(ctx context.Context, write func() error) error {
	err := backoff.RetryNotify(func() error {
		err := write()
		if err != nil && final(err) {
			return backoff.Permanent(err)
		}
		return err
	}, backoff.WithContext(newBackoff(maxRetry), ctx), func(err error, _ time.Duration) {
		r.busError = err
		r.away.Store(true)
		r.report()
	})
	if err == nil && r.busError != nil {
		r.busError = nil
		r.away.Store(false)
		r.report()
	}
	return err
}

// report tells the health when it has changed, and logs when it has become bad
// or good.
func (r *run) report() {
	err := r.busError
	if err == nil {
		err = r.listError
	}
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text == r.reported {
		return
	}
	switch {
	case r.reported == "":
		r.logger().Warn("the source is degraded", slog.String("error", text))
	case err == nil:
		r.logger().Info("the source is well again")
	}
	r.reported = text
	r.env.Report(err)
}

// listen keeps a stream of notifications open until ctx ends. It says only
// what has changed.
func (r *run) listen(ctx context.Context) {
	pause := newBackoff(maxRetry)
	state := ""
	say := func(now string, reason error) {
		if now != state {
			state = now
			r.say(now, reason)
		}
	}
	for {
		start := time.Now()
		err := r.server.listen(ctx, func() {
			say(listening, nil)
			signal(r.opened)
		}, func() { r.held.Store(false) }, r.offer)
		if ctx.Err() != nil {
			return
		}
		wait := pause.NextBackOff()
		switch {
		case errors.Is(err, errHeld):
			say(held, err)
			r.held.Store(true)
			signal(r.opened)
			wait = listenRetry
		case refused(err):
			say(notListening, err)
			wait = listenRetry
		case time.Since(start) > stable:
			pause.Reset()
			wait = firstRetry
			fallthrough
		default:
			say(lost, err)
		}
		sleep(ctx, wait)
	}
}

// The states of listening.
const (
	listening    = "listening"
	notListening = "refused"
	lost         = "lost"
	held         = "held"
)

func (r *run) say(state string, reason error) {
	log := r.logger()
	switch state {
	case listening:
		log.Info("the server notifies of uploads")
	case notListening:
		log.Info("the server does not notify of uploads: listing only",
			slog.Duration("interval", time.Duration(r.cfg.Interval)), slog.String("reason", reason.Error()))
	case held:
		log.Info("no timely notifications: listing often instead", slog.String("reason", reason.Error()))
	case lost:
		log.Info("no notifications for now: listing only", slog.String("reason", reason.Error()))
	}
}

func (s *source) logger() *slog.Logger {
	return s.env.Logger.With(slog.String("bucket", s.cfg.Bucket))
}

// offer hands a notification to loop, or leaves it to the listing.
func (r *run) offer(n note) {
	select {
	case r.notes <- n:
		r.waiting.Add(1)
	default:
		r.overflow.Store(true)
	}
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
