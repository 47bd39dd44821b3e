package config

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"testing"
)

// The sections of the tests stand for adapters: they have what adapters use.
type bucketSection struct {
	Endpoint  string   `yaml:"endpoint"`
	Bucket    string   `yaml:"bucket"`
	Prefix    string   `yaml:"prefix"`
	AccessKey Secret   `yaml:"access_key"`
	SecretKey Secret   `yaml:"secret_key"`
	Interval  Duration `yaml:"interval"`
}

func (s *bucketSection) Validate() error {
	var all []error
	if u, err := url.Parse(s.Endpoint); err != nil || u.Host == "" {
		all = append(all, Invalid("endpoint", "%q is not a URL", s.Endpoint))
	}
	if s.Bucket == "" {
		all = append(all, Invalid("bucket", "a bucket is needed"))
	}
	return errors.Join(all...)
}

type clockSection struct {
	Schedule string `yaml:"schedule"`
	Timezone string `yaml:"timezone"`
	Data     any    `yaml:"data"`
}

type requestSection struct {
	Path    string `yaml:"path"`
	Token   Secret `yaml:"token"`
	MaxBody Size   `yaml:"max_body"`
	Verify  struct {
		Webhooks *struct {
			Secret Secret `yaml:"secret"`
		} `yaml:"standard_webhooks"`
	} `yaml:"verify"`
}

func (s *requestSection) Unauthenticated() bool {
	return s.Token.IsZero() && s.Verify.Webhooks == nil
}

func (s *requestSection) Claim() (key, value string) { return "path", s.Path }

type common struct {
	Method  string            `yaml:"method"`
	Headers map[string]Secret `yaml:"headers"`
}

type callSection struct {
	common `yaml:",inline"`
	URL    string `yaml:"url"`
	TLS    struct {
		CAFile   string `yaml:"ca_file"`
		Insecure bool   `yaml:"insecure_skip_verify"`
	} `yaml:"tls"`
	Status []int `yaml:"status"`
	Limit  uint8 `yaml:"limit"`
	Ratio  float64
	Note   *string `yaml:"note"`
}

func (s *callSection) Validate() error {
	var all []error
	if u, err := url.Parse(s.URL); err != nil || u.Host == "" {
		all = append(all, Invalid("url", "expected http://host/path, found %q", s.URL))
	}
	for i, code := range s.Status {
		if code < 100 || code > 599 {
			all = append(all, Invalid("status["+string(rune('0'+i))+"]", "expected 100 to 599, found %d", code))
		}
	}
	return errors.Join(all...)
}

// A patternProblemError is how a pattern's error names its place.
type patternProblemError struct {
	path    []any
	message string
}

func (p *patternProblemError) Error() string   { return "somewhere: " + p.message }
func (p *patternProblemError) Path() []any     { return p.path }
func (p *patternProblemError) Message() string { return p.message }

// checkPattern knows one rule: data.key is a list of objects with the key
// suffix.
func checkPattern(value any) error {
	data, _ := value.(map[string]any)["data"].(map[string]any)
	list, _ := data["key"].([]any)
	var all []error
	for i, item := range list {
		object, _ := item.(map[string]any)
		for key := range object {
			if key != "suffix" {
				all = append(all, &patternProblemError{[]any{"data", "key", i, key}, "unknown operator " + key})
			}
		}
	}
	return errors.Join(all...)
}

func testKinds() Kinds {
	return Kinds{
		Sources: map[string]func() Section{
			"s3":   func() Section { return &bucketSection{Interval: Duration(30e9)} },
			"cron": func() Section { return &clockSection{Timezone: "UTC"} },
			"http": func() Section { return &requestSection{MaxBody: 1 << 20} },
		},
		Sinks: map[string]func() Section{
			"http": func() Section { return &callSection{common: common{Method: "POST"}, Status: []int{200}} },
		},
		Function: functionKind,
		Pattern:  checkPattern,
	}
}

func environment(pairs map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := pairs[name]
		return value, ok
	}
}

// write puts a configuration into a folder of its own and returns its path.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sluice.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
