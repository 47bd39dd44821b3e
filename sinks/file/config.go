// Package file is the sink that writes deliveries into files below one folder:
// as lines at the end of a file that is there, or as files of their own.
package file

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"sluice/config"
	"sluice/event/transform"
	"sluice/sinks"
	"sluice/sinks/naming"
)

// A Format says what is written.
type Format string

// The formats.
const (
	// Events is a line for each delivery: the whole event as CloudEvents JSON.
	Events Format = "events"
	// Data is a line for each delivery: its data alone, as JSON.
	Data Format = "data"
	// Raw is the data of one delivery, byte by byte.
	Raw Format = "raw"
)

// A Mode says how files are written.
type Mode string

// The modes.
const (
	// Append writes lines to the end of a file.
	Append Mode = "append"
	// Whole writes a file of its own for each batch, or each delivery: it is there
	// as a whole or not at all.
	Whole Mode = "whole"
)

const (
	// maxPath is how long a path below the folder may be, in bytes.
	maxPath = 2 << 10
	// minSize is the smallest file that is rotated, in bytes.
	minSize = 4 << 10
	// minEvery is the shortest time after which files are rotated.
	minEvery = time.Minute
)

// Config is the section of the file.
type Config struct {
	// Folder is the one below which everything is written. It must be there.
	Folder config.Path `yaml:"folder"`
	// Path is the template of the file's path below Folder, with slashes; empty for
	// one by trigger, or by trigger, day and batch.
	Path   string `yaml:"path"`
	Format Format `yaml:"format"`
	Mode   Mode   `yaml:"mode"`
	Rotate Rotate `yaml:"rotate"`
}

// Rotate says when a file to which lines are appended is set aside.
type Rotate struct {
	// Size is how large it becomes; 0 for no bound.
	Size config.Size `yaml:"size"`
	// Every is the time that one file is for, in steps from 1970 on (UTC), such as
	// 1h or 24h; 0 for no bound.
	Every config.Duration `yaml:"every"`
}

// Adapter returns the adapter for the program's list of sinks.
func Adapter() sinks.Adapter {
	return sinks.Adapter{Kind: "file", Config: func() sinks.Config { return NewConfig() }}
}

// NewConfig returns a configuration with the defaults filled in.
func NewConfig() *Config { return &Config{Format: Events, Mode: Append} }

// Batches tells that a file may hold several deliveries.
func (c *Config) Batches() config.Batching { return config.MayBatch }

// Validate returns everything that is wrong, each problem with its key.
func (c *Config) Validate() error {
	_, pathErr := c.template()
	problems := []error{pathErr, c.validateRotate()}
	if c.Folder == "" {
		problems = append(problems, config.Invalid("folder", "it is missing; write the folder to write into, such as ./out"))
	}
	switch c.Format {
	case Events, Data, Raw:
	default:
		problems = append(problems, config.Invalid("format", "found %q; write %s, %s or %s", c.Format, Events, Data, Raw))
	}
	switch {
	case c.Mode != Append && c.Mode != Whole:
		problems = append(problems, config.Invalid("mode", "found %q; write %s or %s", c.Mode, Append, Whole))
	case c.Mode == Append && c.Format == Raw:
		problems = append(problems, config.Invalid("mode", "format: raw makes a file of each delivery: write mode: %s", Whole))
	}
	return errors.Join(problems...)
}

func (c *Config) validateRotate() error {
	var problems []error
	if c.Mode == Whole && c.Rotate != (Rotate{}) {
		problems = append(problems, config.Invalid("rotate", "it is for mode: %s; leave it out", Append))
	}
	if c.Rotate.Size != 0 && c.Rotate.Size < minSize {
		problems = append(problems, config.Invalid("rotate.size", "found %v; write at least %v", c.Rotate.Size, config.Size(minSize)))
	}
	if c.Rotate.Every != 0 && time.Duration(c.Rotate.Every) < minEvery {
		problems = append(problems, config.Invalid("rotate.every", "found %v; write at least %v", c.Rotate.Every, minEvery))
	}
	return errors.Join(problems...)
}

// defaultPath returns the path's template where the file has none.
func (c *Config) defaultPath() string {
	switch {
	case c.Mode == Append:
		return "{{ ." + naming.AttributeTrigger + " }}.jsonl"
	case c.Format == Raw:
		return naming.Folder + "{{ ." + sinks.AttributeDelivery + " }}"
	}
	return naming.Folder + "{{ ." + naming.AttributeBatch + " }}.jsonl"
}

func (c *Config) template() (*transform.Template, error) {
	text := c.Path
	if text == "" {
		text = c.defaultPath()
	}
	t, err := transform.ParseTemplate(text)
	switch {
	case err != nil:
		return nil, config.Invalid("path", "%v", err)
	case strings.HasPrefix(text, "/"):
		return nil, config.Invalid("path", "found %q; it is a path below folder, and begins without a slash", text)
	case c.Mode == Whole && c.Format != Raw && !naming.Unique(text):
		return nil, config.Invalid("path", "found neither .%s nor .%s in %q, so that files would overwrite each other: write {{ .%s }} into the name",
			naming.AttributeBatch, sinks.AttributeDelivery, text, naming.AttributeBatch)
	case c.Mode == Append && naming.Unique(text):
		return nil, config.Invalid("path", "%q makes a file of each batch: write mode: %s, or leave .%s and .%s out", text, Whole, naming.AttributeBatch, sinks.AttributeDelivery)
	case c.Format == Raw && !transform.IsTemplate(text):
		return nil, config.Invalid("path", "found no {{ in %q, so that each file would overwrite the one before: write what tells them apart, such as {{ .id }}", text)
	}
	return t, nil
}

// Sink builds the sink. It opens no file.
func (c *Config) Sink(env sinks.Env) (sinks.Sink, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("the file sink of %q: %w", env.Name, err)
	}
	path, err := c.template()
	if err != nil {
		return nil, err
	}
	return &sink{config: *c, path: path, turns: env.Turns, logger: env.Logger, now: time.Now, logs: map[string]*log{}}, nil
}
