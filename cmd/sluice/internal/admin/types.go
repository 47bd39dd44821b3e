package admin

import (
	"encoding/json"
	"time"

	"sluice/dlq"
	"sluice/event"
	"sluice/functions/logs"
	"sluice/router/pattern"
)

// A CheckState is what a check has found.
type CheckState string

// The states of a check. A degraded part is shown and leaves sluice ready.
const (
	StateOK       CheckState = "ok"
	StateDegraded CheckState = "degraded"
	StateFailed   CheckState = "failed"
)

// A Check is the health of one part.
type Check struct {
	Name  string     `json:"name"`
	State CheckState `json:"state"`
	Error string     `json:"error,omitempty"`
}

// Readiness is the body of /readyz?verbose.
type Readiness struct {
	Ready  bool    `json:"ready"`
	Checks []Check `json:"checks"`
}

// A Trigger is the standing of one trigger.
type Trigger struct {
	Name string `json:"name"`
	// State is running, paused, behind or removed.
	State string `json:"state"`
	// Start is the sequence of the first event that was offered to it, Cursor
	// how far it is, and Lag how many events lie between that and the end.
	Start  uint64 `json:"start"`
	Cursor uint64 `json:"cursor"`
	Lag    uint64 `json:"lag"`
	Behind bool   `json:"behind"`
	// Paused says since when and why the state is paused; absent when it is not,
	// or when that is not known.
	Paused *Paused `json:"paused,omitempty"`
	// Waiting deliveries wait for a retry or a letter, Running are being attempted,
	// Buffered are in memory: they wait for their first attempt or for a batch, or
	// failed a moment ago.
	Waiting  int `json:"waiting"`
	Running  int `json:"running"`
	Buffered int `json:"buffered"`

	Matched       uint64    `json:"matched"`
	Delivered     uint64    `json:"delivered"`
	Dead          uint64    `json:"dead"`
	Discarded     uint64    `json:"discarded"`
	OldestWaiting time.Time `json:"oldest_waiting,omitzero"`

	// Held says what keeps its deliveries from being attempted now.
	Held []Hold `json:"held,omitempty"`
}

// A Hold is one reason why deliveries of a trigger are not attempted now.
type Hold struct {
	// Reason is concurrency, key_concurrency, adaptive, rate, debounce, batch,
	// breaker, retry, order, buffer, waiting, ledger or crashes.
	Reason string `json:"reason"`
	// Deliveries is how many are held, as far as they are in memory, and Keys how
	// many keys they have.
	Deliveries int `json:"deliveries"`
	Keys       int `json:"keys,omitempty"`
	// Until is when it ends or is looked at again, if that is a matter of time.
	Until time.Time `json:"until,omitzero"`
	// Limit is the bound that holds, for a rate within so many seconds.
	Limit      int     `json:"limit,omitempty"`
	PerSeconds float64 `json:"per_seconds,omitempty"`
	// Event is the sequence of the first event that others wait for; of order.
	Event uint64 `json:"event,omitempty"`
}

// A Paused says since when a trigger is paused, and why.
type Paused struct {
	Since time.Time `json:"since"`
	// Reason is command, or gone when its sink has said that nobody is there.
	Reason string `json:"reason"`
	// Error is what the sink has said.
	Error string `json:"error,omitempty"`
}

// A Source is the health of one source.
type Source struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
	// State is ok, degraded or failed; a failed one is started again.
	State CheckState `json:"state"`
	Error string     `json:"error,omitempty"`
	// Since is when the state began.
	Since    time.Time `json:"since"`
	Restarts int       `json:"restarts"`
	// Events is how many it has published since sluice has started, repeated
	// ones among them; LastEvent is when the last one was stored.
	Events    uint64    `json:"events"`
	LastEvent time.Time `json:"last_event,omitzero"`
	// LagSeconds is the age of the oldest thing that it knows of and has not
	// published, LagItems how many there are; absent where it cannot know.
	LagSeconds *float64 `json:"lag_seconds,omitempty"`
	LagItems   *int64   `json:"lag_items,omitempty"`
}

// An Event is an event with its whole life.
type Event struct {
	Sequence uint64 `json:"sequence"`
	// Source is the name of the source; empty for a directed entry.
	Source   string    `json:"source"`
	Accepted time.Time `json:"accepted"`
	// Directed is set on an entry for one trigger only: a replay. Origin says what
	// it, or a reply, was made from: a delivery's id, or that of an event whose
	// history is replayed, incarnation.sequence.
	Directed string `json:"directed,omitempty"`
	Origin   string `json:"origin,omitempty"`
	// Event is CloudEvents JSON; Problem says why there is none. Large is set when
	// the data is kept apart: the event is without it.
	Event   json.RawMessage `json:"event,omitempty"`
	Large   *event.Large    `json:"large,omitempty"`
	Problem string          `json:"problem,omitempty"`
	// Triggers are those on the source, and those that had it while they were
	// configured.
	Triggers []Standing `json:"triggers"`
	// Settled tells that every delivery has ended.
	Settled bool `json:"settled"`
}

// The states of a Standing beside those of the router.
const (
	// StandingRefused: the pattern has refused the event.
	StandingRefused = "refused"
	// StandingBefore: the event was there before the trigger.
	StandingBefore = "before"
	// StandingPending: the router has not come to it yet.
	StandingPending = "pending"
)

// A Standing is what became of an event for one trigger.
type Standing struct {
	Trigger    string `json:"trigger"`
	Matched    bool   `json:"matched"`
	DeliveryID string `json:"delivery_id,omitempty"`
	// State is waiting, dying, done, dead or discarded, as the router has it, or
	// one of the constants above.
	State    string    `json:"state"`
	Attempts []Attempt `json:"attempts,omitempty"`
	// Reason says why it is dying, dead or discarded.
	Reason  string    `json:"reason,omitempty"`
	EndedAt time.Time `json:"ended_at,omitzero"`
	// Letter tells that its letter is there: it was neither replayed nor purged.
	Letter bool `json:"letter,omitempty"`
	// Explanation says which clause has refused the event.
	Explanation *pattern.Explanation `json:"explanation,omitempty"`
}

// Ended tells whether nothing will become of it any more.
func (s *Standing) Ended() bool {
	return s.State != StandingPending && (!s.Matched || !s.EndedAt.IsZero())
}

// An Attempt is what one attempt came to.
type Attempt struct {
	Number     int       `json:"number"`
	Time       time.Time `json:"time"`
	DurationMS float64   `json:"duration_ms"`
	Status     int       `json:"status,omitempty"`
	Outcome    string    `json:"outcome,omitempty"`
	Error      string    `json:"error,omitempty"`
	// Due is when the next attempt may start.
	Due time.Time `json:"due,omitzero"`
}

// Found are the events that a search has found, the newest first.
type Found struct {
	Events []Event `json:"events"`
	// SearchedFrom and SearchedTo bound the sequences that were looked through.
	SearchedFrom uint64 `json:"searched_from"`
	SearchedTo   uint64 `json:"searched_to"`
	// Complete tells that there are no older ones left to look through.
	Complete bool `json:"complete"`
}

// A TailLine is one line of the stream of events.
type TailLine struct {
	Sequence uint64          `json:"sequence"`
	Source   string          `json:"source"`
	Accepted time.Time       `json:"accepted"`
	Directed string          `json:"directed,omitempty"`
	Origin   string          `json:"origin,omitempty"`
	Event    json.RawMessage `json:"event,omitempty"`
	// Large is set when the data is kept apart: the event is without it.
	Large *event.Large `json:"large,omitempty"`
	// Problem says why there is no event. With a sequence of 0 it has ended the
	// stream.
	Problem string `json:"problem,omitempty"`
}

// A Letter is a dead letter without its event.
type Letter struct {
	ID          string    `json:"id"`
	Trigger     string    `json:"trigger"`
	Source      string    `json:"source"`
	EventID     string    `json:"event_id"`
	EventSource string    `json:"event_source"`
	Type        string    `json:"type"`
	Reason      string    `json:"reason"`
	Error       string    `json:"error,omitempty"`
	Status      int       `json:"status,omitempty"`
	Attempts    int       `json:"attempts"`
	Accepted    time.Time `json:"accepted"`
	Died        time.Time `json:"died"`
	Origin      string    `json:"origin,omitempty"`
	// Problem says why the letter cannot be read.
	Problem string `json:"problem,omitempty"`
}

// A WholeLetter is a dead letter with its event and its history.
type WholeLetter struct {
	Letter
	Event   json.RawMessage     `json:"event,omitempty"`
	Large   *event.Large        `json:"large,omitempty"`  // of data that is kept apart
	Header  map[string][]string `json:"header,omitempty"` // of what holds no event
	Raw     []byte              `json:"raw,omitempty"`
	History []Attempt           `json:"history"`
}

// Letters is a page of letters. Next is the position to ask for the next page
// with; 0 when there is none.
type Letters struct {
	Letters []Letter `json:"letters"`
	Next    uint64   `json:"next,omitempty"`
}

// Counts says how many letters there are, and, when it was asked for, in which
// groups. It is also what a dry run answers.
type Counts struct {
	Total int `json:"total"`
	// Replayable is how many a replay would take now; Skipped counts the others
	// by reason.
	Replayable int            `json:"replayable"`
	Skipped    map[string]int `json:"skipped,omitempty"`
	Groups     map[string]int `json:"groups,omitempty"`
}

// A LettersRequest selects letters for a replay or a purge. A filter that
// selects everything is taken only with All.
type LettersRequest struct {
	Filter dlq.Filter `json:"filter"`
	All    bool       `json:"all,omitempty"`
	// Rate is the most letters a second, of a replay; 0 for as fast as it goes.
	Rate float64 `json:"rate,omitempty"`
	// DryRun only counts.
	DryRun bool `json:"dry_run,omitempty"`
}

// A HistoryRequest selects events of the log for a replay to one trigger. A
// filter that selects all that the trigger takes is taken only with All.
type HistoryRequest struct {
	Filter dlq.HistoryFilter `json:"filter"`
	All    bool              `json:"all,omitempty"`
	// Rate is the most events a second; 0 for as fast as it goes.
	Rate float64 `json:"rate,omitempty"`
	// DryRun only counts.
	DryRun bool `json:"dry_run,omitempty"`
}

// A Job is a replay.
type Job struct {
	dlq.Job
	// Problem is what holds it up at the moment.
	Problem string `json:"problem,omitempty"`
}

// Purged says what a purge has done.
type Purged struct {
	Letters int            `json:"letters"`
	Skipped map[string]int `json:"skipped,omitempty"`
}

// An Audit says whether every delivery is accounted for (invariant I2).
type Audit struct {
	Conserved bool `json:"conserved"`
	// Checked is how many events were looked at.
	Checked  uint64         `json:"checked"`
	Triggers []AuditTrigger `json:"triggers"`
	Missing  []Missing      `json:"missing"`
}

// An AuditTrigger is the account of one trigger: Off is what is missing from
// Matched = Delivered + Dead + Discarded + Waiting.
type AuditTrigger struct {
	Name      string `json:"name"`
	Matched   uint64 `json:"matched"`
	Delivered uint64 `json:"delivered"`
	Dead      uint64 `json:"dead"`
	Discarded uint64 `json:"discarded"`
	Waiting   int    `json:"waiting"`
	Off       int64  `json:"off"`
}

// A Missing is a delivery that nothing accounts for.
type Missing struct {
	Sequence   uint64 `json:"sequence"`
	Trigger    string `json:"trigger"`
	DeliveryID string `json:"delivery_id,omitempty"`
	Why        string `json:"why"`
}

// A Function is how a function stands.
type Function struct {
	Name string `json:"name"`
	// Kind is function for one that sluice runs itself, else the kind of its sink:
	// then the rest is absent.
	Kind    string `json:"kind"`
	Runtime string `json:"runtime,omitempty"`
	Handler string `json:"handler,omitempty"`
	// Shape is what it gets of an event: aws, cloudevent or data.
	Shape string `json:"shape,omitempty"`
	// State is ok, or degraded when no worker can be started: Error says why.
	State CheckState `json:"state,omitempty"`
	Error string     `json:"error,omitempty"`
	// Starting, Idle and Busy count its workers, Waiting invocations that wait for
	// one.
	Starting int `json:"starting"`
	Idle     int `json:"idle"`
	Busy     int `json:"busy"`
	Waiting  int `json:"waiting"`
	// Concurrency is the most invocations at once, Memory what one worker may use,
	// in bytes, and TimeoutMS how long an invocation may take.
	Concurrency int     `json:"concurrency,omitempty"`
	Memory      int64   `json:"memory,omitempty"`
	TimeoutMS   float64 `json:"timeout_ms,omitempty"`
}

// An Invoked is what has become of an invocation.
type Invoked struct {
	RequestID string `json:"request_id"`
	// Outcome is success, or how it has failed: error, timeout, exit or too_large.
	Outcome string `json:"outcome"`
	// Payload is the answer: of a failure its errorType and errorMessage.
	Payload json.RawMessage `json:"payload"`
	// Log are the last 4 KiB that it has logged.
	Log        string  `json:"log,omitempty"`
	DurationMS float64 `json:"duration_ms"`
	BilledMS   float64 `json:"billed_ms"`
	InitMS     float64 `json:"init_ms,omitempty"`
	// MaxMemory is the most that the worker has used, in bytes.
	MaxMemory int64 `json:"max_memory,omitempty"`
}

// A LogLine is one line of the stream of logs.
type LogLine struct {
	logs.Entry

	// Position is where to go on behind it: the stream's from.
	Position string `json:"position"`
	// Problem is why the stream has ended.
	Problem string `json:"problem,omitempty"`
}
