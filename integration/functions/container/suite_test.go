//go:build integration && linux

package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/functions"
	"sluice/functions/container"
	"sluice/integration/engine"
)

// A function with the official client answers, cold and warm, by its own error
// too.
func answers(t *testing.T, e *engine.Engine) {
	t.Helper()
	f := open(t, e, nil)
	var got struct{ Text, ID, ARN string }
	first := f.must(`{"do":"echo","text":"a"}`, &got)
	if got.Text != "a" || got.ID != first.Report.RequestID || got.ARN != "arn:aws:lambda:us-east-1:000000000000:function:resize" {
		t.Errorf("%+v", got)
	}
	second := f.must(`{"do":"echo","text":"b"}`, &got)
	if got.Text != "b" || first.Report.Init == 0 || second.Report.Init != 0 {
		t.Errorf("%+v, %+v, %+v", got, first.Report, second.Report)
	}
	if most := second.Report.MaxMemory; most < 4<<20 || most > 128<<20 {
		t.Errorf("max memory: %d", most)
	}
	_, err := f.invoke(`{"do":"dance"}`, nil)
	var failed *functions.FunctionError
	if !errors.As(err, &failed) || !failed.Handled || failed.Message != "what is dance?" {
		t.Errorf("%v", err)
	}
	if names := e.Containers(); len(names) != 1 || !strings.HasPrefix(names[0], "/sluice-resize-") {
		t.Errorf("containers: %q", names)
	}
}

// A container gets no more than it needs.
func surroundings(t *testing.T, e *engine.Engine) {
	t.Helper()
	f := open(t, e, func(s *functions.Spec, _ *container.Spec) {
		s.Environment = map[string]string{"SIZE": "2", "BUCKET": "thumbs"}
	})
	var got view
	f.must(`{"do":"look"}`, &got)
	for name, want := range map[string]string{
		"COLOR": "red", "SIZE": "2", "BUCKET": "thumbs", "AWS_LAMBDA_FUNCTION_NAME": "resize",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128", "AWS_REGION": "us-east-1", "TZ": ":UTC",
	} {
		if got.Env[name] != want {
			t.Errorf("%s is %q, not %q", name, got.Env[name], want)
		}
	}
	if api := got.Env["AWS_LAMBDA_RUNTIME_API"]; !strings.HasPrefix(api, "127.0.0.1:") {
		t.Errorf("the Runtime API is at %q", api)
	}
	if path := got.Env["PATH"]; path == os.Getenv("PATH") {
		t.Errorf("PATH is sluice's: %q", path)
	}
	for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
		if strings.Trim(got.Status[set], "0") != "" {
			t.Errorf("%s is %s", set, got.Status[set])
		}
	}
	if got.Status["NoNewPrivs"] != "1" || got.Status["Seccomp"] != "2" {
		t.Errorf("no_new_privs %s, seccomp %s", got.Status["NoNewPrivs"], got.Status["Seccomp"])
	}
	if got.Files != 1024 || !strings.Contains(got.Root, "read-only file system") || got.Tmp != "" || got.TmpBytes != 512<<20 {
		t.Errorf("%d files; /: %q; /tmp: %q, %d bytes", got.Files, got.Root, got.Tmp, got.TmpBytes)
	}
	limits(t, e)
}

// limits looks at what only the engine knows.
func limits(t *testing.T, e *engine.Engine) {
	t.Helper()
	var got struct {
		HostConfig struct {
			Memory, MemorySwap, PidsLimit int64
			NetworkMode                   string
			Privileged, AutoRemove        bool
		}
	}
	e.Do("GET", "/containers"+e.Containers()[0]+"/json", nil, &got)
	h := got.HostConfig
	if h.Memory != 128<<20 || h.MemorySwap != 128<<20 || h.PidsLimit != 1024 || h.NetworkMode != "host" || h.Privileged || !h.AutoRemove {
		t.Errorf("%+v", h)
	}
}

// What the service calls ImageConfig goes before what the image says.
func overrides(t *testing.T, e *engine.Engine) {
	t.Helper()
	f := open(t, e, func(_ *functions.Spec, c *container.Spec) {
		c.Entrypoint, c.Command, c.WorkingDir, c.User = []string{"/proc/self/exe", "-x"}, []string{"app.handler"}, "/proc", "65534:65533"
		c.Entrypoint[0] = "/bootstrap"
	})
	var got view
	f.must(`{"do":"look"}`, &got)
	if fmt.Sprint(got.Args) != "[/bootstrap -x app.handler]" || got.Dir != "/proc" || got.UID != 65534 || !strings.HasPrefix(got.Status["Gid"], "65533\t") {
		t.Errorf("%q in %s as %d, group %s", got.Args, got.Dir, got.UID, got.Status["Gid"])
	}
}

// What is printed comes whole and in order. Most of it comes in time to belong to
// its invocation, which through an engine cannot be had for all.
func lines(t *testing.T, e *engine.Engine) {
	t.Helper()
	f := open(t, e, nil)
	const calls = 20
	var want strings.Builder
	own := 0
	for i := range calls {
		text := fmt.Sprintf("call %d line", i)
		result := f.must(fmt.Sprintf(`{"do":"print","text":%q,"n":2}`, text), nil)
		printed := text + " 0\n" + text + " 1\n"
		want.WriteString(printed)
		if strings.Contains(f.text(result.Report.RequestID), "$LATEST\n"+printed+"END") && strings.Contains(string(result.LogTail), printed) {
			own++
		}
	}
	if own < calls/2 {
		t.Errorf("of %d invocations %d have their lines", calls, own)
	}
	f.must(`{"do":"print","text":"long line","n":20000}`, nil)
	for i := range 20000 {
		fmt.Fprintln(&want, "long line", i)
	}
	eventually(t, "all lines have come", func() bool { return f.printed() == want.String() })
}

// An invocation that takes too long ends its container, and the next one has
// another.
func timeout(t *testing.T, e *engine.Engine) {
	t.Helper()
	f := open(t, e, func(s *functions.Spec, _ *container.Spec) { s.Timeout = time.Second })
	_, err := f.invoke(`{"do":"sleep","n":60000}`, nil)
	var failed *functions.FunctionError
	if !errors.As(err, &failed) || failed.Type != "Sandbox.Timedout" || !strings.Contains(failed.Message, "Task timed out after 1.00 seconds") {
		t.Errorf("%v", err)
	}
	f.must(`{"do":"echo"}`, nil)
	if names := e.Containers(); len(names) != 1 {
		t.Errorf("containers: %q", names)
	}
}

// A container that uses more memory than it may ends, and costs nobody else.
func memory(t *testing.T, e *engine.Engine) {
	t.Helper()
	f := open(t, e, func(s *functions.Spec, c *container.Spec) { s.Memory, c.Memory = 64<<20, 64<<20 })
	result := f.must(`{"do":"memory","n":20}`, nil)
	if most := result.Report.MaxMemory; most < 20<<20 || most > 64<<20 {
		t.Errorf("max memory: %d", most)
	}
	_, err := f.invoke(`{"do":"memory","n":200}`, nil)
	var failed *functions.FunctionError
	if !errors.As(err, &failed) || failed.Outcome != functions.OutcomeExit || !strings.Contains(failed.Message, "signal: killed") {
		t.Errorf("%v", err)
	}
	t.Logf("it was told as %s", failed.Type)
	f.must(`{"do":"echo"}`, nil)
}

// A container that ends is told as a process that does.
func exit(t *testing.T, e *engine.Engine) {
	t.Helper()
	f := open(t, e, nil)
	for n, want := range map[int]string{0: "Runtime exited without providing a reason", 7: "Runtime exited with error: exit status 7"} {
		_, err := f.invoke(fmt.Sprintf(`{"do":"exit","n":%d}`, n), nil)
		var failed *functions.FunctionError
		if !errors.As(err, &failed) || failed.Type != "Runtime.ExitError" || !strings.HasSuffix(failed.Message, want) {
			t.Errorf("%v", err)
		}
	}
}

// Many invocations at once get each their own answer, while some end their
// container.
func many(t *testing.T, e *engine.Engine) {
	t.Helper()
	f := open(t, e, func(s *functions.Spec, _ *container.Spec) { s.Concurrency = 4 })
	var running sync.WaitGroup
	for i := range 48 {
		running.Go(func() {
			if i%16 == 7 {
				if _, err := f.invoke(`{"do":"exit","n":1}`, nil); err == nil {
					t.Error("an exit has answered")
				}
				return
			}
			var got struct{ Text string }
			if _, err := f.invoke(fmt.Sprintf(`{"do":"echo","text":"%d"}`, i), &got); err != nil || got.Text != strconv.Itoa(i) {
				t.Errorf("%d: %q, %v", i, got.Text, err)
			}
		})
	}
	running.Wait()
}

// Containers that are not needed end.
func idle(t *testing.T, e *engine.Engine) {
	t.Helper()
	f := open(t, e, func(s *functions.Spec, _ *container.Spec) { s.Idle = 300 * time.Millisecond })
	f.must(`{"do":"echo"}`, nil)
	eventually(t, "its container has ended", func() bool { return len(e.Containers()) == 0 })
	f.must(`{"do":"echo"}`, nil)
}

// A function that wants to hear of its end is told, and has time for it.
func farewell(t *testing.T, e *engine.Engine) {
	t.Helper()
	f := open(t, e, func(s *functions.Spec, c *container.Spec) {
		s.Idle, c.Command = 300*time.Millisecond, []string{"farewell"}
	})
	f.must(`{"do":"echo"}`, nil)
	eventually(t, "it has said farewell", func() bool { return f.printed() == "farewell\n" })
}

// A container that cannot be started says why, and is no failure of the
// function.
func badStarts(t *testing.T, e *engine.Engine) {
	t.Helper()
	for _, test := range []struct {
		change func(*container.Spec)
		want   string
	}{
		{func(c *container.Spec) { c.Entrypoint = []string{"/nothing"} }, "no such file or directory"},
		{func(c *container.Spec) { c.Command = []string{"end"} }, "exit status 3"},
	} {
		f := open(t, e, func(_ *functions.Spec, c *container.Spec) { test.change(c) })
		_, err := f.invoke(`{"do":"echo"}`, nil)
		var start *functions.StartError
		if !errors.As(err, &start) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%T %v, not %q", err, err, test.want)
		}
	}
}

// An image that is nowhere is told. One that was removed and made anew is found.
func images(t *testing.T, e *engine.Engine, program string) {
	t.Helper()
	_, err := container.NewLauncher(t.Context(), e.Host, container.Spec{Function: "resize", Image: "localhost:1/nothing:1"})
	if want := `has no image "localhost:1/nothing:1" and could not pull it: `; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, not %q", err, want)
	}
	const other = "localhost/sluice-other"
	e.Image(other, program, "ENV COLOR=green")
	f := open(t, e, func(_ *functions.Spec, c *container.Spec) { c.Image = other })
	for _, color := range []string{"blue", "grey"} {
		eventually(t, "no container has the image", func() bool { return len(e.Containers()) == 0 })
		if status := e.Do("DELETE", "/images/"+other+"?force=1", nil, nil); status != 200 {
			t.Fatalf("the image was not removed: %d", status)
		}
		e.Image(other, program, "ENV COLOR="+color)
		var got view
		f.must(`{"do":"look"}`, &got)
		if got.Env["COLOR"] != color {
			t.Errorf("it is %q, not %q", got.Env["COLOR"], color)
		}
		_, _ = f.invoke(`{"do":"exit"}`, nil)
	}
}

// An image that the engine does not have is pulled, once.
func pulled(t *testing.T, e *engine.Engine, program string) {
	t.Helper()
	registry := engine.NewRegistry(t, program)
	for range 2 {
		f := open(t, e, func(_ *functions.Spec, c *container.Spec) { c.Image = registry.Host + "/team/resize:1.2" })
		f.must(`{"do":"echo"}`, nil)
	}
	if n := registry.Pulls(); n != 1 {
		t.Errorf("it was pulled %d times", n)
	}
}

// A killed engine costs what its containers run, and starts nothing. When it is
// back, all goes on.
func lostEngine(t *testing.T, e *engine.Engine) {
	t.Helper()
	f := open(t, e, nil)
	f.must(`{"do":"echo"}`, nil)
	failed := make(chan error, 1)
	go func() {
		_, err := f.invoke(`{"do":"sleep","n":8000}`, nil)
		failed <- err
	}()
	eventually(t, "the invocation has begun", func() bool { return f.Stats().Busy == 1 })
	e.Kill()
	var lost *functions.FunctionError
	if err := <-failed; !errors.As(err, &lost) || lost.Type != "Runtime.ExitError" {
		t.Errorf("%v", err)
	}
	_, err := f.invoke(`{"do":"echo"}`, nil)
	if _, ok := errors.AsType[*functions.StartError](err); !ok {
		t.Errorf("%v", err)
	}
	e.Start()
	eventually(t, "workers start again", func() bool {
		_, err := f.invoke(`{"do":"echo"}`, nil)
		return err == nil
	})
}

// What tells the test's own binary to be the other sluice.
const (
	hostVariable    = "SLUICE_TEST_HOST"
	scratchVariable = "SLUICE_TEST_SCRATCH"
)

// leave is another sluice: it starts a container that works and one that waits,
// says so, and waits to be killed.
func leave(host string) {
	working, waiting := another(host, "working"), another(host, "waiting")
	_, err := waiting.invoke(`{"do":"echo"}`, nil)
	go func() { _, _ = working.invoke(`{"do":"sleep","n":600000}`, nil) }()
	for err == nil && !strings.Contains(working.text(""), "START") {
		time.Sleep(10 * time.Millisecond)
	}
	fmt.Println("started", err)
	select {}
}

func another(host, name string) *function {
	spec := functions.Spec{Name: name, Timeout: time.Hour}
	f, err := newFunction(context.Background(), host, filepath.Join(os.Getenv(scratchVariable), name), spec, container.Spec{Function: name, Image: image})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	return f
}

// Of what a killed sluice leaves, a container that waits ends by itself, and one
// that works is removed by the next sluice. Those of one that runs are not.
func leftBehind(t *testing.T, e *engine.Engine) {
	t.Helper()
	mine := open(t, e, nil)
	mine.must(`{"do":"echo"}`, nil)
	other := exec.CommandContext(t.Context(), os.Args[0])
	other.Env = append(os.Environ(), hostVariable+"="+e.Host, scratchVariable+"="+t.TempDir())
	output, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	said := make([]byte, 256)
	if n, err := output.Read(said); string(said[:n]) != "started <nil>\n" {
		t.Fatalf("the other sluice has said %q, %v", said[:n], err)
	}
	open(t, e, nil) // while both run
	if names := e.Containers(); len(names) != 3 {
		t.Errorf("containers: %q", names)
	}
	_ = other.Process.Kill()
	_ = other.Wait()
	eventually(t, "the container that waits has ended", func() bool { return len(e.Containers()) == 2 })
	open(t, e, nil)
	if names := e.Containers(); len(names) != 1 || !strings.HasPrefix(names[0], "/sluice-resize-") {
		t.Errorf("containers after the next start: %q", names)
	}
	mine.must(`{"do":"echo"}`, nil)
}
