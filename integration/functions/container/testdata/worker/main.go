// The worker is a function for tests, with the official client, which does what
// its event says.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

// An order is one event.
type order struct {
	Do   string `json:"do"`
	Text string `json:"text"`
	N    int    `json:"n"`
}

// A view is what a function sees of where it runs.
type view struct {
	UID      int               `json:"uid"`
	Dir      string            `json:"dir"`
	Args     []string          `json:"args"`
	Env      map[string]string `json:"env"`
	Status   map[string]string `json:"status"`
	Files    uint64            `json:"files"`
	Root     string            `json:"root"` // the error of writing there
	Tmp      string            `json:"tmp"`
	TmpBytes uint64            `json:"tmp_bytes"`
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "end" {
		fmt.Println("nothing to do")
		os.Exit(3)
	}
	if len(os.Args) > 1 && os.Args[1] == "farewell" {
		lambda.StartWithOptions(handle, lambda.WithEnableSIGTERM(func() { fmt.Println("farewell") }))
	}
	lambda.Start(handle)
}

func handle(ctx context.Context, o order) (any, error) {
	switch o.Do {
	case "echo":
		c, _ := lambdacontext.FromContext(ctx)
		return map[string]string{"text": o.Text, "id": c.AwsRequestID, "arn": c.InvokedFunctionArn}, nil
	case "look":
		return look(), nil
	case "print":
		for i := range o.N {
			fmt.Println(o.Text, i)
		}
		return nil, nil
	case "exit":
		os.Exit(o.N)
	case "call":
		answer, err := http.Get(o.Text)
		if err != nil {
			return nil, err
		}
		defer func() { _ = answer.Body.Close() }()
		time.Sleep(time.Duration(o.N) * time.Millisecond)
		return answer.Status, nil
	case "sleep":
		time.Sleep(time.Duration(o.N) * time.Millisecond)
		return nil, nil
	case "memory":
		return take(o.N), nil
	case "spawn":
		return nil, exec.Command("/proc/self/exe").Start()
	}
	return nil, errors.New("what is " + o.Do + "?")
}

// take uses memory, in MiB.
func take(n int) int {
	sum := 0
	for range n {
		block := make([]byte, 1<<20)
		for i := range block {
			block[i] = byte(i)
		}
		kept = append(kept, block)
		sum += len(block)
	}
	return sum
}

var kept [][]byte

func look() view {
	v := view{UID: os.Getuid(), Args: os.Args, Env: map[string]string{}, Status: map[string]string{}}
	v.Dir, _ = os.Getwd()
	for _, one := range os.Environ() {
		name, value, _ := strings.Cut(one, "=")
		v.Env[name] = value
	}
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		v.Status[name] = strings.TrimSpace(value)
	}
	var files syscall.Rlimit
	_ = syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files)
	v.Files = files.Max
	v.Root, v.Tmp = said(os.WriteFile("/file", nil, 0o600)), said(os.WriteFile("/tmp/file", nil, 0o600))
	var disk syscall.Statfs_t
	_ = syscall.Statfs("/tmp", &disk)
	v.TmpBytes = disk.Blocks * uint64(disk.Bsize)
	return v
}

func said(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
