package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"sluice/worker"
)

// slowWork is longer than a worker may be silent.
const slowWork = 5 * time.Second

// handler does jobs. It is told nothing of NATS: what it returns is answered.
func handler(name string) worker.Handler {
	return func(ctx context.Context, d *worker.Delivery) error {
		var job struct {
			Job string `json:"job"`
		}
		if err := json.Unmarshal(d.Event.Data, &job); err != nil {
			return worker.Refuse(fmt.Errorf("it is no job: %w", err))
		}
		fmt.Printf("%s: the job %q, attempt %d\n", name, job.Job, d.Attempt)
		if err := do(ctx, job.Job, d.Attempt); err != nil {
			return err
		}
		fmt.Printf("%s: the job %q is done\n", name, job.Job)
		return nil
	}
}

func do(ctx context.Context, job string, attempt int) error {
	switch {
	case job == "slow":
		select {
		case <-time.After(slowWork): // sluice is asked for time meanwhile
		case <-ctx.Done():
			return ctx.Err()
		}
	case job == "later" && attempt == 1:
		return worker.RetryAfter(errors.New("not at this time"), time.Second)
	case job == "nonsense":
		return worker.Refuse(errors.New("there is no such job"))
	}
	return nil
}
