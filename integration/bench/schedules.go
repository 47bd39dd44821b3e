package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"time"
)

const (
	schedules       = 10_000
	schedulesWithin = 2 * time.Minute
)

// tick runs ten thousand schedules that are spread over a minute, and looks how
// long after its time each tick is durable.
func (b *bench) tick(ctx context.Context, dir string) error {
	s := b.sluice.with(schedulesFile)
	began := time.Now()
	i, err := s.start(ctx, dir, "")
	if err != nil {
		return err
	}
	if err := i.ready(ctx); err != nil {
		return err
	}
	b.book.add(metricTickStart, s.name(), time.Since(began).Seconds())
	if err := pause(ctx, settleDown); err != nil { // all of them begin at once
		return err
	}
	late, err := lateness(ctx, i)
	if err != nil {
		return err
	}
	b.book.add(metricTick50, s.name(), percentile(late, 50))
	b.book.add(metricTick99, s.name(), percentile(late, 99))
	b.book.add(metricTickMemory, s.name(), float64(i.memory("VmRSS"))/(1<<20))
	return i.stop(syscall.SIGTERM)
}

func schedulesFile(string) string {
	var text strings.Builder
	text.WriteString("sources:\n")
	for n := range schedules {
		fmt.Fprintf(&text, "  s%d: {cron: {schedule: \"%d * * * * *\"}}\n", n, n%60)
	}
	return text.String()
}

// lateness returns for as many ticks as there are schedules how many
// milliseconds after its time each was accepted.
func lateness(ctx context.Context, i *instance) ([]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, schedulesWithin)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, i.admin+"/api/v1/tail", http.NoBody)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	late, from := make([]float64, 0, schedules), time.Now()
	for lines := bufio.NewScanner(answer.Body); len(late) < schedules; {
		if !lines.Scan() {
			return nil, fmt.Errorf("the ticks ended after %d: %w", len(late), lines.Err())
		}
		var line struct {
			Accepted time.Time `json:"accepted"`
			Event    struct {
				Time time.Time `json:"time"`
			} `json:"event"`
		}
		if len(lines.Bytes()) == 0 {
			continue // it lives
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return nil, err
		}
		if line.Event.Time.Before(from) {
			continue
		}
		late = append(late, float64(line.Accepted.Sub(line.Event.Time))/float64(time.Millisecond))
	}
	return late, nil
}
