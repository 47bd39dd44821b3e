package http

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"sluice/config"
	"sluice/event"
	"sluice/event/transform"
	"sluice/sinks"
)

// maxFilled is the most bytes of a URL, or of a header's value, that a template
// makes: servers take little more.
const maxFilled = 8 << 10

// variable is what each request has of its event beside the payload and the
// attributes; nil when there is no such thing.
type variable struct {
	turns   *transform.Turns
	url     *urlTemplate // nil when it is always the same
	headers []headerTemplate
}

// A filled is what the templates have made for one event.
type filled struct {
	uri     string // empty when it is always the same
	headers []string
}

// A headerTemplate is a header whose value has expressions in it.
type headerTemplate struct {
	name  string
	value *transform.Template
}

// variable returns what is made anew for each event.
func (c *Config) variable(turns *transform.Turns, u *urlTemplate) (*variable, error) {
	v := &variable{turns: turns, url: u}
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		text := c.Headers[name].Reveal()
		if !transform.IsTemplate(text) {
			continue
		}
		t, err := transform.ParseTemplate(text)
		if err != nil {
			return nil, config.Invalid("headers."+name, "%v", err)
		}
		v.headers = append(v.headers, headerTemplate{name: name, value: t})
	}
	if v.url == nil && len(v.headers) == 0 {
		return nil, nil //nolint:nilnil // nothing is variable
	}
	return v, nil
}

// fill evaluates the templates for an event. Its error names the key.
func (v *variable) fill(ctx context.Context, e *event.Event) (*filled, error) {
	if v == nil {
		return nil, nil //nolint:nilnil // nothing is variable
	}
	f := &filled{headers: make([]string, len(v.headers))}
	err := sinks.Fill(ctx, v.turns, e, func(ctx context.Context, in *transform.Input) (err error) {
		if v.url != nil {
			if f.uri, err = v.url.fill(ctx, in); err != nil {
				return fmt.Errorf("url: %w", err)
			}
		}
		for i, h := range v.headers {
			if f.headers[i], err = h.value.Text(ctx, in, checkFilled); err != nil {
				return fmt.Errorf("headers.%s: %w", h.name, err)
			}
		}
		return nil
	})
	return f, err
}

// set gives a request what was filled.
func (v *variable) set(h *fasthttp.RequestHeader, f *filled) {
	if f == nil {
		return
	}
	if f.uri != "" {
		h.SetRequestURI(f.uri)
	}
	for i, value := range f.headers {
		h.Set(v.headers[i].name, value)
	}
}

// checkFilled refuses what would end a header, or make another one of it.
func checkFilled(value string) (string, error) {
	if len(value) > maxFilled {
		return "", fmt.Errorf("it yields %d bytes, at most %d", len(value), maxFilled)
	}
	if i := controlIn(value); i >= 0 {
		return "", fmt.Errorf("it yields the control character %q at byte %d, which no header may have", value[i], i)
	}
	return value, nil
}

// A urlTemplate makes the path and the query of a URL.
type urlTemplate struct{ parts []urlPart }

// A urlPart is a plain text, encoded already, or an expression when there is
// one.
type urlPart struct {
	text       string
	expression *transform.Expression
	query      bool
}

// parseAddress reads a URL that may have expressions in its path and its query.
// The URL that it returns has words in their place.
func parseAddress(key, text string) (*url.URL, *urlTemplate, error) {
	if !transform.IsTemplate(text) {
		u, err := parseURL(key, text)
		return u, nil, err
	}
	t, err := transform.ParseTemplate(text)
	if err != nil {
		return nil, nil, config.Invalid(key, "%v", err)
	}
	plain, expressions := []string{""}, []*transform.Expression(nil)
	t.Parts(func(text string) { plain[len(plain)-1] += text }, func(x *transform.Expression) {
		plain, expressions = append(plain, ""), append(expressions, x)
	})
	if !fixedHost(plain[0]) {
		return nil, nil, config.Invalid(key, "found {{ before the path: no event chooses the scheme, the host or the port of a request; write expressions into the path or the query only")
	}
	word := wordNotIn(plain)
	u, err := parseURL(key, strings.Join(plain, word))
	if err != nil {
		return nil, nil, err
	}
	template := newURLTemplate(strings.Split(u.RequestURI(), word), expressions)
	if segment := dotSegment(u.EscapedPath()); segment != "" {
		return nil, nil, config.Invalid(key, "found the segment %q beside a template; write the path without it", segment)
	}
	return u, template, nil
}

// fixedHost tells whether a URL's path or query has begun before its first
// expression.
func fixedHost(before string) bool {
	_, rest, found := strings.Cut(before, "://")
	return found && strings.ContainsAny(rest, "/?#")
}

// wordNotIn returns a word that stands for an expression and is in none of the
// texts, nor in two of them with an expression between.
func wordNotIn(texts []string) string {
	word := "expression"
	for n := 0; strings.Contains(strings.Join(texts, " "), word); n++ {
		word = fmt.Sprintf("expression%d", n)
	}
	return word
}

func newURLTemplate(plain []string, expressions []*transform.Expression) *urlTemplate {
	t := &urlTemplate{}
	query := false
	for i, text := range plain {
		query = query || strings.Contains(text, "?")
		t.parts = append(t.parts, urlPart{text: text})
		if i < len(expressions) {
			t.parts = append(t.parts, urlPart{expression: expressions[i], query: query})
		}
	}
	return t
}

// fill makes the path and the query for an event. What an expression yields is
// a part of one segment, or of one value, whatever is in it: all but the
// unreserved characters is encoded (RFC 3986, section 2.3).
func (t *urlTemplate) fill(ctx context.Context, in *transform.Input) (string, error) {
	var b strings.Builder
	for _, p := range t.parts {
		if p.expression == nil {
			b.WriteString(p.text)
			continue
		}
		text, err := p.expression.Text(ctx, in)
		if err == nil && text == "" && !p.query {
			err = &transform.EvalError{Expression: p.expression.String(), Err: errEmpty}
		}
		if err != nil {
			return "", err
		}
		b.WriteString(strings.ReplaceAll(url.QueryEscape(text), "+", "%20"))
		if b.Len() > maxFilled {
			return "", fmt.Errorf("it has more than %d bytes", maxFilled)
		}
	}
	path, _, _ := strings.Cut(b.String(), "?")
	if segment := dotSegment(path); segment != "" {
		return "", fmt.Errorf("the path %q has the segment %q, which would lead elsewhere", path, segment)
	}
	return b.String(), nil
}

var errEmpty = errors.New(`it yields an empty text, which would make another path of it; write what stands there then, as in .subject // "none"`)

// dotSegment returns the segment of a path that is not one of its own (RFC 3986,
// section 5.2.4), or nothing.
func dotSegment(path string) string {
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return segment
		}
	}
	return ""
}
