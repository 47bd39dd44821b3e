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
}

// runFloor runs until ctx ends, on the same embedded server as sluice.
func runFloor(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet(roleFloor, flag.ContinueOnError)
	dir := flags.String("dir", "", "the folder of the store")
	target := flags.String("to", "", "the worker; empty to dispatch nothing")
	if err := flags.Parse(args); err != nil {
		return err
	}
	b, err := bus.Open(ctx, storeOptions(*dir))
	if err != nil {
		return err
	}
	f := &floor{
		names: b.Names(), js: b.JetStream(), target: *target,
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
	var wait sync.WaitGroup
	if f.target != "" {
		messages, err := f.consume(ctx)
		if err != nil {
			return err
		}
		for range attempts {
			wait.Go(func() { f.dispatch(ctx, messages) })
		}
		context.AfterFunc(ctx, messages.Stop)
	}
	err := serve(ctx, "127.0.0.1:0", http.HandlerFunc(f.accept), stdout)
	wait.Wait()
	return err
}

func (f *floor) consume(ctx context.Context) (jetstream.MessagesContext, error) {
	consumer, err := f.js.CreateOrUpdateConsumer(ctx, f.names.Events, jetstream.ConsumerConfig{
		Durable: "floor", AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: maxPending,
		FilterSubject: f.names.Prefix + ".ev.>",
	})
	if err != nil {
		return nil, err
	}
	return consumer.Messages(jetstream.PullMaxMessages(1024))
}

func (f *floor) dispatch(ctx context.Context, messages jetstream.MessagesContext) {
	for {
		msg, err := messages.Next()
		if err != nil {
			return
		}
		if f.deliver(ctx, msg) == nil {
			_ = msg.Ack() // else it comes again
		} else {
			_ = msg.Nak()
		}
	}
}

func (f *floor) deliver(ctx context.Context, msg jetstream.Msg) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, f.target, bytes.NewReader(msg.Data()))
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
	msg := &nats.Msg{Subject: f.names.Event(0, sourceName), Data: body, Header: nats.Header{
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
