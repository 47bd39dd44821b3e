package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"sluice/bus"
	"sluice/event"
)

// attempts is how many of them every system may have under way.
const attempts = 64

// A floor is the smallest program that loses nothing: a request is one
// synchronous publish, and each message of one pull consumer is one request of
// net/http and one acknowledgement. It has no patterns, no backoff, no dead
// letters and no memory of what it has done.
type floor struct {
	names  bus.Names
	js     jetstream.JetStream
	client *http.Client
	target string
	live   string        // the worker of events of another type, which nothing waits for; empty for none
	resume chan struct{} // closed when the others may be dispatched
}

const (
	// liveSource is where the floor stores the events of another type.
	liveSource = "live"
	pathResume = "/resume"
)

// runFloor runs until ctx ends, on the same embedded server as sluice.
func runFloor(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet(roleFloor, flag.ContinueOnError)
	dir := flags.String("dir", "", "the folder of the store")
	target := flags.String("to", "", "the worker; empty to dispatch nothing")
	live := flags.String("live", "", "the worker of events of another type, while those of the first wait for a POST to "+pathResume+"; empty for none")
	if err := flags.Parse(args); err != nil {
		return err
	}
	b, err := bus.Open(ctx, storeOptions(*dir))
	if err != nil {
		return err
	}
	f := &floor{
		names: b.Names(), js: b.JetStream(), target: *target, live: *live, resume: make(chan struct{}),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: attempts}, Timeout: 30 * time.Second},
	}
	err = f.run(ctx, stdout)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	if closeErr := b.Close(closing); err == nil {
		err = closeErr
	}
	return err
}

func (f *floor) run(ctx context.Context, stdout io.Writer) error {
	var group errgroup.Group
	if f.live != "" {
		group.Go(func() error { return f.work(ctx, liveSource, f.live) })
	} else {
		close(f.resume)
	}
	if f.target != "" {
		group.Go(func() error {
			select {
			case <-f.resume:
				return f.work(ctx, sourceName, f.target)
			case <-ctx.Done():
				return nil
			}
		})
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+pathResume, func(http.ResponseWriter, *http.Request) { close(f.resume) })
	mux.HandleFunc("POST /", f.accept)
	err := serve(ctx, "127.0.0.1:0", mux, stdout)
	if worked := group.Wait(); err == nil {
		err = worked
	}
	return err
}

// work dispatches what is stored of a source, until ctx ends.
func (f *floor) work(ctx context.Context, source, target string) error {
	consumer, err := f.js.CreateOrUpdateConsumer(ctx, f.names.Events, jetstream.ConsumerConfig{
		Durable: "floor-" + source, AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: maxPending,
		FilterSubject: f.names.Prefix + ".ev.*." + source,
	})
	if err != nil {
		return err
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(1024))
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, messages.Stop)
	var wait sync.WaitGroup
	for range attempts {
		wait.Go(func() { f.dispatch(ctx, messages, target) })
	}
	wait.Wait()
	return nil
}

func (f *floor) dispatch(ctx context.Context, messages jetstream.MessagesContext, target string) {
	for {
		msg, err := messages.Next()
		if err != nil {
			return
		}
		if f.deliver(ctx, msg, target) == nil {
			_ = msg.Ack() // else it comes again
		} else {
			_ = msg.Nak()
		}
	}
}

func (f *floor) deliver(ctx context.Context, msg jetstream.Msg, target string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(msg.Data()))
	if err != nil {
		return err
	}
	for name, values := range msg.Headers() {
		if strings.HasPrefix(name, "ce-") || name == "content-type" {
			request.Header.Set(name, values[0])
		}
	}
	response, err := f.client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("answered %s", response.Status)
	}
	return nil
}

// accept stores one event in binary mode, and answers when it is durable.
func (f *floor) accept(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, event.DefaultMaxSize))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	source := sourceName
	if r.Header.Get("Ce-Type") == liveType {
		source = liveSource
	}
	msg := &nats.Msg{Subject: f.names.Event(0, source), Data: body, Header: nats.Header{
		nats.MsgIdHdr:  {r.Header.Get("Ce-Id")},
		"content-type": {r.Header.Get("Content-Type")},
	}}
	for name, values := range r.Header {
		if strings.HasPrefix(name, "Ce-") {
			msg.Header[strings.ToLower(name)] = values
		}
	}
	if _, err := f.js.PublishMsg(r.Context(), msg); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}
