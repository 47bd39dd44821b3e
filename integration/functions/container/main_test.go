//go:build integration && linux

package container

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"sluice/functions"
	"sluice/functions/container"
	"sluice/integration/engine"
)

const (
	image    = "localhost/sluice-test"
	patience = 30 * time.Second
)

func TestMain(m *testing.M) {
	if host := os.Getenv(hostVariable); host != "" {
		leave(host)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(removeProgram))
}

func TestDocker(t *testing.T) {
	t.Parallel()
	suite(t, engine.Docker(t))
}

func TestPodman(t *testing.T) {
	t.Parallel()
	suite(t, engine.Podman(t))
}

func suite(t *testing.T, e *engine.Engine) {
	t.Helper()
	program := engine.Build(t, "testdata/worker")
	e.Image(image, program, "ENV COLOR=red", "ENV SIZE=1", "WORKDIR /tmp")
	for _, test := range []struct {
		name string
		run  func(*testing.T, *engine.Engine)
	}{
		{"answers", answers},
		{"surroundings", surroundings},
		{"overrides", overrides},
		{"lines", lines},
		{"timeout", timeout},
		{"memory", memory},
		{"exit", exit},
		{"many", many},
		{"idle", idle},
		{"farewell", farewell},
		{"bad starts", badStarts},
		{"images", func(t *testing.T, e *engine.Engine) { t.Helper(); images(t, e, program) }},
		{"pulled", func(t *testing.T, e *engine.Engine) { t.Helper(); pulled(t, e, program) }},
		{"left behind", leftBehind},
		{"program", whole},
		{"lost engine", lostEngine},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, e) })
		eventually(t, "no container is left of "+test.name, func() bool { return len(e.Containers()) == 0 })
	}
}

// A function is a pool over containers, and what it has said.
type function struct {
	*functions.Pool
	t *testing.T

	mu      sync.Mutex
	lines   []functions.Line
	reports []functions.Report
}

func (f *function) Line(l functions.Line) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lines = append(f.lines, l)
}

func (f *function) Report(r functions.Report) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reports = append(f.reports, r)
}

// text is what a request has logged; all of it for an empty id.
func (f *function) text(id string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var text strings.Builder
	for _, l := range f.lines {
		if id == "" || l.RequestID == id {
			fmt.Fprintln(&text, l.Text)
		}
	}
	return text.String()
}

// printed is all that was not said by sluice.
func (f *function) printed() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var text strings.Builder
	for _, l := range f.lines {
		if !l.Platform {
			fmt.Fprintln(&text, l.Text)
		}
	}
	return text.String()
}

// open makes a function that is closed when the test ends.
func open(t *testing.T, e *engine.Engine, change func(*functions.Spec, *container.Spec)) *function {
	t.Helper()
	spec := functions.Spec{Name: "resize", Timeout: 10 * time.Second, Memory: 128 << 20}
	of := container.Spec{Function: "resize", Image: image, Memory: spec.Memory}
	if change != nil {
		change(&spec, &of)
	}
	f, err := newFunction(t.Context(), e.Host, t.TempDir(), spec, of)
	if err != nil {
		t.Fatal(err)
	}
	f.t = t
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(f.text(""))
		}
	})
	return f
}

func newFunction(ctx context.Context, host, scratch string, spec functions.Spec, of container.Spec) (*function, error) {
	launcher, err := container.NewLauncher(ctx, host, of)
	if err != nil {
		return nil, err
	}
	f := &function{}
	f.Pool, err = functions.NewPool(spec, functions.Options{
		Logger: slog.New(slog.DiscardHandler), Observer: f, Scratch: scratch, Launcher: launcher,
	})
	return f, err
}

// invoke calls the function, and decodes its answer into to, which may be nil.
func (f *function) invoke(payload string, to any) (functions.Result, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	result, err := f.Invoke(ctx, functions.Invocation{RequestID: uuid.NewString(), Payload: []byte(payload), MaxWait: patience})
	if err == nil && to != nil {
		err = json.Unmarshal(result.Payload, to)
	}
	return result, err
}

// must is invoke where no error may be.
func (f *function) must(payload string, to any) functions.Result {
	f.t.Helper()
	result, err := f.invoke(payload, to)
	if err != nil {
		f.t.Fatalf("%s: %v", payload, err)
	}
	return result
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it did not become true that %s", what)
		}
	}
}
