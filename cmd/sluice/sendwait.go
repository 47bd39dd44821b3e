package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"sluice/cmd/sluice/internal/admin"
	"sluice/config"
	"sluice/event"
	sources3 "sluice/sources/s3"
)

// otherWay says how events come from a source that takes no requests.
func otherWay(source config.Source) string {
	switch section := source.Section.(type) {
	case *sources3.Config:
		return fmt.Sprintf(": put an object into its bucket, such as: curl -T FILE %s/%s/%sFILE", section.Endpoint, section.Bucket, section.Prefix)
	default:
		return ""
	}
}

// awaitEvents follows the events until each delivery has ended, and says by the
// exit code how.
func awaitEvents(ctx context.Context, q *question, source string, events []event.Event, limit time.Duration) error {
	lives := make([]admin.Event, 0, len(events))
	for i := range events {
		life, err := awaitEvent(ctx, q, source, events[i].ID)
		if errors.Is(err, context.DeadlineExceeded) {
			return exitWithf(exitFailure, "the event %s has not ended within %s: see `sluice event --by id %s`", events[i].ID, limit, events[i].ID)
		}
		if err != nil {
			return err
		}
		lives = append(lives, life)
	}
	if q.json {
		if err := q.printJSON(lives); err != nil {
			return err
		}
	} else {
		printLives(q, lives)
	}
	return waitVerdict(lives)
}

// awaitEvent follows one event.
func awaitEvent(ctx context.Context, q *question, source, id string) (admin.Event, error) {
	var life admin.Event
	ref, by := id, "id"
	err := admin.Poll(ctx, func(ctx context.Context) (bool, error) {
		found, err := q.client.Events(ctx, ref, by)
		if err != nil {
			return false, err
		}
		at := slices.IndexFunc(found.Events, func(e admin.Event) bool { return e.Source == source && e.Directed == "" })
		if at < 0 {
			return false, nil
		}
		life = found.Events[at]
		ref, by = strconv.FormatUint(life.Sequence, 10), "sequence"
		return life.Settled, nil
	})
	return life, err
}

// printLives prints one event whole, and of many how they have ended.
func printLives(q *question, lives []admin.Event) {
	if len(lives) == 1 {
		printEvent(q.out, q.app.newPaint(q.out), &lives[0], time.Now())
		return
	}
	ends := map[string]int{}
	for i := range lives {
		for _, standing := range lives[i].Triggers {
			if standing.Matched {
				ends[standing.State]++
			}
		}
	}
	_, _ = fmt.Fprintf(q.out, "%s: %d delivered, %d dead, %d discarded\n", plural(len(lives), "event"), ends["done"], ends["dead"], ends["discarded"])
}

// waitVerdict is the exit code for how events have ended.
func waitVerdict(lives []admin.Event) error {
	wanted := false
	for i := range lives {
		for _, standing := range lives[i].Triggers {
			wanted = wanted || standing.Matched
			if standing.Matched && standing.State != "done" {
				return exitWith(exitPartly, nil)
			}
		}
	}
	if !wanted {
		return exitWithf(exitFailure, "no trigger wants the event")
	}
	return nil
}
