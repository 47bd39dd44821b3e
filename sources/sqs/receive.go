package sqs

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

const (
	// atOnce is how many messages a request takes at most, by the service.
	atOnce = 10
	// much is how many messages of one answer say that there may be more than one
	// receiver can take.
	much = atOnce / 2
	// shortWait is how long those wait that receive only while there is much.
	shortWait = time.Second
	// idlePause is the least time that an answer without messages takes.
	idlePause = 250 * time.Millisecond
)

// receiveAlways receives until ctx ends.
func (r *run) receiveAlways(ctx context.Context) {
	pause := newBackoff()
	for ctx.Err() == nil {
		began := time.Now()
		n, err := r.turn(ctx, time.Duration(r.config.Wait))
		r.forgetRefused()
		if ctx.Err() != nil {
			return
		}
		r.health.set(receiving, r.explain(err))
		switch {
		case err != nil:
			sleep(ctx, pause.NextBackOff())
		case n == 0 && time.Since(began) < idlePause: // a server that does not wait
			sleep(ctx, idlePause)
		default:
			pause.Reset()
		}
	}
}

// receiveWhileMuch receives whenever there is much, until there is nothing.
func (r *run) receiveWhileMuch(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		}
		for ctx.Err() == nil {
			if n, err := r.turn(ctx, shortWait); n == 0 || err != nil {
				break
			}
		}
	}
}

// turn receives once, and settles what has come. It returns how much that was.
func (r *run) turn(ctx context.Context, wait time.Duration) (int, error) {
	answer, err := r.api.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl:                    &r.url,
		MaxNumberOfMessages:         atOnce,
		WaitTimeSeconds:             int32(wait / time.Second),
		VisibilityTimeout:           r.visibility(),
		MessageAttributeNames:       []string{"All"},
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
	})
	if err != nil || len(answer.Messages) == 0 {
		return 0, err
	}
	if len(answer.Messages) >= much {
		select {
		case r.wake <- struct{}{}:
		default:
		}
	}
	r.settle(ctx, answer.Messages)
	return len(answer.Messages), nil
}

func (r *run) visibility() int32 { return int32(time.Duration(r.config.Visibility) / time.Second) }
