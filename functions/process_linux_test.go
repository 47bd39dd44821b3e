package functions

import (
	"bufio"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// The worker sees what it needs and nothing else of sluice.
func TestSurroundings(t *testing.T) {
	t.Setenv("SLUICE_SECRET", "not for workers")
	secret, err := os.Create(filepath.Join(t.TempDir(), "secret"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = secret.Close() }()
	if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, secret.Fd(), syscall.F_SETFD, 0); errno != 0 { // to be inherited, if it were possible
		t.Fatal(errno)
	}
	p, _ := newPool(t, env("BUCKET", "thumbs"), env("TZ", "Europe/Berlin"), func(s *Spec) {
		s.Program.Env = map[string]string{"BUCKET": "overruled", "LAMBDA_RUNTIME_DIR": "/opt/runtime"}
	})
	saw, _ := invoke(t, p, order{Do: "look"})
	got := map[string]string{}
	for _, e := range saw.Env {
		name, value, _ := strings.Cut(e, "=")
		got[name] = value
	}
	folder, api, stream := got["TMPDIR"], got["AWS_LAMBDA_RUNTIME_API"], got["AWS_LAMBDA_LOG_STREAM_NAME"]
	want := map[string]string{
		"BUCKET": "thumbs", "LAMBDA_RUNTIME_DIR": "/opt/runtime", "PATH": os.Getenv("PATH"), "LANG": "en_US.UTF-8", "TZ": "Europe/Berlin",
		"HOME": folder, "TMPDIR": folder, "_HANDLER": "handle", "LAMBDA_TASK_ROOT": os.TempDir(),
		"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1", "AWS_LAMBDA_RUNTIME_API": api, "AWS_LAMBDA_FUNCTION_NAME": "resize",
		"AWS_LAMBDA_FUNCTION_VERSION": "$LATEST", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024", "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/resize",
		"AWS_LAMBDA_LOG_STREAM_NAME": stream, "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
	}
	delete(got, "_X_AMZN_TRACE_ID") // the client's own
	if !maps.Equal(got, want) {
		t.Errorf("the environment is %q", saw.Env)
	}
	if !strings.HasPrefix(folder, p.options.Scratch+"/worker-") || !strings.HasPrefix(api, "127.0.0.1:") || saw.Dir != os.TempDir() {
		t.Errorf("it lives in %s with %s, speaks to %s", saw.Dir, folder, api)
	}
	checkFiles(t, saw.Files)
	for name, value := range map[string]string{"NoNewPrivs": "1", "Max core file size": "0 0 bytes", "Max open files": "1024 1024 files"} {
		if saw.Status[name] != value {
			t.Errorf("%s is %s", name, saw.Status[name])
		}
	}
	own, err := os.ReadFile("/proc/self/status")
	if err != nil || !strings.Contains(string(own), "NoNewPrivs:\t0") {
		t.Errorf("sluice itself has changed: %s, %v", own, err)
	}
}

// checkFiles wants /dev/null, one pipe twice, and else only what the worker
// itself has opened.
func checkFiles(t *testing.T, files map[string]string) {
	t.Helper()
	if files["0"] != "/dev/null" || !strings.HasPrefix(files["1"], "pipe:") || files["1"] != files["2"] {
		t.Errorf("the descriptors are %v", files)
	}
	for fd, to := range files {
		if fd > "2" && !strings.HasPrefix(to, "socket:") && !strings.HasPrefix(to, "anon_inode:") && !strings.HasSuffix(to, "/fd") && !strings.HasPrefix(to, "/sys/fs/cgroup/") {
			t.Errorf("descriptor %s is %s", fd, to)
		}
	}
}

func alive(pid string) bool {
	data, err := os.ReadFile("/proc/" + pid + "/stat")
	return err == nil && !strings.Contains(string(data), ") Z ")
}

// untilDead waits for the end of a process that is not the test's.
func untilDead(t *testing.T, pid string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); alive(pid); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %s still runs", pid)
		}
	}
}

// What a worker has started ends with it, in its group or out of it, and the
// pipe that it holds open holds up nothing.
func TestChildren(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "pid")
	p, _ := newPool(t, func(s *Spec) { s.Timeout = 5 * time.Second })
	for _, do := range []string{"child", "stray"} {
		answer, _ := invoke(t, p, order{Do: do})
		if !alive(answer.Text) {
			t.Fatalf("the worker's %s is not there", do)
		}
		if failed, _ := fails(t, p, order{Do: "exit", N: 1}); failed.Outcome != OutcomeExit {
			t.Errorf("%+v", failed)
		}
		untilDead(t, answer.Text)
	}
	if failed, _ := fails(t, p, order{Do: "exit-with-child", Text: file}); failed.Outcome != OutcomeExit {
		t.Errorf("%+v", failed)
	}
	pid, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	untilDead(t, string(pid))
}

// A counter is an observer that keeps nothing.
type counter struct{ lines, bytes, longest atomic.Int64 }

func (c *counter) Line(l Line) {
	c.lines.Add(1)
	c.bytes.Add(int64(len(l.Text)))
	c.longest.Store(max(c.longest.Load(), int64(len(l.Text))))
}
func (c *counter) Report(Report) {}

func TestFlood(t *testing.T) {
	const mebibytes = 40
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	seen := &counter{}
	p, err := NewPool(testSpec(exe), Options{Scratch: t.TempDir(), Observer: seen})
	if err != nil {
		t.Fatal(err)
	}
	invoke(t, p, order{})
	before := heap()
	invoke(t, p, order{Do: "flood", N: mebibytes})
	if grown := heap() - before; grown > 8<<20 {
		t.Errorf("sluice has grown by %d bytes", grown)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if seen.longest.Load() != maxLine || seen.bytes.Load() < mebibytes<<20 || seen.lines.Load() > mebibytes*5+10 {
		t.Errorf("%d lines, %d bytes, at most %d", seen.lines.Load(), seen.bytes.Load(), seen.longest.Load())
	}
}

func heap() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func TestOutOfMemory(t *testing.T) {
	t.Parallel()
	p, seen := newPool(t, func(s *Spec) { s.Memory = 160 << 20 })
	invoke(t, p, order{})
	failed, result := fails(t, p, order{Do: "hog", N: 200})
	if failed.Type != "Runtime.OutOfMemory" || failed.Outcome != OutcomeExit || !strings.HasSuffix(failed.Message, " Error: Runtime exited with error: signal: killed") {
		t.Errorf("%+v", failed)
	}
	if result.Report.MaxMemory < 160<<20 {
		t.Errorf("the report is %+v", result.Report)
	}
	if lines := seen.texts(result.Report.RequestID); !strings.HasSuffix(lines[len(lines)-1], "\tStatus: error\tError Type: Runtime.OutOfMemory") {
		t.Errorf("the log is %q", lines)
	}
	invoke(t, p, order{})
}

// The memory of what a worker has started counts too.
func TestMemoryOfChildren(t *testing.T) {
	t.Parallel()
	m := &memory{process: &process{os: &os.Process{Pid: os.Getpid()}}}
	cmd := exec.CommandContext(t.Context(), "sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	defer func() { _ = cmd.Process.Kill() }()
	if !slices.Contains(children(os.Getpid(), nil), strconv.Itoa(cmd.Process.Pid)) {
		t.Fatal("the child is not found")
	}
	for deadline := time.Now().Add(10 * time.Second); m.look(true) < 64<<10; { // it may not have begun
		if time.Now().After(deadline) {
			t.Fatal("the child is not counted")
		}
	}
	if m.max() < 64<<10 {
		t.Errorf("the most is %d bytes", m.max())
	}
}

func TestUser(t *testing.T) {
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		_, err := NewPool(testSpec(exe, func(s *Spec) { s.User = "nobody" }), Options{Scratch: t.TempDir()})
		if err == nil || !strings.Contains(err.Error(), "only root can run workers as another user") {
			t.Errorf("without root: %v", err)
		}
		return
	}
	shared := publicCopy(t, exe)
	p, err := NewPool(testSpec(shared, func(s *Spec) { s.User = "65534:100" }), Options{Scratch: filepath.Join(filepath.Dir(shared), "scratch")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	saw, _ := invoke(t, p, order{Do: "look"})
	if uid, gid := strings.Fields(saw.Status["Uid"])[0], strings.Fields(saw.Status["Gid"])[0]; uid != "65534" || gid != "100" || saw.Status["Groups"] != "" {
		t.Errorf("the worker is user %s, group %s, groups %q", uid, gid, saw.Status["Groups"])
	}
	folder := p.options.Scratch
	wrote, _ := invoke(t, p, order{Do: "look", Text: folder + " " + os.Getenv("HOME")})
	if wrote.Errors["write "+folder] == "" || wrote.Errors["read "+folder] == "" {
		t.Errorf("it reaches the folder of all workers: %v", wrote.Errors)
	}
	testUserErrors(t, shared)
}

// publicCopy makes a copy of a file that every user may execute.
func publicCopy(t *testing.T, path string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sluice-test-") //nolint:usetesting // nobody else may enter that of the test
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(dir, "functions.test")
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(to, data, 0o755)); err != nil { //nolint:gosec // it is for everybody
		t.Fatal(err)
	}
	return to
}

func testUserErrors(t *testing.T, exe string) {
	t.Helper()
	private := filepath.Join(filepath.Dir(exe), "private")
	if err := os.Mkdir(private, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ user, dir, want string }{
		{"no-such-user", "/", `function "resize": user "no-such-user" is not known here: user: unknown user no-such-user`},
		{"65534:no-such-group", "/", `function "resize": group "no-such-group" is not known here: group: unknown group no-such-group`},
		{"65534", private, `function "resize": user 65534 cannot run the function: ` + private + " may not be entered or executed by it: run `chmod o+x " + private + "`"},
	} {
		_, err := NewPool(testSpec(exe, func(s *Spec) { s.User, s.Program.Dir = c.user, c.dir }), Options{Scratch: t.TempDir()})
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: %v", c.user, err)
		}
	}
}

func TestLandlock(t *testing.T) {
	t.Parallel()
	closed, readable, writable := t.TempDir(), t.TempDir(), t.TempDir()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	confined := func(s *Spec) {
		s.Program.Dir = dir
		s.Landlock = &Landlock{Read: []string{readable}, Write: []string{writable}}
	}
	if CheckLandlock() != nil {
		if _, err := NewPool(testSpec(exe, confined), Options{Scratch: t.TempDir()}); !errors.Is(err, errNoLandlock) {
			t.Errorf("without Landlock: %v", err)
		}
		return
	}
	p, _ := newPool(t, confined)
	saw, _ := invoke(t, p, order{Do: "look", Text: strings.Join([]string{closed, readable, writable, dir, p.options.Scratch, "/etc/ssl/certs"}, " ")})
	denied := ": permission denied"
	want := map[string]string{
		"read " + closed: "open " + closed + denied, "write " + closed: "open " + closed + "/written" + denied,
		"write " + readable: "open " + readable + "/written" + denied, "write " + dir: "open " + dir + "/written" + denied,
		"write /etc/ssl/certs": "open /etc/ssl/certs/written" + denied,
	}
	if !maps.Equal(saw.Errors, want) {
		t.Errorf("denied is %v", saw.Errors)
	}
	if err := os.WriteFile(filepath.Join(closed, "own"), nil, 0o600); err != nil {
		t.Errorf("sluice itself is confined: %v", err)
	}
	missing := func(s *Spec) { s.Landlock = &Landlock{Read: []string{"/nowhere"}} }
	if _, err := NewPool(testSpec(exe, missing), Options{Scratch: t.TempDir()}); err == nil || err.Error() != `function "resize": landlock: open /nowhere: no such file or directory` {
		t.Errorf("a path that is not there: %v", err)
	}
}

// No worker outlives a sluice that was killed, and the next one ends what its
// workers have left.
func TestKilledSluice(t *testing.T) {
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	scratch := t.TempDir()
	parent := exec.CommandContext(t.Context(), exe)
	parent.Env = append(os.Environ(), "SLUICE_TEST_PARENT=1", "SCRATCH="+scratch)
	in, err := parent.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var answer told
	if err := json.Unmarshal(line, &answer); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // it was killed
	untilDead(t, strconv.Itoa(answer.PID))
	if !alive(answer.Text) {
		t.Fatal("nothing was left behind to be found")
	}
	p, err := NewPool(testSpec(exe), Options{Scratch: scratch})
	if err != nil {
		t.Fatal(err)
	}
	untilDead(t, answer.Text)
	if entries, err := os.ReadDir(scratch); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}
