package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// A sender publishes events over HTTP, cheaply: it shares the machine with what
// it measures.
type sender struct {
	client   *fasthttp.Client
	url      string
	next     atomic.Int64 // the number of the next event
	accepted atomic.Int64 // how many events were
}

func newSender(url string, connections int) *sender {
	return &sender{url: url, client: &fasthttp.Client{MaxConnsPerHost: connections, DisableHeaderNamesNormalizing: true}}
}

// send publishes the next event; it is accepted when there is no error.
func (s *sender) send() (id string, err error) {
	e := makeEvent(int(s.next.Add(1)-1), time.Now())
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(request)
	defer fasthttp.ReleaseResponse(response)
	request.SetRequestURI(s.url)
	request.Header.SetMethod(http.MethodPost)
	e.HTTPHeaders(request.Header.Add)
	request.SetBodyRaw(e.Data)
	if err := s.client.Do(request, response); err != nil {
		return e.ID, err
	}
	if response.StatusCode()/100 != 2 {
		return e.ID, fmt.Errorf("answered %d: %.200q", response.StatusCode(), response.Body())
	}
	s.accepted.Add(1)
	return e.ID, nil
}

// first sends until something is accepted: the system may be starting.
func (s *sender) first(ctx context.Context, i *instance) error {
	return until(ctx, i.process, startWithin, often, func() bool {
		_, err := s.send()
		return err == nil
	})
}

// A sending is one accepted event.
type sending struct {
	id             string
	sent, accepted time.Time
}

// steady sends at an even rate, whether or not the answers come.
func (s *sender) steady(ctx context.Context, rate int, during time.Duration) ([]sending, error) {
	var mu sync.Mutex
	var all []sending
	var failed error
	var wait sync.WaitGroup
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for over := time.After(during); ; {
		select {
		case <-tick.C:
		case <-over:
			wait.Wait()
			return all, failed
		case <-ctx.Done():
			wait.Wait()
			return all, ctx.Err()
		}
		wait.Go(func() {
			sent := time.Now()
			id, err := s.send()
			done := sending{id, sent, time.Now()}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = err
				return
			}
			all = append(all, done)
		})
	}
}

// flood sends with so many clients, each as fast as it is answered, and returns
// how long each answer took.
func (s *sender) flood(ctx context.Context, clients int, during time.Duration) ([]time.Duration, error) {
	took, failed := make([][]time.Duration, clients), make([]error, clients)
	var wait sync.WaitGroup
	deadline := time.Now().Add(during)
	for c := range clients {
		wait.Go(func() {
			for began := time.Now(); began.Before(deadline) && ctx.Err() == nil; {
				if _, failed[c] = s.send(); failed[c] != nil {
					return
				}
				now := time.Now()
				took[c] = append(took[c], now.Sub(began))
				began = now
			}
		})
	}
	wait.Wait()
	var all []time.Duration
	for c := range clients {
		if failed[c] != nil {
			return nil, failed[c]
		}
		all = append(all, took[c]...)
	}
	return all, ctx.Err()
}
