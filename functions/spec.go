package functions

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"sluice/functions/runtimes"
)

// What a Spec is without further words.
const (
	DefaultTimeout     = 30 * time.Second
	DefaultInitTimeout = 10 * time.Second
	DefaultMemory      = 128 << 20
	DefaultConcurrency = 10
	DefaultIdle        = 5 * time.Minute
	DefaultRegion      = "us-east-1"
)

// Account is the account in the ARNs of functions.
const Account = "000000000000"

// A Spec is what the pool of one function is made of.
type Spec struct {
	Name    string
	Program runtimes.Program
	// Environment is what the user declares for the worker. It goes before what
	// Program.Env says; names that the service reserves are refused.
	Environment map[string]string
	// Timeout is of one invocation. 30 s.
	Timeout time.Duration
	// InitTimeout is how long a worker may take until it asks for its first
	// invocation. 10 s.
	InitTimeout time.Duration
	// Memory in bytes is told to the worker and is the limit of its process
	// group. 128 MiB.
	Memory int64
	// Concurrency is the most invocations at once. 10.
	Concurrency int
	// PerWorker is how many of them one worker may have; more than 1 is told to
	// it as AWS_LAMBDA_MAX_CONCURRENCY, and is for clients that know it. 1.
	PerWorker int
	// Provisioned workers are kept warm.
	Provisioned int
	// Idle is after how long a worker that is not needed ends. 5 min.
	Idle time.Duration
	// MaxCalls is after how many invocations a worker is replaced; 0: never.
	MaxCalls int
	// User whom workers run as: a name or uid, optionally with :group. Empty is
	// sluice's own. Another one needs root.
	User string
	// Landlock confines what files workers reach; nil is off.
	Landlock *Landlock
	// Region is AWS_REGION, and the one of ARN. us-east-1.
	Region string
}

// Landlock are the absolute paths that a worker reaches beside its task root,
// its interpreter, the system's programs and libraries, all to read, and a
// private temporary folder to write. It needs Linux 5.13.
type Landlock struct {
	Read, Write []string
}

// ARN names the function as the service does.
func (s Spec) ARN() string {
	return "arn:aws:lambda:" + s.Region + ":" + Account + ":function:" + s.Name
}

// Workers is the most processes that are needed at once.
func (s Spec) Workers() int {
	return (s.Concurrency + s.PerWorker - 1) / s.PerWorker
}

// WithDefaults returns a copy with what is zero set.
func (s Spec) WithDefaults() Spec {
	s.Timeout = or(s.Timeout, DefaultTimeout)
	s.InitTimeout = or(s.InitTimeout, DefaultInitTimeout)
	s.Memory = or(s.Memory, DefaultMemory)
	s.Concurrency = or(s.Concurrency, DefaultConcurrency)
	s.PerWorker = or(s.PerWorker, 1)
	s.Idle = or(s.Idle, DefaultIdle)
	s.Region = or(s.Region, DefaultRegion)
	return s
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// check says what of a Spec with its defaults cannot be.
func (s Spec) check() error {
	for name, v := range map[string]int64{
		"timeout": int64(s.Timeout), "init_timeout": int64(s.InitTimeout), "memory": s.Memory, "idle": int64(s.Idle),
		"concurrency": int64(s.Concurrency), "per_worker": int64(s.PerWorker),
		"provisioned": int64(s.Provisioned) + 1, "max_calls": int64(s.MaxCalls) + 1,
	} {
		if v <= 0 {
			return fmt.Errorf("function %q: %s is negative", s.Name, name)
		}
	}
	switch {
	case s.Name == "":
		return errors.New("a function has no name")
	case s.Provisioned > s.Workers():
		return fmt.Errorf("function %q: %d workers are provisioned, but a concurrency of %d needs %d at most", s.Name, s.Provisioned, s.Concurrency, s.Workers())
	}
	return CheckEnvironment(s.Environment)
}

// CheckEnvironment says which variable a user may not declare: one whose name
// is none, whose value a process cannot get, or which sluice sets itself, as the
// service does ("Defined runtime environment variables" of its guide).
func CheckEnvironment(env map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(env)) {
		switch {
		case name == "" || strings.ContainsAny(name, "=\x00"):
			return fmt.Errorf("environment: %q is no name of a variable", name)
		case strings.ContainsRune(env[name], 0):
			return fmt.Errorf("environment: the value of %s has a NUL byte, which no variable can hold", name)
		case reserved(name):
			return fmt.Errorf("environment: %s is set by sluice itself: take another name", name)
		}
	}
	return nil
}

// reserved are the names that say who and where the worker is. How it writes its
// log is the user's.
func reserved(name string) bool {
	if slices.Contains([]string{"AWS_LAMBDA_LOG_FORMAT", "AWS_LAMBDA_LOG_LEVEL", "AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA"}, name) {
		return false
	}
	return slices.Contains([]string{"_HANDLER", "_X_AMZN_TRACE_ID", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR", "HOME", "TMPDIR"}, name) ||
		strings.HasPrefix(name, "AWS_LAMBDA_")
}
