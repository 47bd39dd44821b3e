package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/config"
	"sluice/connect/redisconn"
	"sluice/event/transform"
	"sluice/sinks"
	sinkhttp "sluice/sinks/http"
)

const (
	// silence is how long a server may send nothing, where an attempt has more
	// time.
	silence = 10 * time.Second
	// maxSending is how many attempts are sent at once, each by a connection.
	maxSending = 64
	// soon is so near to an attempt's end that what was cut off then was cut off by
	// it.
	soon = 50 * time.Millisecond
	// replicasWithin is how long replicas have to take what the server has.
	replicasWithin = 2 * time.Second
	// noRoom is when to try again while the server has no memory left.
	noRoom = time.Second
)

// A sink adds deliveries to streams.
type sink struct {
	config   Config
	turns    *transform.Turns
	template *transform.Template // nil when the key is always the same
	client   redis.UniversalClient
	sending  chan struct{} // has room for those that are being sent

	mu      sync.Mutex
	closed  bool
	pending sync.WaitGroup // those that are still being sent, though their attempt has ended
}

var _ sinks.Closer = (*sink)(nil)

func newSink(c *Config, env sinks.Env) (*sink, error) {
	guard := c.Egress.Guard(env.Egress)
	client, err := redisconn.Open(&c.Redis, redisconn.Options{
		Name: "sluice-" + env.Name, Dial: guard.Dialer(redisconn.DialTimeout).DialContext,
		Silence: silence,
	})
	if err != nil {
		return nil, err
	}
	s := &sink{config: *c, turns: env.Turns, client: client, sending: make(chan struct{}, maxSending)}
	if transform.IsTemplate(c.Key) {
		if s.template, err = transform.ParseTemplate(c.Key); err != nil {
			return nil, config.Invalid("key", "%v", err)
		}
	}
	return s, nil
}

// Close closes the connections, and waits for what uses them.
func (s *sink) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	err := s.client.Close()
	s.pending.Wait()
	return err
}

// Deliver adds the deliveries of an attempt in their order, sent together.
func (s *sink) Deliver(ctx context.Context, a sinks.Attempt) (sinks.Response, error) {
	if err := ctx.Err(); err != nil {
		return sinks.Response{}, err
	}
	failed := map[int]error{}
	adds := make([]*redis.XAddArgs, len(a.Deliveries))
	for i := range a.Deliveries {
		add, err := s.add(ctx, &a, &a.Deliveries[i])
		if err != nil {
			failed[i] = err
		}
		adds[i] = add
	}
	if len(failed) < len(adds) {
		results, err := s.sendWithin(ctx, adds)
		if err != nil {
			return sinks.Response{}, err
		}
		for i, err := range results {
			if err != nil {
				failed[i] = err
			}
		}
	}
	return sinks.Response{}, whole(failed, len(adds))
}

// whole is the error of an attempt of n deliveries.
func whole(failed map[int]error, n int) error {
	switch {
	case len(failed) == 0:
		return nil
	case n == 1:
		return failed[0]
	}
	return &sinks.PartialError{Failed: failed}
}

// add returns the command for a delivery.
func (s *sink) add(ctx context.Context, a *sinks.Attempt, d *sinks.Delivery) (*redis.XAddArgs, error) {
	key, err := s.key(ctx, d.Event)
	if err != nil {
		return nil, err
	}
	fields, err := s.fields(a, d)
	if err != nil {
		return nil, err
	}
	add := &redis.XAddArgs{Stream: key, Values: fields, MaxLen: s.config.MaxLen, Approx: true}
	if age := time.Duration(s.config.MaxAge); age > 0 {
		add.MinID = strconv.FormatInt(time.Now().Add(-age).UnixMilli(), 10)
	}
	return add, nil
}

// sendWithin is send, for as long as ctx lasts: the client heeds a deadline, but
// not that an attempt is called off. What was sent then may be stored.
func (s *sink) sendWithin(ctx context.Context, adds []*redis.XAddArgs) ([]error, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	done := make(chan []error, 1)
	go func() {
		defer s.end()
		done <- s.send(ctx, adds)
	}()
	select {
	case results := <-done:
		if deadline, bounded := ctx.Deadline(); bounded && time.Until(deadline) < soon && failedAll(results) {
			<-ctx.Done() // the connection was a little ahead
		}
		if ctx.Err() != nil && failedAll(results) {
			return nil, ended(ctx)
		}
		return results, nil
	case <-ctx.Done():
		return nil, ended(ctx)
	}
}

// begin takes room for an attempt, until end is called.
func (s *sink) begin(ctx context.Context) error {
	select {
	case s.sending <- struct{}{}:
	case <-ctx.Done():
		return ended(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		<-s.sending
		return sinks.ErrClosed
	}
	s.pending.Add(1)
	return nil
}

func (s *sink) end() {
	<-s.sending
	s.pending.Done()
}

func failedAll(results []error) bool {
	for _, err := range results {
		if err == nil {
			return false
		}
	}
	return true
}

// ended is the error of an attempt whose time is over, or that was stopped.
func ended(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("no answer within the attempt's time: %w", ctx.Err())
	}
	return fmt.Errorf("stopped before an answer came: %w", ctx.Err())
}

// send adds entries in one go, and returns what became of each. Those that are
// nil are left out.
func (s *sink) send(ctx context.Context, adds []*redis.XAddArgs) []error {
	pipe := s.client.Pipeline()
	commands := make([]*redis.StringCmd, len(adds))
	for i, add := range adds {
		if add != nil {
			commands[i] = pipe.XAdd(ctx, add)
		}
	}
	var replicas *redis.Cmd
	if s.config.Replicas > 0 {
		replicas = pipe.Do(ctx, "wait", s.config.Replicas, s.patience(ctx).Milliseconds())
	}
	_, err := pipe.Exec(ctx)
	results := make([]error, len(adds))
	for i, command := range commands {
		if command == nil {
			continue
		}
		if results[i] = judge(outcome(command, err)); results[i] == nil && replicas != nil {
			results[i] = s.replicated(replicas)
		}
	}
	return results
}

var errNoAnswer = errors.New("the server has not answered")

// outcome is what became of one command of a pipeline that ended with an error,
// or not. A command that was not sent may have none of its own; one that was done
// has the id of its entry.
func outcome(command *redis.StringCmd, pipeline error) error {
	if command.Err() == nil && command.Val() == "" {
		return cmp.Or(pipeline, errNoAnswer)
	}
	return command.Err()
}

// patience is how long replicas have, a little less than the attempt.
func (s *sink) patience(ctx context.Context) time.Duration {
	if deadline, bounded := ctx.Deadline(); bounded {
		return max(min(replicasWithin, time.Until(deadline)*3/4), time.Millisecond)
	}
	return replicasWithin
}

// replicated tells whether enough replicas have what was added.
func (s *sink) replicated(answer *redis.Cmd) error {
	n, err := answer.Int()
	switch {
	case err != nil:
		return fmt.Errorf("it was added, and it is not known whether replicas have it: %w", redisconn.Explain(err))
	case n < s.config.Replicas:
		return fmt.Errorf("it was added, but only %d replicas have it in time, and replicas asks for %d", n, s.config.Replicas)
	}
	return nil
}

// judge says what a server's answer means for a delivery.
func judge(err error) error {
	if err == nil {
		return nil
	}
	if refused, is := errors.AsType[*sinkhttp.RefusedError](err); is {
		return sinks.Permanent(refused)
	}
	explained := redisconn.Explain(err)
	switch code := redisconn.Code(err); {
	case code == redisconn.CodeWrongType:
		return sinks.Permanent(explained)
	case code == redisconn.CodeOOM:
		return &sinks.ThrottledError{Err: explained, After: noRoom}
	case strings.Contains(err.Error(), "invalid bulk length"):
		return sinks.Permanent(fmt.Errorf("the server takes no value of this size (proto-max-bulk-len): %w", err))
	}
	return explained
}
