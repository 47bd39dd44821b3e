// Package config reads the file that users write: strict YAML with positions,
// variables, secrets from files, defaults and validation. It knows no source
// and no sink: the program tells it which kinds there are.
package config

import "time"

// A Section is the configuration of one source or sink: a pointer to a struct
// with yaml tags, the defaults filled in. It may implement
//
//	Validate() error             // all problems at once, joined, each made by Invalid
//	Unauthenticated() bool       // it takes requests from anybody on the ingest listener
//	Claim() (key, value string)  // the path on the ingest listener that stands at key is for one source only; value may be empty
//	Locate(dir string)           // the file's folder, absolute, from which relative paths are meant; before Validate
//	Batches() Batching           // whether it takes several events at once
//	Replies() bool               // it publishes what deliveries are answered with
type Section any

// Kinds tells Load which sources and sinks there are.
type Kinds struct {
	// Sources and Sinks make a new section, with its defaults, by kind: the key
	// in the file.
	Sources, Sinks map[string]func() Section
	// Function is the kind of functions that sluice runs itself; its zero value
	// means that there are none.
	Function FunctionKind
	// Pattern compiles the pattern of a trigger, given as a JSON value (its
	// numbers are json.Number). It may be nil. Its error may be several, joined;
	// one that has a method Path() []any is shown at that place below `when`, with
	// what its Message() string says, if it has that too.
	Pattern func(value any) error
	// Transform compiles the transform of a trigger; all is as with Pattern.
	Transform func(value any) error
}

// A Pos is a place in the file. Line and Column count from 1, the column in
// characters. The zero Pos is no place.
type Pos struct{ Line, Column int }

// A File is a configuration that Load found to be valid. What stands in lists
// here is in the order of the file.
type File struct {
	// Path is the file's path as it was given, Dir the absolute folder that
	// relative paths in it are meant from.
	Path, Dir string

	Bus    Bus
	Ingest Ingest
	Admin  Admin
	Logs   Logs
	// Egress is how far the connections of sinks may go that do not say so
	// themselves: "any" or "public". Default: any.
	Egress    string
	Sources   []Source
	Functions []Function
	Triggers  []Trigger
	Tests     []Test

	// Warnings are what should be changed, though the file can be used.
	Warnings []*Problem
}

// A Bus says where events are stored: in Dir by the server inside of sluice,
// or at URL.
type Bus struct {
	// Dir is the folder of the embedded store, absolute once loaded; empty when
	// URL is set. Default: data beside the file.
	Dir string `yaml:"dir"`
	// URL names NATS servers, separated by commas.
	URL string `yaml:"url"`
	// Auth says who sluice is at URL. Default: nobody.
	Auth NATSAuth `yaml:"auth"`
	// TLS is used for URLs that begin with tls:// or wss://, or when a server
	// asks for it.
	TLS TLS `yaml:"tls"`
	// Replicas is the number of copies at URL: 1, 3 or 5. Default: 1.
	Replicas int `yaml:"replicas"`
	// Placement says which servers of a cluster hold the streams. Default: any.
	Placement Placement `yaml:"placement"`
	// Prefix begins the names of all streams and subjects. Default: sluice.
	Prefix string `yaml:"prefix"`
	// MaxBytes bounds the stored events. Default: 10GiB.
	MaxBytes Size `yaml:"max_bytes"`
	// MaxAge is how long events are kept that nothing needs. Default: 7d.
	MaxAge Duration `yaml:"max_age"`
	// MinFree is how much of the disk of Dir stays free: below it events are
	// refused. Default: 256MiB.
	MinFree Size `yaml:"min_free"`
	// MaxEvent is the largest event. Default: 1MiB; at most 64MiB.
	MaxEvent Size `yaml:"max_event"`
	// MaxLarge bounds the data of events that is kept apart from them, because it
	// is over 256 KiB. Default: 10GiB.
	MaxLarge Size `yaml:"max_large"`
}

// Ingest is the listener of HTTP sources.
type Ingest struct {
	// Listen is an address with a port. Default: 127.0.0.1:4800.
	Listen string `yaml:"listen"`
	// UnsafeNoAuth allows sources without authentication on an address that
	// other machines can reach: anybody there can publish events.
	UnsafeNoAuth bool `yaml:"unsafe_no_auth"`
	// MaxConnections bounds the connections that are open. Default: 4096.
	MaxConnections int `yaml:"max_connections"`
	// MaxConnectionsPerAddress bounds those of one IPv4 address or IPv6 /64.
	// Default: 1024.
	MaxConnectionsPerAddress int `yaml:"max_connections_per_address"`
	// HeaderTimeout bounds the time for the headers of a request. Default: 5s.
	HeaderTimeout Duration `yaml:"header_timeout"`
	// BodyTimeout bounds the time for the body of a request. Default: 30s.
	BodyTimeout Duration `yaml:"body_timeout"`
	// Invoke is the Invoke API.
	Invoke InvokeAPI `yaml:"invoke"`
}

// Admin is the listener of health, metrics and the API.
type Admin struct {
	// Listen is an address with a port. Default: 127.0.0.1:4801.
	Listen string `yaml:"listen"`
	// Token, when it is set, must come with every request but those for health,
	// as a bearer token (RFC 6750). With it the address may be any.
	Token Secret `yaml:"token"`
	// UnsafeNoAuth allows an address that other machines can reach: anybody
	// there can read events, and pause, replay and purge.
	UnsafeNoAuth bool `yaml:"unsafe_no_auth"`
}

// A Source is where events come from.
type Source struct {
	Name    string
	Kind    string
	Section Section
	Pos     Pos
}

// A Sink is one place that deliveries go to.
type Sink struct {
	Kind    string
	Section Section
}

// A To is where deliveries go.
type To struct {
	// Function is the name of a function; empty when Sink is set.
	Function string
	Sink     *Sink
}

// Batching says whether a sink takes several events at once.
type Batching int

// How sinks take events.
const (
	NeverBatch Batching = iota // one by one
	MustBatch                  // several in each request
	MayBatch                   // as the trigger says
)

// A Trigger says which events go to which sink, and how.
type Trigger struct {
	Name string
	// On are the names of the sources, also of functions and triggers that publish
	// replies: at least one, but for a trigger that a function brings with it.
	On []string
	// When is the pattern, a mapping; nil matches every event.
	When *Node
	// Transform makes what is delivered of each event; nil leaves it as it is.
	Transform *Node
	// To is where it delivers to.
	To
	Retry Retry
	// Batch says how several deliveries become one request; nil for one each.
	Batch *Batch
	// Concurrency is the number of attempts at the same time. Default: the
	// function's, else 10, or 256 when it is adaptive.
	Concurrency int
	Flow        Flow
	// Timeout bounds one attempt. Default: the function's, else 30s.
	Timeout Duration
	// Start says where it begins when it is new. Default: with what comes from
	// now on.
	Start Start
	// Was are the names that the trigger had before.
	Was []string
	Pos Pos
}

// A Batch is sent when it has Size deliveries or Bytes of data, or when its first
// one has waited for Window.
type Batch struct {
	// Size is the most deliveries of one batch. Default: 100; at most 10,000.
	Size int `yaml:"size"`
	// Window is how long the first one may wait for others. Default: 0, so that a
	// batch is what waits anyway; at most 5m.
	Window Duration `yaml:"window"`
	// Bytes bounds the data of a batch of several; 0 for no bound.
	Bytes Size `yaml:"bytes"`
	// Key has only deliveries with the same value share a batch.
	Key Key `yaml:"key"`
}

// Retry says how often, and when, a failed delivery is attempted again.
type Retry struct {
	// Attempts is the number of all attempts, the first included. Default: 5.
	Attempts int `yaml:"attempts"`
	// Initial is the longest wait before the second attempt; it doubles with
	// each, up to Max. Defaults: 1s and 5m.
	Initial Duration `yaml:"initial"`
	Max     Duration `yaml:"max"`
	// MaxAge is how long after its first attempt a delivery may be attempted
	// again; time in which sluice does not run does not count. Default: 24h.
	MaxAge Duration `yaml:"max_age"`
	// Steady is set when each wait is the longest one, rather than drawn.
	Steady bool `yaml:"-"`
}

// A Test is an event and the triggers that it must match, no more and no less,
// and what their transforms make of it.
type Test struct {
	Name     string
	Event    map[string]any // a JSON object; source is the name of a source
	Triggers []string
	// Payloads are what the sinks of some of the triggers get, by trigger: JSON
	// values.
	Payloads map[string]any
	Pos      Pos
}

// The defaults of the file.
const (
	defaultDir         = "data"
	defaultAdmin       = "127.0.0.1:4801"
	defaultPrefix      = "sluice"
	defaultReplicas    = 1
	defaultMaxBytes    = Size(10 << 30)
	defaultMaxAge      = Duration(7 * 24 * time.Hour)
	defaultMaxEvent    = Size(1 << 20)
	defaultMaxLarge    = Size(10 << 30)
	defaultMinFree     = Size(256 << 20)
	defaultConcurrency = 10
	defaultBatch       = 100
	defaultTimeout     = Duration(30 * time.Second)

	// minMaxAge leaves room for the window in which repeated events are known.
	minMaxAge = 5 * time.Minute
)

func defaultIngest() Ingest {
	return Ingest{
		Listen:         "127.0.0.1:4800",
		MaxConnections: 4096, MaxConnectionsPerAddress: 1024,
		HeaderTimeout: Duration(5 * time.Second), BodyTimeout: Duration(30 * time.Second),
	}
}

// DefaultRetry is the retry policy of a trigger that has none of its own.
func DefaultRetry() Retry {
	return Retry{
		Attempts: 5,
		Initial:  Duration(time.Second),
		Max:      Duration(5 * time.Minute),
		MaxAge:   Duration(24 * time.Hour),
	}
}

// defaultBus has no Dir: that depends on whether there is a URL.
func defaultBus() Bus {
	return Bus{
		Replicas: defaultReplicas, Prefix: defaultPrefix,
		MaxBytes: defaultMaxBytes, MaxAge: defaultMaxAge, MaxEvent: defaultMaxEvent, MaxLarge: defaultMaxLarge, MinFree: defaultMinFree,
	}
}
