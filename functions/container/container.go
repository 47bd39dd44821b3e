package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/uuid"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"

	"sluice/functions"
)

// patience is how long the engine may take for what should be quick: to signal
// and to remove a container.
const patience = 30 * time.Second

// What a container writes goes through the engine, and comes a moment after the
// answer that was written behind it: 1 to 2 ms, seldom more than lag.
const (
	lag     = 3 * time.Millisecond
	mostLag = 100 * time.Millisecond
)

// A container is one worker.
type container struct {
	engine *Engine
	id     string
	pid    int // of its first process, on this machine; 0: it had ended at once
	began  time.Time
	peak   atomic.Int64 // the most memory that was seen
	wrote  atomic.Int64 // when it has last written, in nanoseconds since it began
	done   chan struct{}
	giveUp context.CancelFunc // ends the connections, and with them done

	// Set before done is closed.
	exit functions.Exit
}

// start runs a container, writes what it prints to output, and closes output
// behind it. When the error is not nil, no container is left. ctx holds for the
// start only.
func (e *Engine) start(ctx context.Context, spec Spec, output io.WriteCloser) (*container, error) {
	created, err := e.client.ContainerCreate(ctx, e.create(spec))
	if err != nil {
		return nil, fmt.Errorf("create a container of %q: %w", spec.Image, err)
	}
	life, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	c := &container{engine: e, id: created.ID, done: make(chan struct{}), giveUp: giveUp}
	attached, ended, err := c.begin(ctx, life)
	if err != nil {
		giveUp()
		return nil, errors.Join(fmt.Errorf("start a container of %q: %w", spec.Image, err), e.discard(ctx, c.id))
	}
	go c.follow(life, attached, ended, output)
	return c, nil
}

// begin attaches and waits before the container runs, so that neither its first
// line nor its end is missed. life is that of both connections.
func (c *container) begin(ctx, life context.Context) (attached client.ContainerAttachResult, ended client.ContainerWaitResult, err error) {
	engine := c.engine.client
	attached, err = engine.ContainerAttach(life, c.id, client.ContainerAttachOptions{Stream: true, Stdout: true, Stderr: true})
	if err != nil {
		// Podman prepares the container now, and the client does not tell why it
		// could not. Starting it fails for the same reason, and tells.
		if _, told := engine.ContainerStart(ctx, c.id, client.ContainerStartOptions{}); told != nil {
			err = told
		}
		return attached, ended, err
	}
	ended = engine.ContainerWait(life, c.id, client.ContainerWaitOptions{Condition: "next-exit"})
	if _, err := engine.ContainerStart(ctx, c.id, client.ContainerStartOptions{}); err != nil {
		attached.Close()
		c.giveUp()
		awaitEnd(ended)
		return attached, ended, err
	}
	c.look(ctx)
	return attached, ended, nil
}

// look asks what is known of a container that was started. It may have ended and
// be gone.
func (c *container) look(ctx context.Context) {
	c.began = time.Now()
	found, err := c.engine.client.ContainerInspect(ctx, c.id, client.ContainerInspectOptions{})
	if err != nil || found.Container.State == nil {
		return
	}
	c.pid = found.Container.State.Pid
	if began, err := time.Parse(time.RFC3339Nano, found.Container.State.StartedAt); err == nil {
		c.began = began
	}
}

// follow copies the output until the container has ended.
func (c *container) follow(life context.Context, attached client.ContainerAttachResult, ended client.ContainerWaitResult, output io.WriteCloser) {
	defer close(c.done)
	defer c.giveUp()
	defer func() { _ = output.Close() }()
	defer attached.Close()
	defer context.AfterFunc(life, attached.Close)()
	w := &noting{output, c}
	_, _ = stdcopy.StdCopy(w, w, attached.Reader) // what has failed, ended tells as well
	c.exit.Status = awaitEnd(ended)
	if c.exit.Status == killed {
		c.exit.OutOfMemory = c.outOfMemory(life)
	}
}

// outOfMemory asks why a container was killed. The engine may have forgotten it.
func (c *container) outOfMemory(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	found, err := c.engine.client.ContainerInspect(ctx, c.id, client.ContainerInspectOptions{})
	return err == nil && found.Container.State != nil && found.Container.State.OOMKilled
}

// killed is the status of what was ended by SIGKILL.
const killed = "signal: killed"

// awaitEnd returns how a container has ended. One answer always comes, and the
// client's goroutine waits until it is taken.
func awaitEnd(ended client.ContainerWaitResult) string {
	select {
	case end := <-ended.Result:
		return status(end.StatusCode)
	case <-ended.Error: // the engine has gone, and its containers with it
		return killed
	}
}

// A noting writer notes when something came.
type noting struct {
	io.Writer
	c *container
}

func (n *noting) Write(p []byte) (int, error) {
	n.c.wrote.Store(int64(time.Since(n.c.began)))
	return n.Writer.Write(p)
}

// Settle waits until nothing has come for a moment. There is no way to know that
// everything has.
func (c *container) Settle() {
	began := time.Since(c.began)
	for {
		now := time.Since(c.began)
		quiet := now - max(began, time.Duration(c.wrote.Load()))
		if quiet >= lag || now-began >= mostLag {
			return
		}
		select {
		case <-c.done:
			return
		case <-time.After(lag - quiet):
		}
	}
}

// status words an exit code as that of a process. Engines add 128 to the signal
// that has ended the first process.
func status(code int64) string {
	if code > 128 && code <= 128+64 {
		return "signal: " + syscall.Signal(code-128).String()
	}
	return fmt.Sprintf("exit status %d", code)
}

// Started is when it has begun to run.
func (c *container) Started() time.Time { return c.began }

// Done is closed when the container has ended and all that it has printed was
// written.
func (c *container) Done() <-chan struct{} { return c.done }

// Exit says how it has ended, once it is done.
func (c *container) Exit() functions.Exit { return c.exit }

// MaxMemory is the most bytes that it has used until now. It is 0 when the
// engine's processes are not seen on this machine.
func (c *container) MaxMemory() int64 {
	if c.pid > 0 {
		c.peak.Store(max(c.peak.Load(), functions.PeakMemory(c.pid)))
	}
	return c.peak.Load()
}

// Terminate sends SIGTERM to its first process.
func (c *container) Terminate() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, _ = c.engine.client.ContainerKill(ctx, c.id, client.ContainerKillOptions{Signal: "SIGTERM"}) // it may have gone
}

// Kill removes the container with all its processes. When the engine does not
// do it, the container is taken for lost.
func (c *container) Kill() {
	select {
	case <-c.done:
		return
	default:
	}
	c.MaxMemory() // while it can be seen
	if err := c.engine.discard(context.Background(), c.id); err != nil {
		c.giveUp()
	}
}

// discard removes a container, even when ctx is over.
func (e *Engine) discard(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	_, err := e.client.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	if errdefs.IsNotFound(err) || errdefs.IsConflict(err) { // gone, or about to go
		return nil
	}
	return err
}

// name is for people who list the engine's containers.
func name(function string) string {
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, function)
	return "sluice-" + clean + "-" + uuid.NewString()[:13]
}
