package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"

	"sluice/bus"
	"sluice/integration/freeport"
)

// The names of what stands in the configuration.
const (
	nameSluice  = "sluice"
	sourceName  = "in"
	triggerName = "work"
	// storeSize is what the events may take, the same for all.
	storeSize = 8 << 30
)

// storeOptions are how a store is opened by this program.
func storeOptions(dir string) bus.Options {
	return bus.Options{Dir: filepath.Join(dir, "data"), MaxBytes: storeSize}
}

// theSluice is the real program, with a configuration file.
type theSluice struct {
	path string
	// more are the rest of its file, below the bus and the listeners, when it
	// dispatches to a URL. Without it there is one trigger.
	more func(to string) string
	// flow are more keys of the trigger that has a backlog.
	flow string
	// memory is what Go's runtime is to keep within, in bytes; 0 for no limit.
	memory int64
}

func (theSluice) name() string { return nameSluice }

// with returns the same with another file.
func (s theSluice) with(more func(to string) string) theSluice {
	s.more = more
	return s
}

// backlog runs it once, so that its triggers begin before what is published
// then.
func (s theSluice) backlog(ctx context.Context, dir string, events int) error {
	i, err := s.start(ctx, dir, "http://127.0.0.1:9/")
	if err != nil {
		return err
	}
	if err := i.ready(ctx); err != nil {
		return err
	}
	if err := i.stop(syscall.SIGTERM); err != nil {
		return err
	}
	return publish(ctx, dir, 0, events)
}

func (s theSluice) start(ctx context.Context, dir, to string) (*instance, error) {
	addresses, err := freeport.Addresses(2)
	if err != nil {
		return nil, err
	}
	ingest, admin := addresses[0], addresses[1]
	text := fmt.Sprintf("bus: {dir: %q, max_bytes: %dMiB}\ningest: {listen: %q}\nadmin: {listen: %q}\n", filepath.Join(dir, "data"), storeSize>>20, ingest, admin)
	switch {
	case s.more != nil:
		text += s.more(to)
	case to == "":
		text += theSource
	default:
		text += theSource + "triggers:\n" + trigger(triggerName, to, eventType, "")
	}
	path := filepath.Join(dir, "sluice.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return nil, err
	}
	var environment []string
	if s.memory > 0 {
		environment = []string{fmt.Sprintf("GOMEMLIMIT=%d", s.memory)}
	}
	p, err := spawnWith(ctx, environment, dir, s.name(), s.path, "up", "--config", path)
	if err != nil {
		return nil, err
	}
	return &instance{process: p, ingest: "http://" + ingest + "/in", admin: "http://" + admin}, nil
}

// theSource is where the events come in.
const theSource = "sources: {" + sourceName + ": {http: {path: /in}}}\n"

// trigger returns a trigger on events of a type and those below it, to a URL,
// with more of the sink.
func trigger(name, to, kind, more string) string {
	return fmt.Sprintf("  %s:\n    on: %s\n    when: {type: [{prefix: %s}]}\n    to: {http: {url: %q%s}}\n"+
		"    retry: {attempts: 5, initial: 1s, max: 5m}\n    concurrency: %d\n", name, sourceName, kind, to, more, attempts)
}

// command has a running sluice pause or resume its trigger.
func (i *instance) command(ctx context.Context, what string) error {
	return ask(ctx, http.MethodPost, i.admin+"/api/v1/triggers/"+triggerName+"/"+what, nil)
}
