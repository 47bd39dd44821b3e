package config

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A Flow says what holds the deliveries of a trigger back, besides its
// concurrency. The zero value holds back none.
type Flow struct {
	// PerKey is how many attempts of one key of Concurrency may be under way; 0
	// when there is none.
	PerKey      int
	Concurrency Key
	// Rate, Debounce and Breaker are nil when there is none.
	Rate     *Rate
	Debounce *Debounce
	Breaker  *Breaker
	// Adaptive has the trigger find out how many attempts its sink takes at the
	// same time, up to its concurrency.
	Adaptive bool
	// Ordered keeps the order of events with the same partitionkey, and Block has
	// one that fails hold the later ones back for as long as it takes.
	Ordered, Block bool
}

// A Rate is how many attempts may start: Limit within Per, evenly, and Burst of
// them at once after a time without any.
type Rate struct {
	Limit int `yaml:"limit"`
	// Per is a second by default.
	Per Duration `yaml:"per"`
	// Burst is 1 by default.
	Burst int `yaml:"burst"`
	// Key gives each of its values a rate of its own.
	Key Key `yaml:"key"`
}

// A Debounce has deliveries wait until nothing more has come for Window.
type Debounce struct {
	Window Duration `yaml:"window"`
	// Max is how long the first one waits at most; 0 for as long as others come.
	Max Duration `yaml:"max"`
	// Key has each of its values wait by itself.
	Key Key `yaml:"key"`
	// Keep is which ones go then: last or all. Default: last.
	Keep string `yaml:"keep"`
}

// What a Debounce keeps.
const (
	KeepLast = "last"
	KeepAll  = "all"
)

// A Breaker stops attempts while most of them fail.
type Breaker struct {
	// FailureRate is the part of the attempts within Window that must fail, of at
	// least Minimum. Defaults: 50%, 10 and 30s.
	FailureRate Percent  `yaml:"failure_rate"`
	Minimum     int      `yaml:"minimum"`
	Window      Duration `yaml:"window"`
	// Open is how long nothing is attempted before one delivery is, to see whether
	// the sink works again. Default: 30s.
	Open Duration `yaml:"open"`
}

// The defaults and bounds of flow control.
const (
	adaptiveConcurrency = 256
	maxRate             = 1_000_000
	maxPer              = Duration(24 * time.Hour)
	maxDebounce         = Duration(24 * time.Hour)
	minBreaker          = Duration(100 * time.Millisecond)
	maxBreaker          = Duration(time.Hour)
)

func defaultBreaker() *Breaker {
	return &Breaker{FailureRate: 0.5, Minimum: 10, Window: Duration(30 * time.Second), Open: Duration(30 * time.Second)}
}

// A Percent is a part of a whole, above 0 and at most 1. It is written as 50%.
type Percent float64

// UnmarshalText reads a percentage.
func (p *Percent) UnmarshalText(text []byte) error {
	number, found := strings.CutSuffix(string(text), "%")
	value, err := strconv.ParseFloat(number, 64)
	if !found || err != nil || !(value > 0 && value <= 100) {
		return fmt.Errorf("%q is not a percentage: write more than 0%%, and at most 100%%, such as 50%%", text)
	}
	*p = Percent(value / 100)
	return nil
}

// String returns the percentage as it is written.
func (p Percent) String() string {
	return strconv.FormatFloat(float64(p)*100, 'g', 12, 64) + "%"
}

var rateText = regexp.MustCompile(`^([0-9]+)/([smh])$`)

var rateUnits = map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}

// UnmarshalNode reads a rate: 100/s, or a mapping.
func (r *rateKeys) UnmarshalNode(n *Node) error {
	if n.kind == mappingNode {
		r.node = n
		return nil
	}
	parts := rateText.FindStringSubmatch(n.text)
	if n.kind != scalarNode || parts == nil {
		return Invalid("", "expected how many attempts may start in what time, such as 100/s, 5/m or 1000/h, or {limit: 100, per: 1s, burst: 10}, found %s", n.describe())
	}
	limit, err := strconv.Atoi(parts[1])
	if err != nil || limit < 1 || limit > maxRate {
		return Invalid("", "expected 1 to %d attempts in a time, found %s", maxRate, n.describe())
	}
	r.rate = &Rate{Limit: limit, Per: Duration(rateUnits[parts[2]]), Burst: 1}
	return nil
}

// rateKeys is a rate as it is written: the text for it, or a mapping.
type rateKeys struct {
	rate *Rate
	node *Node
}

// flowKeys are the keys of a trigger that hold its deliveries back.
type flowKeys struct {
	Rate      rateKeys `yaml:"rate"`
	Debounce  raw      `yaml:"debounce"`
	Breaker   raw      `yaml:"breaker"`
	Adaptive  bool     `yaml:"adaptive"`
	Ordered   bool     `yaml:"ordered"`
	OnFailure raw      `yaml:"on_failure"`
}

// concurrency reads a trigger's concurrency: a number, or a mapping. A number is
// returned too when it is out of bounds, which is said elsewhere.
func (r *reader) concurrency(t *Trigger, p part) (number, limit *int) {
	switch {
	case p.node == nil:
		return nil, nil
	case p.node.kind == sequenceNode:
		r.wrong(p.node, p.at, "a whole number, or a mapping with limit, key and per_key")
		return nil, nil
	case p.node.kind == scalarNode:
		r.into(p.node, &number, p.at)
		return number, number
	}
	var keys concurrencyKeys
	r.section(p.node, &keys, p.at)
	t.Flow.Concurrency = keys.Key
	if len(keys.Key) > 0 {
		t.Flow.PerKey = or(1, keys.PerKey)
	}
	return nil, keys.Limit
}

// perKey notes more attempts of a key than the trigger has without a limit of its
// own; with one that is said elsewhere.
func (r *reader) perKey(t *Trigger, p part, limit *int) {
	if limit == nil && t.Flow.PerKey > t.Concurrency && t.Flow.PerKey <= maxConcurrency {
		r.below(p.node, Invalid("concurrency.per_key", "expected a whole number from 1 to %d, which is how many attempts the trigger has without limit, found %d", t.Concurrency, t.Flow.PerKey), p.at)
	}
}

// usual is the concurrency of a trigger that is given none.
func usual(f *Flow) int {
	if f.Adaptive {
		return adaptiveConcurrency
	}
	return defaultConcurrency
}

type concurrencyKeys struct {
	Limit  *int `yaml:"limit"`
	Key    Key  `yaml:"key"`
	PerKey *int `yaml:"per_key"`
}

// Validate checks the concurrency of a trigger and of its keys.
func (c *concurrencyKeys) Validate() error {
	var all []error
	if c.Limit != nil && (*c.Limit < 1 || *c.Limit > maxConcurrency) {
		all = append(all, Invalid("limit", "expected a whole number from 1 to %d, found %d", maxConcurrency, *c.Limit))
	}
	most := max(1, or(maxConcurrency, c.Limit))
	switch {
	case c.PerKey == nil:
	case len(c.Key) == 0:
		all = append(all, Invalid("per_key", "there is no key that it could be for: add one, %s", fieldExample))
	case *c.PerKey < 1 || *c.PerKey > most:
		all = append(all, Invalid("per_key", "expected a whole number from 1 to %d, found %d", most, *c.PerKey))
	}
	return errors.Join(all...)
}

// flow reads what holds deliveries back, after the batch.
func (r *reader) flow(t *Trigger, p part, keys *flowKeys) {
	t.Flow.Adaptive, t.Flow.Ordered = keys.Adaptive, keys.Ordered
	r.rate(t, p.node.part("rate", p.at), keys.Rate)
	r.debounce(t, p.node.part("debounce", p.at))
	r.breaker(t, p.node.part("breaker", p.at))
	r.onFailure(t, p.node.part("on_failure", p.at))
	r.keys(t, p)
}

func (r *reader) rate(t *Trigger, p part, keys rateKeys) {
	t.Flow.Rate = keys.rate
	if keys.node == nil {
		return
	}
	t.Flow.Rate = &Rate{Limit: 1, Per: Duration(time.Second), Burst: 1}
	r.section(keys.node, t.Flow.Rate, p.at)
	r.needs(p, "limit", "how many attempts may start within per: {limit: 100, per: 1s}")
}

// needs notes a key that is missing.
func (r *reader) needs(p part, key, what string) {
	if p.node.field(key) == nil && !r.meant(p, key) {
		r.c.problem(p.at.pos, p.at, key+" is missing: "+what)
	}
}

// Validate checks the rate.
func (r *Rate) Validate() error {
	var all []error
	if r.Limit < 1 || r.Limit > maxRate {
		all = append(all, Invalid("limit", "expected a whole number from 1 to %d, found %d", maxRate, r.Limit))
	}
	if r.Per < Duration(time.Millisecond) || r.Per > maxPer {
		all = append(all, Invalid("per", "expected 1ms to 24h, found %s", r.Per))
	}
	if r.Burst < 1 || r.Burst > maxRate {
		all = append(all, Invalid("burst", "expected a whole number from 1 to %d, found %d", maxRate, r.Burst))
	}
	return errors.Join(all...)
}

func (r *reader) debounce(t *Trigger, p part) {
	switch {
	case p.node == nil:
	case p.node.kind == mappingNode:
		t.Flow.Debounce = &Debounce{Window: 1, Keep: KeepLast}
		r.section(p.node, t.Flow.Debounce, p.at)
		r.needs(p, "window", "how long nothing more must have come: {window: 5s}")
	case p.node.kind == sequenceNode:
		r.wrong(p.node, p.at, "a duration such as 5s, or a mapping with window, max, key and keep")
	default:
		d := &Debounce{Keep: KeepLast}
		if r.text(p.node, &d.Window, p.at) {
			t.Flow.Debounce = d
			if err := d.validateWindow(); err != nil {
				r.c.problem(place(p.node, p.at), p.at, err.Error())
			}
		}
	}
}

func (d *Debounce) validateWindow() error {
	if d.Window <= 0 || d.Window > maxDebounce {
		return fmt.Errorf("expected more than nothing, and at most 24h, found %s", d.Window)
	}
	return nil
}

// Validate checks what is waited for.
func (d *Debounce) Validate() error {
	all := []error{OneOf("keep", d.Keep, KeepLast, KeepAll)}
	if err := d.validateWindow(); err != nil {
		all = append(all, Invalid("window", "%s", err.Error()))
	}
	if d.Max != 0 && (d.Max < d.Window || d.Max > maxDebounce) {
		all = append(all, Invalid("max", "expected at least window (%s), and at most 24h, found %s", d.Window, d.Max))
	}
	return errors.Join(all...)
}

func (r *reader) breaker(t *Trigger, p part) {
	switch {
	case p.node == nil:
	case p.node.kind == mappingNode:
		t.Flow.Breaker = defaultBreaker()
		r.section(p.node, t.Flow.Breaker, p.at)
	default:
		on, ok := isBoolText(p.node.text)
		if p.node.kind != scalarNode || !ok || p.node.quoted && !p.node.vars {
			r.wrong(p.node, p.at, "true, false, or a mapping with failure_rate, minimum, window and open")
		} else if on {
			t.Flow.Breaker = defaultBreaker()
		}
	}
}

// Validate checks the breaker.
func (b *Breaker) Validate() error {
	var all []error
	if b.Minimum < 1 || b.Minimum > maxConcurrency {
		all = append(all, Invalid("minimum", "expected a whole number from 1 to %d, found %d", maxConcurrency, b.Minimum))
	}
	for _, limit := range []struct {
		key   string
		found Duration
	}{{"window", b.Window}, {"open", b.Open}} {
		if limit.found < minBreaker || limit.found > maxBreaker {
			all = append(all, Invalid(limit.key, "expected 100ms to 1h, found %s", limit.found))
		}
	}
	return errors.Join(all...)
}

// onFailure reads what becomes of the later deliveries of a key when one cannot
// be delivered.
func (r *reader) onFailure(t *Trigger, p part) {
	if p.node == nil {
		return
	}
	if p.node.kind != scalarNode || p.node.isNull() {
		r.wrong(p.node, p.at, "dead_letter or block")
		return
	}
	if err := OneOf("", p.node.text, "dead_letter", "block"); err != nil {
		r.below(p.node, err, p.at)
		return
	}
	t.Flow.Block = p.node.text == "block"
	if !t.Flow.Ordered {
		r.c.problem(p.at.pos, p.at, "without ordered: true no delivery holds others back: add that, or remove this")
	}
}

// keys notes limits and keys that do not go together.
func (r *reader) keys(t *Trigger, p part) {
	flow := &t.Flow
	note := func(key, message string) { r.below(p.node, Invalid(key, "%s", message), p.at) }
	all := flow.Debounce != nil && flow.Debounce.Keep == KeepAll
	if flow.Ordered && flow.Debounce != nil {
		note("debounce", "with ordered each delivery waits for the one before it, and debounce would replace or collect those that wait: remove one of them")
	}
	if all && t.Batch == nil && p.node.field("batch") == nil {
		note("debounce.keep", "all that have come go together, for which the trigger needs batch: {size: 100}; or keep the last")
	}
	if t.Batch == nil {
		return
	}
	if all && t.Batch.Key == nil {
		t.Batch.Key = flow.Debounce.Key
	}
	if flow.Ordered && t.Batch.Key.has("partitionkey") {
		note("batch.key", "with ordered only one delivery of a partitionkey is under way, so that each batch would have one: remove this, or ordered")
	}
	if flow.PerKey > 0 && flow.Concurrency.String() != t.Batch.Key.String() {
		note("concurrency.key", "with batch it counts requests, whose deliveries must have the key in common: give batch the same key")
	}
}
