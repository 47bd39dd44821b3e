package sqs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/cenkalti/backoff/v4"

	"sluice/connect/awsconn"
	"sluice/sources"
)

const (
	firstRetry = 250 * time.Millisecond
	maxRetry   = 30 * time.Second
	// callTimeout bounds a request that does not wait for messages.
	callTimeout = 10 * time.Second
	// settleTimeout bounds what is still told to the queue when the source ends.
	settleTimeout = 4 * time.Second
	// lagEvery is how often the queue is asked how much there is.
	lagEvery = 30 * time.Second
	// refusedFor is how long the health tells of a message that was refused, from
	// when it was last seen. It comes again and again until it is dead-lettered.
	refusedFor = 10 * time.Minute
)

var (
	_ sources.Source  = (*source)(nil)
	_ sources.Placed  = (*source)(nil)
	_ sources.Lagging = (*source)(nil)
)

type source struct {
	config  Config
	queue   awsconn.Queue
	env     sources.Env
	session *awsconn.Session
	waiting atomic.Int64
}

func newSource(c Config, q awsconn.Queue, env sources.Env) (*source, error) {
	s := &source{config: c, queue: q, env: env}
	s.waiting.Store(-1)
	section := c.section(q)
	session, err := awsconn.New(&section, awsconn.Options{Timeout: time.Duration(c.Wait) + callTimeout})
	if err != nil {
		return nil, fmt.Errorf("the sqs source %q: %w", env.Name, err)
	}
	s.session = session
	return s, nil
}

// Placement is on all routers: a queue gives each message to one of those that
// receive.
func (s *source) Placement() sources.Placement { return sources.OnAll }

// Lag returns how many messages the queue has, approximately, as it says about
// every half minute. How old the oldest one is it does not say.
func (s *source) Lag() (age time.Duration, items int64) { return -1, s.waiting.Load() }

// Run receives until ctx ends. What the service refuses is reported as health and
// tried again.
func (s *source) Run(ctx context.Context, out sources.Out) error {
	defer s.session.Close()
	defer s.waiting.Store(-1)
	r := &run{
		source: s, out: out, api: sqs.NewFromConfig(s.session.Config),
		health: &health{report: s.env.Report}, settled: newMemory(), wake: make(chan struct{}, 1),
	}
	if !r.find(ctx) {
		return nil
	}
	var workers sync.WaitGroup
	workers.Go(func() { r.receiveAlways(ctx) })
	for range s.config.Receivers - 1 {
		workers.Go(func() { r.receiveWhileMuch(ctx) })
	}
	workers.Go(func() { r.watchLag(ctx) })
	workers.Wait()
	return nil
}

// A run is one life of a source.
type run struct {
	*source
	out     sources.Out
	api     *sqs.Client
	health  *health
	settled *memory       // what is durable and could not be deleted
	wake    chan struct{} // there is much
	url     string
	arn     string
	refused atomic.Int64 // when a message was last refused, in ns since 1970
}

// find asks for the queue until it is there, or ctx ends.
func (r *run) find(ctx context.Context) bool {
	pause := newBackoff()
	for {
		err := r.look(ctx)
		if ctx.Err() != nil {
			return false
		}
		r.health.set(receiving, r.explain(err))
		if err == nil {
			return true
		}
		sleep(ctx, pause.NextBackOff())
	}
}

// look finds the queue's URL and ARN. Without permission to ask for the ARN it is
// left out.
func (r *run) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r.url, r.arn = r.queue.URL, r.queue.ARN
	if r.url == "" {
		found, err := r.api.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &r.queue.Name, QueueOwnerAWSAccountId: optional(r.queue.Account)})
		if err != nil {
			return err
		}
		r.url = aws.ToString(found.QueueUrl)
	}
	has, err := r.attributes(ctx, types.QueueAttributeNameQueueArn, types.QueueAttributeNameApproximateNumberOfMessages)
	switch code := awsconn.Code(err); {
	case code == "AccessDenied", code == "AccessDeniedException":
		r.env.Logger.Info("the queue may not be asked for its attributes: events have no arn, and how much waits is not known",
			slog.String("queue", r.queue.Name), slog.Any("error", awsconn.Explain(err)))
		return nil
	case err != nil:
		return err
	}
	r.arn = has[string(types.QueueAttributeNameQueueArn)]
	r.noteLag(has)
	return nil
}

func (r *run) attributes(ctx context.Context, names ...types.QueueAttributeName) (map[string]string, error) {
	answer, err := r.api.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: &r.url, AttributeNames: names})
	if err != nil {
		return nil, err
	}
	return answer.Attributes, nil
}

// watchLag keeps what Lag returns, where the queue may be asked.
func (r *run) watchLag(ctx context.Context) {
	tick := time.NewTicker(lagEvery)
	defer tick.Stop()
	for r.waiting.Load() >= 0 {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		call, cancel := context.WithTimeout(ctx, callTimeout)
		has, err := r.attributes(call, types.QueueAttributeNameApproximateNumberOfMessages)
		cancel()
		if err == nil {
			r.noteLag(has)
		}
	}
}

func (r *run) noteLag(has map[string]string) {
	n, err := strconv.ParseInt(has[string(types.QueueAttributeNameApproximateNumberOfMessages)], 10, 64)
	if err != nil {
		n = -1
	}
	r.waiting.Store(n)
}

// explain says what to do about an error of the service.
func (r *run) explain(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*types.QueueDoesNotExist](err); ok {
		return fmt.Errorf("there is no queue %q, or sluice may not see it: create it, or mend queue and region: %w", r.config.Queue, awsconn.Explain(err))
	}
	return awsconn.Explain(err)
}

func newBackoff() backoff.BackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(firstRetry), backoff.WithMaxInterval(maxRetry), backoff.WithMaxElapsedTime(0))
}

// sleep waits for so long, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
