package invokeapi

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"sluice/functions"
)

// The limits of the service, in bytes.
const (
	maxSync          = 6 << 20
	maxAsync         = 1 << 20
	maxClientContext = 3583
	maxTrace         = 256
)

const (
	// writeTime is how long a caller may take to read an answer.
	writeTime = 30 * time.Second
	// roomTime is how long an invocation waits for room before it is throttled.
	roomTime = 5 * time.Second
	// storeTime is how long an asynchronous invocation may take to be stored.
	storeTime = 15 * time.Second
)

var errNotSigned = errors.New("the request cannot be signed")

// ErrTooLarge means that an event is larger than the bus takes.
var ErrTooLarge = errors.New("the event is too large")

// Functions are what the API invokes.
type Functions interface {
	// Has tells whether there is a function of that name, which sluice runs.
	Has(name string) bool
	// Invoke calls a function; its errors are those of functions.Pool.
	Invoke(ctx context.Context, name string, in functions.Invocation) (functions.Result, error)
	// InvokeAsync makes it a delivery, durable when nil is returned. ErrTooLarge
	// means that it has no room.
	InvokeAsync(ctx context.Context, name string, in functions.Invocation) error
}

// Options are what an API is made of.
type Options struct {
	Functions Functions
	// Keys are those that may invoke. Without any nobody may, unless Open is set.
	Keys []Key
	// Open lets everybody invoke everything, without a signature.
	Open bool
	// Region is that of the functions' ARNs; functions.DefaultRegion.
	Region string
	Logger *slog.Logger
	// Now is the clock; nil for the system's.
	Now func() time.Time
}

// An API serves the paths in Paths. It is an http.Handler.
type API struct {
	options Options
	keys    atomic.Pointer[keys]
	cancel  context.CancelFunc // of what is under way
	// onCancel calls its argument when cancel is called, unless what it returns is.
	onCancel func(func()) (forget func() bool)

	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup
}

// New makes an API. It is to be closed, and goes on when ctx ends.
func New(ctx context.Context, options Options) *API {
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Region == "" {
		options.Region = functions.DefaultRegion
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	a := &API{options: options, cancel: cancel, onCancel: func(f func()) func() bool { return context.AfterFunc(ctx, f) }}
	a.SetKeys(options.Keys)
	return a
}

// SetKeys replaces the keys that are taken.
func (a *API) SetKeys(all []Key) {
	byName := make(keys, len(all))
	for i := range all {
		key := all[i]
		byName[key.AccessKey] = &key
	}
	a.keys.Store(&byName)
}

// Authenticated tells that nobody is served without a signature.
func (a *API) Authenticated() bool { return !a.options.Open }

// Close takes no more requests, and waits for the invocations under way, which go
// on when their callers have gone. After so long they are canceled.
func (a *API) Close(within time.Duration) {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	late := time.AfterFunc(within, a.cancel)
	defer late.Stop()
	a.running.Wait()
	a.cancel()
}

// enter tells whether requests are taken; then running.Done must be called.
func (a *API) enter() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.closed {
		a.running.Add(1)
	}
	return !a.closed
}

func (a *API) arn(name string) string {
	return fmt.Sprintf("arn:aws:lambda:%s:000000000000:function:%s", a.options.Region, name)
}

// ServeHTTP answers one request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := uuid.NewString()
	w.Header().Set("X-Amzn-RequestId", id)
	if !a.enter() {
		serviceFailed("The service is stopping: try again").write(w)
		return
	}
	defer a.running.Done()
	call, failed := a.read(r)
	if failed != nil {
		failed.write(w)
		return
	}
	call.in.RequestID, call.in.MaxWait = id, roomTime
	// What was asked for is done, also when the caller does not wait for it.
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	defer cancel()
	defer a.onCancel(cancel)()
	switch call.kind {
	case dryRun:
		w.WriteHeader(http.StatusNoContent)
	case async:
		a.invokeAsync(ctx, w, call)
	default:
		a.invoke(ctx, w, call)
	}
}

// invoke calls the function, which has a timeout of its own.
func (a *API) invoke(ctx context.Context, w http.ResponseWriter, call *call) {
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Time{}) // a connection has deadlines
	result, err := a.options.Functions.Invoke(ctx, call.target.name, call.in)
	_ = control.SetWriteDeadline(time.Now().Add(writeTime))
	a.answer(w, call, &result, err)
}

func (a *API) invokeAsync(ctx context.Context, w http.ResponseWriter, call *call) {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	err := a.options.Functions.InvokeAsync(ctx, call.target.name, call.in)
	switch {
	case err == nil:
		w.WriteHeader(http.StatusAccepted)
	case errors.Is(err, ErrTooLarge):
		tooLarge(maxAsync).write(w)
	default:
		a.options.Logger.Warn("an asynchronous invocation cannot be stored", slog.String("function", call.target.name), slog.Any("error", err))
		serviceFailed("The invocation could not be stored: try again").write(w)
	}
}

// answer says what has become of a synchronous invocation.
func (a *API) answer(w http.ResponseWriter, call *call, result *functions.Result, err error) {
	payload, failed := a.payload(call, result, err)
	if failed != nil {
		failed.write(w)
		return
	}
	header := w.Header()
	header.Set("X-Amz-Executed-Version", latest)
	if err != nil {
		header.Set("X-Amz-Function-Error", "Unhandled")
	}
	if call.tail {
		header.Set("X-Amz-Log-Result", base64.StdEncoding.EncodeToString(tailOf(result, err)))
	}
	writeBody(w, http.StatusOK, payload)
}

// payload returns what the function has answered, its error among it; or why it
// has not.
func (a *API) payload(call *call, result *functions.Result, err error) ([]byte, *failure) {
	if err == nil {
		return result.Payload, nil
	}
	if own, ok := errors.AsType[*functions.FunctionError](err); ok {
		return own.Payload, nil
	}
	if start, ok := errors.AsType[*functions.StartError](err); ok {
		text, _ := json.Marshal(map[string]string{ // strings can be written
			"errorType":    "Runtime.ExitError",
			"errorMessage": fmt.Sprintf("RequestId: %s Error: %s", call.in.RequestID, start.Err),
		})
		return text, nil
	}
	if errors.Is(err, functions.ErrThrottled) {
		return nil, throttled()
	}
	a.options.Logger.Warn("an invocation could not be made", slog.String("function", call.target.name), slog.Any("error", err))
	return nil, serviceFailed("The service could not invoke the function: try again")
}

func tailOf(result *functions.Result, err error) []byte {
	if start, ok := errors.AsType[*functions.StartError](err); ok {
		return start.Log
	}
	return result.LogTail
}

// readBody reads a body of at most so many bytes.
func readBody(r *http.Request, limit int) ([]byte, *failure) {
	if r.ContentLength > int64(limit) {
		return nil, tooLarge(limit)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, int64(limit)+1))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, invalidContent("The body did not come in time")
	case err != nil: // it was cut off, or there is no room for it at the moment
		return nil, serviceFailed("The body could not be read: try again")
	case len(body) > limit:
		return nil, tooLarge(limit)
	}
	return body, nil
}
