// Package function is the sink that calls a function whose workers sluice runs
// itself: an AWS Lambda function as it is.
package function

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sluice/config"
	"sluice/event/aws"
	"sluice/functions"
	"sluice/functions/runtimes"
	"sluice/sinks"
)

// Config is the section of the file: the whole mapping of a function.
type Config struct {
	// Handler is the path of a file, of a folder with a Go program, or of the
	// form path/module.function, from the folder of the configuration.
	Handler string `yaml:"handler"`
	// Runtime is node, python, go or custom; empty to be found out.
	Runtime string `yaml:"runtime"`
	// Image is the name of a container image, instead of a handler.
	Image       string      `yaml:"image"`
	ImageConfig ImageConfig `yaml:"image_config"`
	// Environment is what workers find in theirs.
	Environment map[string]config.Secret `yaml:"environment"`
	// Timeout is of one invocation, InitTimeout of the start of one worker.
	Timeout     config.Duration `yaml:"timeout"`
	InitTimeout config.Duration `yaml:"init_timeout"`
	// Memory is what one worker may use.
	Memory config.Size `yaml:"memory"`
	// Concurrency is the most invocations at once, PerWorker how many of them one
	// worker may have.
	Concurrency int `yaml:"concurrency"`
	PerWorker   int `yaml:"per_worker"`
	// Provisioned workers are kept warm; others end after Idle.
	Provisioned int             `yaml:"provisioned"`
	Idle        config.Duration `yaml:"idle"`
	// MaxCalls is after how many invocations a worker is replaced; 0: never.
	MaxCalls int `yaml:"max_calls"`
	// User is a name or a number, optionally with :group; of an image, in its words.
	User string `yaml:"user"`
	// Landlock confines what files workers reach.
	Landlock *Landlock `yaml:"landlock"`
	// Shape is what the function gets of an event.
	Shape          aws.Shape `yaml:"shape"`
	sinks.Answers  `yaml:",inline"`
	config.Results `yaml:",inline"`

	dir    string // the configuration's
	source runtimes.Source
}

// Landlock are files and folders that workers reach beside their own code and
// the system's programs and libraries.
type Landlock struct {
	Read  []config.Path `yaml:"read"`
	Write []config.Path `yaml:"write"`
}

// The bounds of a function.
const (
	maxTimeout     = config.Duration(24 * time.Hour)
	maxInitTimeout = config.Duration(15 * time.Minute)
	minMemory      = config.Size(16 << 20)
	maxMemory      = config.Size(1 << 40)
	maxConcurrency = 1000
	maxPerWorker   = 1000
	maxIdle        = config.Duration(24 * time.Hour)
)

// Kind returns the kind for the program's list.
func Kind() config.FunctionKind {
	return config.FunctionKind{Keys: []string{"handler", "image"}, Section: func() config.FunctionSection { return NewConfig() }}
}

// NewConfig returns a configuration with the defaults filled in.
func NewConfig() *Config {
	return &Config{
		Timeout: config.Duration(functions.DefaultTimeout), InitTimeout: config.Duration(functions.DefaultInitTimeout),
		Memory: functions.DefaultMemory, Concurrency: functions.DefaultConcurrency, PerWorker: 1,
		Idle: config.Duration(functions.DefaultIdle), Shape: aws.ShapeAWS,
		Answers: sinks.DefaultAnswers(), Results: config.DefaultResults(),
	}
}

// Locate takes the folder that paths are meant from.
func (c *Config) Locate(dir string) { c.dir = dir }

// Batches tells that it is as the trigger says.
func (c *Config) Batches() config.Batching { return config.MayBatch }

// FoundRuntime returns what runs the code that was found: node, python, go or
// custom.
func (c *Config) FoundRuntime() string { return c.source.Runtime() }

// Limits returns how many attempts may be under way, and how long one may take:
// it waits for the program and for room, for a worker to start, and for the
// invocation.
func (c *Config) Limits() (concurrency int, attempt config.Duration) {
	return c.Concurrency, config.Duration(2*maxWait+slack) + c.InitTimeout + c.Timeout
}

// Validate returns everything that is wrong, each problem with its key.
func (c *Config) Validate() error {
	return errors.Join(
		c.find(),
		c.validateEnvironment(),
		within("timeout", c.Timeout, config.Duration(time.Millisecond), maxTimeout),
		within("init_timeout", c.InitTimeout, config.Duration(time.Millisecond), maxInitTimeout),
		within("memory", c.Memory, minMemory, maxMemory),
		count("concurrency", c.Concurrency, 1, maxConcurrency),
		c.validatePerWorker(),
		c.validateProvisioned(),
		within("idle", c.Idle, config.Duration(time.Millisecond), maxIdle),
		count("max_calls", c.MaxCalls, 0, 1<<31-1),
		c.validateSurroundings(),
		c.validateShape(),
		c.Answers.Validate(),
	)
}

// find looks for the code, or for what runs an image.
func (c *Config) find() error {
	if c.Image != "" {
		return c.validateImage()
	}
	return errors.Join(c.findCode(), c.validateNoImage())
}

func (c *Config) findCode() error {
	source, err := runtimes.Find(runtimes.Options{Dir: c.dir, Handler: c.Handler, Runtime: c.Runtime, Memory: int64(c.Memory)})
	if wrong, ok := errors.AsType[*runtimes.Error](err); ok {
		return &config.Problem{Key: wrong.Key, Message: wrong.Message, Suggestion: wrong.Suggestion}
	}
	c.source = source
	return err
}

// path is the handler, absolute.
func (c *Config) path() string {
	if filepath.IsAbs(c.Handler) {
		return c.Handler
	}
	return filepath.Join(c.dir, c.Handler)
}

func (c *Config) validateEnvironment() error {
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(c.Environment)) {
		if err := functions.CheckEnvironment(map[string]string{name: c.Environment[name].Reveal()}); err != nil {
			problems = append(problems, config.Invalid("environment."+name, "%s", strings.TrimPrefix(err.Error(), "environment: ")))
		}
	}
	return errors.Join(problems...)
}

// validatePerWorker lets several invocations into a worker that can have them.
func (c *Config) validatePerWorker() error {
	if kind := c.source.Runtime(); c.PerWorker > 1 && kind != "" && !c.source.Concurrent() {
		return config.Invalid("per_worker", "a worker of %s has one invocation at a time: leave it out", kind)
	}
	return count("per_worker", c.PerWorker, 1, maxPerWorker)
}

func (c *Config) validateProvisioned() error {
	most := (c.Concurrency + c.PerWorker - 1) / max(1, c.PerWorker)
	if most < 1 { // said elsewhere
		return nil
	}
	return count("provisioned", c.Provisioned, 0, most)
}

// validateSurroundings says what this machine cannot do for processes.
func (c *Config) validateSurroundings() error {
	if c.Image != "" {
		return nil
	}
	var problems []error
	if c.User != "" {
		if err := functions.CheckUser(c.User); err != nil {
			problems = append(problems, config.Invalid("user", "%v", err))
		}
	}
	if c.Landlock != nil {
		if err := functions.CheckLandlock(); err != nil {
			problems = append(problems, config.Invalid("landlock", "%v: remove this, or run sluice where there is Landlock", err))
		}
	}
	return errors.Join(problems...)
}

func (c *Config) validateShape() error {
	if slices.Contains(aws.Shapes(), c.Shape) {
		return nil
	}
	return config.Invalid("shape", "found %q; write aws, cloudevent or data", c.Shape)
}

func count(key string, found, least, most int) error {
	if found >= least && found <= most {
		return nil
	}
	return config.Invalid(key, "expected a whole number from %d to %d, found %d", least, most, found)
}

func within[T interface {
	~int64
	fmt.Stringer
}](key string, found, least, most T,
) error {
	if found >= least && found <= most {
		return nil
	}
	return config.Invalid(key, "expected %s to %s, found %s", least, most, found)
}

// Alone returns the configuration for a single invocation, with an environment
// over its own.
func (c *Config) Alone(environment map[string]string) *Config {
	alone := *c
	alone.Concurrency, alone.PerWorker, alone.Provisioned = 1, 1, 0
	alone.Environment = maps.Clone(c.Environment)
	if alone.Environment == nil {
		alone.Environment = map[string]config.Secret{}
	}
	for key, value := range environment {
		alone.Environment[key] = config.NewSecret(value)
	}
	return &alone
}

// Sink builds the sink. It prepares the program in the background, and is to be
// closed.
func (c *Config) Sink(env sinks.Env) (sinks.Sink, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("the function %q: %w", env.Name, err)
	}
	made, err := newSink(c, env)
	if err != nil {
		return nil, err
	}
	return made, nil
}

// spec is what the pool is made of, but for the program.
func (c *Config) spec(name string) functions.Spec {
	spec := functions.Spec{
		Name: name, Environment: make(map[string]string, len(c.Environment)),
		Timeout: time.Duration(c.Timeout), InitTimeout: time.Duration(c.InitTimeout), Memory: int64(c.Memory),
		Concurrency: c.Concurrency, PerWorker: c.PerWorker, Provisioned: c.Provisioned,
		Idle: time.Duration(c.Idle), MaxCalls: c.MaxCalls, User: c.User,
	}
	for key, value := range c.Environment {
		spec.Environment[key] = value.Reveal()
	}
	if c.Landlock != nil {
		spec.Landlock = &functions.Landlock{Read: texts(c.Landlock.Read), Write: texts(c.Landlock.Write)}
	}
	return spec.WithDefaults()
}

func texts(paths []config.Path) []string {
	all := make([]string, len(paths))
	for i, path := range paths {
		all[i] = string(path)
	}
	return all
}
