//go:build unix

package functions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"go.uber.org/goleak"
)

// The binary of the tests is the worker too: an unmodified Go Lambda, whose
// handler does what the payload or the environment asks for.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv("AWS_LAMBDA_RUNTIME_API") != "":
		runWorker()
	case os.Getenv("SLUICE_TEST_PARENT") != "":
		runParent()
	default:
		goleak.VerifyTestMain(m)
	}
}

// An order is what a test wants its worker to do.
type order struct {
	Do    string        `json:"do"`
	Text  string        `json:"text,omitempty"`
	N     int           `json:"n,omitempty"`
	Sleep time.Duration `json:"sleep,omitempty"`
}

// A told is what the worker answers.
type told struct {
	Text      string            `json:"text,omitempty"`
	PID       int               `json:"pid"`
	RequestID string            `json:"request_id"`
	ARN       string            `json:"arn"`
	Client    string            `json:"client"`
	Deadline  time.Time         `json:"deadline"`
	Env       []string          `json:"env,omitempty"`
	Files     map[string]string `json:"files,omitempty"`
	Status    map[string]string `json:"status,omitempty"`
	Dir       string            `json:"dir,omitempty"`
	Errors    map[string]string `json:"errors,omitempty"`
}

func runWorker() {
	if d, err := time.ParseDuration(os.Getenv("INIT_SLEEP")); err == nil {
		time.Sleep(d)
	}
	if text := os.Getenv("INIT_SAY"); text != "" {
		fmt.Fprintln(os.Stderr, text)
	}
	if code, err := strconv.Atoi(os.Getenv("INIT_EXIT")); err == nil {
		if _, err := os.Stat(os.Getenv("UNLESS")); err != nil {
			os.Exit(code)
		}
	}
	if os.Getenv("SIGTERM") != "" {
		lambda.StartWithOptions(handle, lambda.WithEnableSIGTERM(func() { fmt.Println("told to end") }))
	}
	lambda.Start(handle)
}

func handle(ctx context.Context, in order) (any, error) {
	lc, _ := lambdacontext.FromContext(ctx)
	out := told{PID: os.Getpid(), RequestID: lc.AwsRequestID, ARN: lc.InvokedFunctionArn, Client: lc.ClientContext.Client.AppTitle}
	out.Deadline, _ = ctx.Deadline()
	time.Sleep(in.Sleep)
	switch in.Do {
	case "log":
		for n := range in.N {
			fmt.Println(in.Text, n)
		}
	case "flood":
		line := strings.Repeat("x", 1<<20)
		for range in.N {
			fmt.Println(line)
		}
	case "partial":
		fmt.Print(in.Text)
	case "fail":
		return nil, errors.New(in.Text)
	case "panic":
		panic(in.Text)
	case "exit":
		os.Exit(in.N)
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "stop":
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		time.Sleep(time.Minute)
	case "large":
		return strings.Repeat("a", in.N), nil
	case "hog":
		hold := make([][]byte, 0, in.N)
		for range in.N {
			block := make([]byte, 1<<20)
			for i := 0; i < len(block); i += 4096 {
				block[i] = 1
			}
			hold = append(hold, block)
		}
		out.Text = strconv.Itoa(len(hold))
		time.Sleep(time.Minute)
	case "child", "stray":
		return child(in, out)
	case "exit-with-child":
		if _, err := child(in, out); err != nil {
			return nil, err
		}
		os.Exit(1)
	case "look":
		return look(out, in.Text)
	}
	return out, nil
}

// child leaves a process behind, which has the output of the worker open.
func child(in order, out told) (any, error) {
	cmd := exec.Command("sleep", "600") //nolint:noctx // it has to outlive the invocation
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if in.Do == "stray" {
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	out.Text = strconv.Itoa(cmd.Process.Pid)
	if in.Text != "" {
		return out, os.WriteFile(in.Text, []byte(out.Text), 0o600)
	}
	return out, nil
}

// look tells what the worker sees, and what becomes of writing and reading the
// paths in text.
func look(out told, text string) (any, error) {
	out.Env = os.Environ()
	out.Dir, _ = os.Getwd()
	out.Files, out.Status, out.Errors = map[string]string{}, map[string]string{}, map[string]string{}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + entry.Name()); err == nil {
			out.Files[entry.Name()] = to
		}
	}
	for _, name := range []string{"status", "limits"} {
		data, err := os.ReadFile("/proc/self/" + name)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(data)) {
			if name, value, found := strings.Cut(line, ":"); found {
				out.Status[name] = strings.TrimSpace(value)
			} else if len(line) > 26 {
				out.Status[strings.TrimSpace(line[:26])] = strings.Join(strings.Fields(line[26:]), " ")
			}
		}
	}
	for path := range strings.FieldsSeq(text) {
		if _, err := os.ReadDir(path); err != nil {
			out.Errors["read "+path] = err.Error()
		}
		if err := os.WriteFile(filepath.Join(path, "written"), nil, 0o600); err != nil {
			out.Errors["write "+path] = err.Error()
		}
	}
	return out, nil
}

// runParent is a sluice that is killed: it has a pool with a worker that has a
// child, says their ids, and waits.
func runParent() {
	p, err := NewPool(testSpec(os.Args[0]), Options{Scratch: os.Getenv("SCRATCH")})
	if err == nil {
		var result Result
		result, err = p.Invoke(context.Background(), call(order{Do: "stray"}))
		fmt.Println(string(result.Payload))
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func call(o order) Invocation {
	payload, _ := json.Marshal(o) //nolint:errchkjson // plain fields
	return Invocation{RequestID: newID(), Payload: payload, MaxWait: 10 * time.Second}
}
