// Command watermill is a router of Watermill, as its users write them: events
// that come over HTTP go to a subject of JetStream, and what comes from there
// goes to a worker over HTTP.
package main

import (
	"context"
	"flag"
	"log"
	"net/http"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wmhttp "github.com/ThreeDotsLabs/watermill-http/v2/pkg/http"
	wmnats "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/nats"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
)

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

var (
	url      = flag.String("nats", "", "the `URL` of the server")
	listen   = flag.String("listen", "", "where events come in")
	to       = flag.String("to", "", "the `URL` of the worker; empty to dispatch nothing")
	subject  = flag.String("subject", "", "where events are stored")
	prefix   = flag.String("type", "", "the beginning of the type of the events that are dispatched")
	attempts = flag.Int("attempts", 1, "how many attempts are under way")
)

func run(ctx context.Context) error {
	flag.Parse()
	logger := watermill.NewStdLogger(false, false)
	router, err := message.NewRouter(message.RouterConfig{}, logger)
	if err != nil {
		return err
	}
	intake, err := addIngest(router, logger)
	if err != nil {
		return err
	}
	if *to != "" {
		if err := addDispatch(router, logger); err != nil {
			return err
		}
	}
	ended := make(chan error, 2)
	go func() { ended <- router.Run(ctx) }()
	<-router.Running()
	go func() { ended <- intake.StartHTTPServer() }()
	return <-ended // it is killed before
}

// addIngest stores what is posted.
func addIngest(router *message.Router, logger watermill.LoggerAdapter) (*wmhttp.Subscriber, error) {
	intake, err := wmhttp.NewSubscriber(*listen, wmhttp.SubscriberConfig{UnmarshalMessageFunc: fromRequest}, logger)
	if err != nil {
		return nil, err
	}
	store, err := wmnats.NewPublisher(wmnats.PublisherConfig{
		URL: *url, Marshaler: &wmnats.NATSMarshaler{}, JetStream: wmnats.JetStreamConfig{TrackMsgId: true},
	}, logger)
	if err != nil {
		return nil, err
	}
	router.AddHandler("ingest", "/in", intake, *subject, store, message.PassthroughHandler)
	return intake, nil
}

// addDispatch delivers what is stored and of the right type, with retries.
func addDispatch(router *message.Router, logger watermill.LoggerAdapter) error {
	stored, err := wmnats.NewSubscriber(wmnats.SubscriberConfig{
		URL: *url, QueueGroupPrefix: "bench", SubscribersCount: *attempts, Unmarshaler: &wmnats.NATSMarshaler{},
		NakDelay: wmnats.NewMaxRetryDelay(time.Second, 5),
		JetStream: wmnats.JetStreamConfig{
			DurablePrefix: "bench", AckAsync: true,
			SubscribeOptions: []nats.SubOpt{nats.DeliverAll(), nats.AckExplicit(), nats.MaxAckPending(4096)},
		},
	}, logger)
	if err != nil {
		return err
	}
	worker, err := wmhttp.NewPublisher(wmhttp.PublisherConfig{
		MarshalMessageFunc: toRequest,
		Client:             &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: *attempts}, Timeout: 30 * time.Second},
	}, logger)
	if err != nil {
		return err
	}
	router.AddHandler("dispatch", *subject, stored, *to, worker, func(msg *message.Message) ([]*message.Message, error) {
		if !strings.HasPrefix(msg.Metadata.Get("ce-type"), *prefix) {
			return nil, nil
		}
		return []*message.Message{msg}, nil
	})
	return nil
}

// fromRequest reads an event in CloudEvents' binary mode.
func fromRequest(topic string, request *http.Request) (*message.Message, error) {
	msg, err := wmhttp.DefaultUnmarshalMessageFunc(topic, request)
	if err != nil {
		return nil, err
	}
	msg.UUID = request.Header.Get("Ce-Id")
	for name, values := range request.Header {
		if strings.HasPrefix(name, "Ce-") || name == "Content-Type" {
			msg.Metadata.Set(strings.ToLower(name), values[0])
		}
	}
	return msg, nil
}

// toRequest is the way back.
func toRequest(url string, msg *message.Message) (*http.Request, error) {
	request, err := wmhttp.DefaultMarshalMessageFunc(url, msg)
	if err != nil {
		return nil, err
	}
	request.Header = http.Header{}
	for name, value := range msg.Metadata {
		request.Header.Set(name, value)
	}
	return request, nil
}
