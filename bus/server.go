package bus

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// readyTimeout bounds how long the embedded server may take to recover its
// streams: a million ids in the de-duplication window cost about a second.
const readyTimeout = 2 * time.Minute

// startServer starts a server on the folder of o.
func startServer(o Options, log server.Logger) (*server.Server, error) {
	opts, err := serverOptions(o)
	if err != nil {
		return nil, err
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("the embedded server: %w", err)
	}
	s.SetLoggerV2(log, false, false, false)
	s.Start()
	if !s.ReadyForConnections(readyTimeout) || !s.JetStreamEnabled() {
		stopServer(s)
		return nil, fmt.Errorf("the embedded server on %s was not ready; its log says why", o.Dir)
	}
	return s, nil
}

func stopServer(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

// storeFolder is where the server stores, below the bus's folder.
const storeFolder = "jetstream"

const (
	// storeBytes is more than any disk has. The streams have limits of their own;
	// the sum of these is none, since it is exceeded for a moment when one grows
	// before another shrinks.
	storeBytes = 1 << 60
	// memoryBytes is for nothing: no stream is in memory.
	memoryBytes = 64 << 20
)

// embeddedGroup is how many messages an atomic batch has at most: two writes of
// the largest size share one, and its syncs. With more of them in one, those who
// write would all wait at the same time, and nobody would make the next one.
const embeddedGroup = 2 * maxGroup

func serverOptions(o Options) (*server.Options, error) {
	opts := &server.Options{
		ServerName:         o.Prefix,
		DontListen:         true,
		NoSigs:             true,
		NoSystemAccount:    true,
		JetStream:          true,
		StoreDir:           filepath.Join(o.Dir, storeFolder),
		JetStreamMaxStore:  storeBytes,
		JetStreamMaxMemory: memoryBytes,
		SyncAlways:         o.SyncInterval == 0,
		SyncInterval:       o.SyncInterval,
		MaxPayload:         minPayload,
	}
	opts.JetStreamLimits.DefaultMaxConsumers = -1
	opts.JetStreamLimits.MaxBatchSize = embeddedGroup
	if o.Listen == "" {
		return opts, nil
	}
	host, port, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen address %q: write host:port, such as 127.0.0.1:4222", o.Listen)
	}
	if opts.Port, err = strconv.Atoi(port); err != nil || opts.Port < 0 || opts.Port > 65535 {
		return nil, fmt.Errorf("listen address %q: the port is not a number from 0 to 65535", o.Listen)
	}
	if opts.Port == 0 {
		opts.Port = server.RANDOM_PORT
	}
	opts.Host, opts.DontListen = host, false
	return opts, nil
}

// A serverLog writes the server's log lines to slog. What the server tells as
// a matter of course is for debugging here. An error is a reason to look at the
// store.
type serverLog struct {
	log   *slog.Logger
	alarm chan struct{} // gets a token
}

func (l serverLog) Noticef(format string, v ...any) { l.write(slog.LevelDebug, format, v) }
func (l serverLog) Warnf(format string, v ...any)   { l.write(slog.LevelWarn, format, v) }
func (l serverLog) Errorf(format string, v ...any)  { l.failed(format, v) }
func (l serverLog) Fatalf(format string, v ...any)  { l.failed(format, v) }
func (l serverLog) Debugf(format string, v ...any)  { l.write(slog.LevelDebug, format, v) }
func (l serverLog) Tracef(format string, v ...any)  { l.write(slog.LevelDebug, format, v) }

func (l serverLog) failed(format string, v []any) {
	l.write(slog.LevelError, format, v)
	token1(l.alarm)
}

func (l serverLog) write(level slog.Level, format string, v []any) {
	if !l.log.Enabled(context.Background(), level) {
		return
	}
	l.log.LogAttrs(context.Background(), level, "nats-server", slog.String("text", fmt.Sprintf(format, v...)))
}
