package bus

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Names are the names of everything that one installation stores: streams,
// bucket and subjects, all made from one prefix.
type Names struct {
	// Prefix is the first token of every subject: "sluice".
	Prefix string
	// Events, Ledger and Letters are the names of the streams.
	Events, Ledger, Letters string
	// Objects is the name of the stream of data that is kept apart from its events.
	Objects string
	// State is the name of the key-value bucket.
	State string
}

// The second tokens of the subjects.
const (
	kindEvent    = "ev"
	kindDirected = "to"
	kindCursor   = "cur"
	kindJob      = "job"
	kindLetter   = "dl"
	kindLedger   = "ledger"
	kindObject   = "obj"
)

// token is what a name within a subject may consist of.
var token = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// prefixToken is what a prefix may consist of: it becomes part of file names.
var prefixToken = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`)

func newNames(prefix string) (Names, error) {
	if !prefixToken.MatchString(prefix) {
		return Names{}, fmt.Errorf("bus prefix %q: write a small letter, then at most 31 small letters, digits, - or _", prefix)
	}
	upper := strings.ToUpper(prefix)
	return Names{
		Prefix: prefix,
		Events: upper + "_EVENTS", Ledger: upper + "_LEDGER", Letters: upper + "_DLQ",
		Objects: upper + "_OBJECTS", State: upper + "_STATE",
	}, nil
}

// Event returns the subject of an event of a source.
func (n Names) Event(part int, source string) string {
	return n.Prefix + "." + kindEvent + "." + strconv.Itoa(part) + "." + source
}

// Directed returns the subject of an entry for one trigger only.
func (n Names) Directed(part int, trigger string) string {
	return n.Prefix + "." + kindDirected + "." + strconv.Itoa(part) + "." + trigger
}

// Cursor returns the subject that holds the cursor of a source's shard.
func (n Names) Cursor(source, shard string) string {
	return n.Prefix + "." + kindCursor + "." + source + "." + shard
}

// Job returns the subject that holds the position of a job.
func (n Names) Job(id string) string { return n.Prefix + "." + kindJob + "." + id }

// Record returns the subject of a claim's records in the ledger; that of every
// claim for an empty one.
func (n Names) Record(claim string) string {
	if claim == "" {
		claim = ">"
	}
	return n.Prefix + "." + kindLedger + "." + claim
}

// Letter returns the subject of the letter of one delivery.
func (n Names) Letter(trigger, incarnation string, sequence uint64) string {
	return n.Prefix + "." + kindLetter + "." + trigger + "." + incarnation + "." + strconv.FormatUint(sequence, 10)
}

// Object returns the subject of an object, whose name has two tokens.
func (n Names) Object(name string) string { return n.Prefix + "." + kindObject + "." + name }

// all returns the wildcard subject of one kind.
func (n Names) all(kind string) string { return n.Prefix + "." + kind + ".>" }

// checkToken refuses a name that cannot be a part of a subject.
func checkToken(what, name string) error {
	if token.MatchString(name) {
		return nil
	}
	return fmt.Errorf("%s %q: write 1 to 128 letters, digits, - or _", what, name)
}
