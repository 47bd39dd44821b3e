package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// readyTimeout bounds how long the embedded server may take to recover its
// streams: a million ids in the de-duplication window cost about a second.
const readyTimeout = 2 * time.Minute

// An embedded server runs in this process, on a folder that it owns.
type embedded struct {
	server *server.Server
	lock   *folderLock
}

// startEmbedded locks the folder and starts a server on it.
func startEmbedded(o Options) (*embedded, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("the bus's folder: %w", err)
	}
	lock, err := lockFolder(o.Dir)
	if err != nil {
		return nil, err
	}
	s, err := startServer(o)
	if err != nil {
		return nil, errors.Join(err, lock.release())
	}
	return &embedded{server: s, lock: lock}, nil
}

func startServer(o Options) (*server.Server, error) {
	opts, err := serverOptions(o)
	if err != nil {
		return nil, err
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("the embedded server: %w", err)
	}
	s.SetLoggerV2(serverLog{o.Logger}, false, false, false)
	s.Start()
	if !s.ReadyForConnections(readyTimeout) || !s.JetStreamEnabled() {
		s.Shutdown()
		s.WaitForShutdown()
		return nil, fmt.Errorf("the embedded server on %s was not ready; its log says why", o.Dir)
	}
	return s, nil
}

// storeReserve is what the server may store beyond the streams' limits.
const storeReserve = 64 << 20

func serverOptions(o Options) (*server.Options, error) {
	opts := &server.Options{
		ServerName:         o.Prefix,
		DontListen:         true,
		NoSigs:             true,
		NoSystemAccount:    true,
		JetStream:          true,
		StoreDir:           filepath.Join(o.Dir, "jetstream"),
		JetStreamMaxStore:  o.reserved() + storeReserve,
		JetStreamMaxMemory: storeReserve,
		SyncAlways:         o.SyncInterval == 0,
		SyncInterval:       o.SyncInterval,
		MaxPayload:         minPayload,
	}
	opts.JetStreamLimits.DefaultMaxConsumers = -1
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

// stop ends the server and lets the folder go, when ctx has not ended before.
// The folder stays locked as long as the server may still write to it.
func (e *embedded) stop(ctx context.Context) error {
	done := make(chan error, 1)
	go func() {
		e.server.Shutdown()
		e.server.WaitForShutdown()
		done <- e.lock.release()
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("the embedded server did not stop in time: %w", ctx.Err())
	}
}

// A serverLog writes the server's log lines to slog. What the server tells as
// a matter of course is for debugging here.
type serverLog struct{ log *slog.Logger }

func (l serverLog) Noticef(format string, v ...any) { l.write(slog.LevelDebug, format, v) }
func (l serverLog) Warnf(format string, v ...any)   { l.write(slog.LevelWarn, format, v) }
func (l serverLog) Errorf(format string, v ...any)  { l.write(slog.LevelError, format, v) }
func (l serverLog) Fatalf(format string, v ...any)  { l.write(slog.LevelError, format, v) }
func (l serverLog) Debugf(format string, v ...any)  { l.write(slog.LevelDebug, format, v) }
func (l serverLog) Tracef(format string, v ...any)  { l.write(slog.LevelDebug, format, v) }

func (l serverLog) write(level slog.Level, format string, v []any) {
	if !l.log.Enabled(context.Background(), level) {
		return
	}
	l.log.LogAttrs(context.Background(), level, "nats-server", slog.String("text", fmt.Sprintf(format, v...)))
}
