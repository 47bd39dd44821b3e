package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"sluice/event"
)

// A sender publishes events over HTTP, cheaply: it shares the machine with what
// it measures.
type sender struct {
	client     *fasthttp.Client
	url        string
	structured bool         // sends JSON only
	kind       string       // the events' type
	next       atomic.Int64 // the number of the next event
	accepted   atomic.Int64 // how many events were
}

func newSender(i *instance, connections int) *sender {
	client := &fasthttp.Client{MaxConnsPerHost: connections, DisableHeaderNamesNormalizing: true}
	return &sender{url: i.ingest, structured: i.structured, kind: eventType, client: client}
}

// send publishes the next event; it is accepted when there is no error.
func (s *sender) send() (id string, err error) {
	e := makeEvent(int(s.next.Add(1)-1), time.Now())
	e.Type = s.kind
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(request)
	defer fasthttp.ReleaseResponse(response)
	request.SetRequestURI(s.url)
	request.Header.SetMethod(http.MethodPost)
	if s.structured {
		request.Header.SetContentType(structuredMode)
		request.SetBodyRaw(e.AppendJSON(nil))
	} else {
		e.HTTPHeaders(request.Header.Add)
		request.SetBodyRaw(e.Data)
	}
	if err := s.do(request, response); err != nil {
		return e.ID, err
	}
	s.accepted.Add(1)
	return e.ID, nil
}

// The content types of CloudEvents in JSON.
const (
	structuredMode = "application/cloudevents+json"
	batchedMode    = "application/cloudevents-batch+json"
)

func (s *sender) do(request *fasthttp.Request, response *fasthttp.Response) error {
	if err := s.client.Do(request, response); err != nil {
		return err
	}
	if response.StatusCode()/100 != 2 {
		return fmt.Errorf("answered %d: %.200q", response.StatusCode(), response.Body())
	}
	return nil
}

// batch publishes events in one request.
func (s *sender) batch(events ...event.Event) error {
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(request)
	defer fasthttp.ReleaseResponse(response)
	request.SetRequestURI(s.url)
	request.Header.SetMethod(http.MethodPost)
	request.Header.SetContentType(batchedMode)
	body := []byte{'['}
	for n := range events {
		if n > 0 {
			body = append(body, ',')
		}
		body = events[n].AppendJSON(body)
	}
	request.SetBodyRaw(append(body, ']'))
	return s.do(request, response)
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
