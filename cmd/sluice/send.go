package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"sluice/cmd/sluice/internal/admin"
	"sluice/config"
	"sluice/event"
	sourcehttp "sluice/sources/http"
)

const (
	sendBatch   = 100       // events in one request,
	sendBytes   = 256 << 10 // and about so many bytes of data
	maxSend     = 1_000_000
	sendTimeout = 60 * time.Second // of one request
	maxAnswer   = 1 << 20
)

// sendFlags are the flags of "sluice send".
type sendFlags struct {
	config, kind, data, contentType, id, subject, source, event string
	count                                                       int
	wait                                                        bool
	timeout                                                     time.Duration
}

func newSendCommand(app *app) *cobra.Command {
	var flags sendFlags
	cmd := app.asks(&cobra.Command{
		Use: "send SOURCE", Short: "Send events through an HTTP source", Args: oneArgument,
		Long: `Sends events the way that others do: as a request to the path of an HTTP source,
with the token or the password that the file has for it, or signed with its
secret.

With --wait it follows the events until all their deliveries have ended. Exit
code 0: all were delivered; 6: some are dead; 1: no trigger wants them, or it
took too long.`,
		Example: `  sluice send hooks --type order.created --data '{"order":7}'
  sluice send hooks --data @order.json --wait
  sluice send hooks --type load.test --count 1000
  sluice generate-event s3 put --shape cloudevent | sluice send hooks --event -`,
	}, func(ctx context.Context, q *question, args []string) error { return send(ctx, q, &flags, args[0]) })
	set := cmd.Flags()
	set.StringVarP(&flags.config, "config", "c", defaultFile, "the configuration `FILE`, for the path and the secrets")
	set.StringVar(&flags.kind, "type", "test.event", "the event's `TYPE`")
	set.StringVarP(&flags.data, "data", "d", "{}", "the payload: `TEXT`, @FILE, or @- for standard input")
	set.StringVar(&flags.contentType, "content-type", "", "the payload's media `TYPE` (default: application/json if it is JSON, else text/plain)")
	set.StringVar(&flags.id, "id", "", "the event's `ID`; with --count, -1, -2, … are added (default: a random one)")
	set.StringVar(&flags.subject, "subject", "", "the event's `SUBJECT`")
	set.StringVar(&flags.source, "ce-source", "/sluice/send", "the event's CloudEvents `SOURCE`, a URI reference")
	set.StringVar(&flags.event, "event", "", "a `FILE` with a CloudEvent in JSON, or a list of them, instead; - is standard input")
	set.IntVar(&flags.count, "count", 1, "how many events")
	set.BoolVar(&flags.wait, "wait", false, "wait until all deliveries have ended")
	set.DurationVar(&flags.timeout, "timeout", time.Minute, "how long --wait waits")
	for _, other := range []string{"type", "data", "content-type", "id", "subject", "ce-source", "count"} {
		cmd.MarkFlagsMutuallyExclusive("event", other)
	}
	return cmd
}

func send(ctx context.Context, q *question, flags *sendFlags, name string) error {
	file, err := q.app.loadFile(flags.config)
	if err != nil {
		return err
	}
	source, err := httpSource(file, name)
	if err != nil {
		return err
	}
	events, err := flags.events(q.app)
	if err != nil {
		return err
	}
	at := url.URL{Scheme: "http", Host: reachable(file.Ingest.Listen), Path: source.Path}
	began := time.Now()
	if err := post(ctx, &at, source, events); err != nil {
		return err
	}
	if !flags.wait {
		return sent(q, name, events, time.Since(began))
	}
	ctx, cancel := context.WithTimeout(ctx, flags.timeout)
	defer cancel()
	return awaitEvents(ctx, q, name, events, flags.timeout)
}

// httpSource finds the source in the file.
func httpSource(file *config.File, name string) (*sourcehttp.Config, error) {
	names := make([]string, 0, len(file.Sources))
	for _, source := range file.Sources {
		names = append(names, source.Name)
		if source.Name != name {
			continue
		}
		section, ok := source.Section.(*sourcehttp.Config)
		if ok && !slices.Contains(section.Methods, http.MethodPost) {
			return nil, exitWithf(exitUsage, "the source %q takes %s, and events are sent by POST: send a request such as: curl -X %s http://%s%s",
				name, strings.Join(section.Methods, ", "), section.Methods[0], reachable(file.Ingest.Listen), section.Path)
		}
		if ok {
			return section, nil
		}
		return nil, exitWithf(exitUsage, "the source %q is of the kind %s, and events can be sent to http sources only%s", name, source.Kind, otherWay(source))
	}
	return nil, exitWithf(exitNotFound, "%s", admin.UnknownName("source", name, names))
}

// reachable is the address to ask, for one to listen on.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return listen
}

// events makes the events that the flags describe.
func (f *sendFlags) events(a *app) ([]event.Event, error) {
	if f.timeout <= 0 {
		return nil, exitWithf(exitUsage, "--timeout %s: write a time such as 1m", f.timeout)
	}
	if f.count < 1 || f.count > maxSend {
		return nil, exitWithf(exitUsage, "--count %d: write 1 to %d", f.count, maxSend)
	}
	if f.event != "" {
		return a.readEvents(f.event)
	}
	data, err := a.payload("--data", f.data)
	if err != nil {
		return nil, err
	}
	contentType := f.contentType
	switch {
	case contentType != "" || len(data) == 0:
	case json.Valid(data):
		contentType = "application/json"
	default:
		contentType = "text/plain; charset=utf-8"
	}
	all := make([]event.Event, f.count)
	for i := range all {
		all[i] = event.Event{
			ID: f.eventID(i), Source: f.source, Type: f.kind, Subject: f.subject, Time: time.Now(),
			DataContentType: contentType, Data: data,
		}
		if err := all[i].Validate(); err != nil {
			return nil, exitWith(exitUsage, err)
		}
	}
	return all, nil
}

func (f *sendFlags) eventID(i int) string {
	switch {
	case f.id == "":
		return uuid.NewString()
	case f.count == 1:
		return f.id
	}
	return fmt.Sprintf("%s-%d", f.id, i+1)
}

// readEvents reads the events that --event names.
func (a *app) readEvents(name string) ([]event.Event, error) {
	text, err := a.payload("--event", "@"+name)
	if err != nil {
		return nil, err
	}
	events, err := decodeEvents(bytes.TrimSpace(text))
	if err != nil {
		return nil, exitWithf(exitUsage, "--event %s: %w", name, err)
	}
	return events, nil
}

// decodeEvents reads one event in CloudEvents' JSON, or a list of them.
func decodeEvents(text []byte) ([]event.Event, error) {
	if len(text) == 0 || text[0] != '[' {
		one, err := event.DecodeJSON(text)
		if err == nil {
			err = one.Validate()
		}
		return []event.Event{one}, err
	}
	events, err := event.DecodeBatchJSON(text)
	for i := range events {
		if err == nil {
			err = events[i].Validate()
		}
	}
	if err == nil && len(events) == 0 {
		err = errors.New("the list is empty")
	}
	return events, err
}

// payload reads what a flag names.
func (a *app) payload(flag, text string) ([]byte, error) {
	name, isFile := strings.CutPrefix(text, "@")
	switch {
	case !isFile && text != "-":
		return []byte(text), nil
	case text == "-", name == "-":
		data, err := io.ReadAll(a.stdin)
		if err != nil {
			return nil, fmt.Errorf("read standard input: %w", err)
		}
		return data, nil
	}
	data, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, exitWithf(exitNotFound, "%s: there is no file %q", flag, name)
	}
	return data, err
}

// post sends the events in batches, each of which the service stores before it
// answers.
func post(ctx context.Context, at *url.URL, source *sourcehttp.Config, events []event.Event) error {
	client := &http.Client{Timeout: sendTimeout, Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	largest := 1
	for i := range events {
		largest = max(largest, len(events[i].Data))
	}
	size := max(1, min(sendBatch, sendBytes/largest))
	for begin := 0; begin < len(events); begin += size {
		header, body := encodeEvents(events[begin:min(begin+size, len(events))])
		if err := postOne(ctx, client, at, source, header, body); err != nil {
			if begin > 0 {
				err = exitWithf(exitPartly, "%d events were sent, then: %w", begin, err)
			}
			return err
		}
	}
	return nil
}

// encodeEvents returns a request that carries events: several in a batch, one by
// itself, and a large one in binary mode, with its data as it is.
func encodeEvents(batch []event.Event) (http.Header, []byte) {
	header := http.Header{}
	if e := &batch[0]; len(batch) == 1 && len(e.Data) > sendBytes {
		e.HTTPHeaders(header.Set)
		return header, e.Data
	}
	pointers := make([]*event.Event, len(batch))
	for i := range batch {
		pointers[i] = &batch[i]
	}
	media, body := event.MediaTypeBatchJSON, event.AppendBatchJSON(nil, pointers...)
	if len(batch) == 1 {
		media, body = event.MediaTypeJSON, batch[0].AppendJSON(nil)
	}
	header.Set("Content-Type", media)
	return header, body
}

func postOne(ctx context.Context, client *http.Client, at *url.URL, source *sourcehttp.Config, header http.Header, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, at.String(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header = header
	source.Authorize(request.Header, uuid.NewString(), body, time.Now())
	answer, err := client.Do(request)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return exitWithf(exitUnreachable, "cannot reach sluice's ingest at http://%s: is `sluice up` running?", at.Host)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode == http.StatusAccepted || answer.StatusCode == http.StatusOK {
		return nil
	}
	var refused struct {
		Error string `json:"error"`
	}
	text, _ := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if json.Unmarshal(text, &refused) != nil || refused.Error == "" {
		refused.Error = clean(string(text), 200)
	}
	return exitWithf(exitFailure, "the source has refused the request with status %d: %s", answer.StatusCode, refused.Error)
}

func sent(q *question, name string, events []event.Event, took time.Duration) error {
	if q.json {
		ids := make([]string, len(events))
		for i := range events {
			ids[i] = events[i].ID
		}
		return q.printJSON(map[string]any{"accepted": len(events), "ids": ids})
	}
	if len(events) == 1 {
		_, _ = fmt.Fprintf(q.out, "accepted by %s: %s\nsee what becomes of it: sluice event --by id %s\n", name, events[0].ID, events[0].ID)
		return nil
	}
	_, _ = fmt.Fprintf(q.out, "%s accepted by %s in %s\n", plural(len(events), "event"), name, span(took))
	return nil
}
