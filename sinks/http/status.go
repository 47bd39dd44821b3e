package http

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"sluice/config"
)

// Status says what an answer's status code does to a delivery. Entries stand
// beside the defaults: 2xx is done; 408, 425, 429 and 5xx try again; 410 pauses
// the trigger; all others are dead. Of two entries that cover a code the more specific one holds, and
// of two alike the one in the file.
type Status struct {
	Done  []StatusCode `yaml:"done"`
	Retry []StatusCode `yaml:"retry"`
	Dead  []StatusCode `yaml:"dead"`
}

// A StatusCode is one status code or a class of them, written 404 or 4xx.
type StatusCode struct {
	code  int // the code, or the first of the class
	class bool
}

// UnmarshalText reads a code or a class, from 100 to 599.
func (c *StatusCode) UnmarshalText(text []byte) error {
	parsed, ok := parseStatusCode(string(text))
	if !ok {
		return fmt.Errorf("%q is not a status code: write one from 100 to 599, or a class such as 4xx", text)
	}
	*c = parsed
	return nil
}

func parseStatusCode(text string) (StatusCode, bool) {
	if len(text) != 3 || text[0] < '1' || text[0] > '5' {
		return StatusCode{}, false
	}
	if text[1:] == "xx" {
		return StatusCode{code: 100 * int(text[0]-'0'), class: true}, true
	}
	code, err := strconv.ParseUint(text, 10, 16)
	return StatusCode{code: int(code)}, err == nil
}

// String returns the code as it is written in the file.
func (c StatusCode) String() string {
	if c.class {
		return strconv.Itoa(c.code/100) + "xx"
	}
	return strconv.Itoa(c.code)
}

// MarshalText returns the code as it is written in the file.
func (c StatusCode) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// A verdict is what a status code does.
type verdict uint8

const (
	dead verdict = iota
	retry
	done
	gone
)

func (v verdict) String() string { return [...]string{"dead", "retry", "done", "gone"}[v] }

// lists returns the file's entries by verdict, in the order of the file's keys.
func (s Status) lists() [3]struct {
	verdict verdict
	codes   []StatusCode
} {
	return [3]struct {
		verdict verdict
		codes   []StatusCode
	}{{done, s.Done}, {retry, s.Retry}, {dead, s.Dead}}
}

// validate refuses a code that stands in two places.
func (s Status) validate() error {
	var problems []error
	seen := map[StatusCode]verdict{}
	for _, list := range s.lists() {
		for i, code := range list.codes {
			key := fmt.Sprintf("status.%s[%d]", list.verdict, i)
			if code.code == 0 {
				problems = append(problems, config.Invalid(key, "it is empty; write a code such as 404, or a class such as 4xx"))
				continue
			}
			if first, found := seen[code]; found {
				problems = append(problems, config.Invalid(key, "%s is in %s already; write it once", code, first))
			}
			seen[code] = list.verdict
		}
	}
	return errors.Join(problems...)
}

// A matrix is the verdict for each status code.
type matrix [600]verdict

func (s Status) matrix() *matrix {
	var m matrix
	defaults := Status{
		Done:  []StatusCode{{200, true}},
		Retry: []StatusCode{{500, true}, {408, false}, {425, false}, {429, false}},
	}
	for _, class := range []bool{true, false} {
		m.apply(defaults, class)
		if !class && !s.covers(http.StatusGone) {
			m[http.StatusGone] = gone
		}
		m.apply(s, class)
	}
	return &m
}

// covers tells whether the file says what a code does.
func (s Status) covers(code int) bool {
	for _, list := range s.lists() {
		for _, c := range list.codes {
			if c.code == code || c.class && c.code == code/100*100 {
				return true
			}
		}
	}
	return false
}

// apply enters the classes, or the single codes.
func (m *matrix) apply(s Status, class bool) {
	for _, list := range s.lists() {
		for _, c := range list.codes {
			switch {
			case c.class != class:
			case class:
				for code := c.code; code < c.code+100; code++ {
					m[code] = list.verdict
				}
			default:
				m[c.code] = list.verdict
			}
		}
	}
}

// of returns the verdict of a code; one out of range is dead.
func (m *matrix) of(code int) verdict {
	if code < 0 || code >= len(m) {
		return dead
	}
	return m[code]
}
