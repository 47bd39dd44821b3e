//go:build integration

package integration_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/integration/debian"
	"sluice/integration/harness"
)

// recorder is a Lambda function for batches. It writes down what it was given,
// one line an invocation, and reports an item as failed as often as the item's
// body asks for.
const recorder = `
import base64, fcntl, json, os, time

def handler(event, context):
    items = [item(r) for r in event["Records"]]
    with open(os.environ["BOOK"], "a+") as book:
        fcntl.flock(book, fcntl.LOCK_EX)
        book.seek(0)
        before = [name for line in book for name in json.loads(line)["items"]]
        book.write(json.dumps({"time": time.time(), "items": [name for name, _ in items]}) + "\n")
    return {"batchItemFailures": [{"itemIdentifier": name} for name, fails in items if before.count(name) < fails]}

def item(record):
    if "kinesis" in record:
        body = base64.b64decode(record["kinesis"]["data"])
        return record["kinesis"]["sequenceNumber"], json.loads(body).get("fails", {}).get(record["kinesis"]["sequenceNumber"], 0)
    return record["messageId"], json.loads(record["body"]).get("fails", {}).get(record["messageId"], 0)
`

// An invocation is a line of the book.
type invocation struct {
	Time  float64
	Items []string
}

// A batching is an installation whose trigger gives batches to the recorder.
type batching struct {
	*harness.Sluice
	t    *testing.T
	book string
}

func newBatching(t *testing.T, batch string) *batching {
	t.Helper()
	debian.Python(t)
	folder := t.TempDir()
	b := &batching{t: t, book: filepath.Join(folder, "book")}
	handler := filepath.Join(folder, "recorder.py")
	if err := os.WriteFile(handler, []byte(recorder), 0o600); err != nil {
		t.Fatal(err)
	}
	b.Sluice = harness.New(t, program, fmt.Sprintf(`sources: {in: {http: {path: /in}}}
functions: {record: {handler: %q, environment: {BOOK: %q}}}
triggers:
  work: {on: in, to: record, batch: %s, retry: {attempts: 3, initial: 10ms, max: 50ms}}
`, handler, b.book, batch))
	b.Up()
	return b
}

// send sends what generate-event makes of a service's event.
func (b *batching) send(service, event string, flags ...string) {
	b.t.Helper()
	made := b.Command(append([]string{"generate-event", service, event, "--shape", "cloudevent"}, flags...)...)
	if made.Code != 0 {
		b.t.Fatalf("generate-event: exit code %d: %s", made.Code, made.Err)
	}
	file := filepath.Join(b.t.TempDir(), "events.json")
	if err := os.WriteFile(file, []byte(made.Out), 0o600); err != nil {
		b.t.Fatal(err)
	}
	if sent := b.Command("send", "in", "-c", b.File, "--event", file); sent.Code != 0 {
		b.t.Fatalf("send: exit code %d: %s", sent.Code, sent.Err)
	}
}

// ended waits until so many deliveries are done or dead.
func (b *batching) ended(deliveries uint64) {
	b.t.Helper()
	harness.Eventually(b.t, time.Minute, fmt.Sprintf("%d deliveries have ended", deliveries), func() bool {
		work := b.Triggers()["work"]
		return work.Delivered+work.Dead >= deliveries
	})
}

// invocations returns what the function has written down.
func (b *batching) invocations() []invocation {
	b.t.Helper()
	file, err := os.Open(b.book)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var all []invocation
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var one invocation
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			b.t.Fatalf("%v: %s", err, lines.Text())
		}
		all = append(all, one)
	}
	return all
}

// times returns how often each item was given to the function.
func (b *batching) times() map[string]int {
	b.t.Helper()
	all := map[string]int{}
	for _, one := range b.invocations() {
		for _, name := range one.Items {
			all[name]++
		}
	}
	return all
}

// Of a batch of a queue only those messages are tried again that the function
// names, and the one that always fails becomes a letter.
func TestFunctionNamesFailedMessages(t *testing.T) {
	b := newBatching(t, "{size: 10, window: 200ms}")
	b.send("sqs", "receive-message", "--count", "40", "--id", "m", "--body", `{"fails": {"m-3": 1, "m-17": 1, "m-30": 9}}`)
	b.ended(40)
	want := map[string]int{"m": 1}
	for i := 2; i <= 40; i++ {
		want[fmt.Sprintf("m-%d", i)] = 1
	}
	want["m-3"], want["m-17"], want["m-30"] = 2, 2, 3
	if got := b.times(); !maps.Equal(got, want) {
		t.Errorf("given so often: %v", got)
	}
	for _, one := range b.invocations() {
		if len(one.Items) > 10 {
			t.Errorf("a batch of %d", len(one.Items))
		}
	}
	letters := b.Letters()
	if len(letters) != 1 || letters[0].EventID != "m-30" || letters[0].Attempts != 3 || !strings.Contains(letters[0].Error, "batchItemFailures") {
		t.Errorf("%+v", letters)
	}
	b.Conserved()
}

// Of a stream everything of the shard from the lowest failed record on is tried
// again.
func TestFunctionCutsStreams(t *testing.T) {
	b := newBatching(t, "{size: 10, window: 1s}")
	b.send("kinesis", "get-records", "--count", "10", "--sequence", "95", "--data", `{"fails": {"98": 1, "101": 1}}`)
	b.ended(10)
	invocations := b.invocations()
	if first := []string{"95", "96", "97", "98", "99", "100", "101", "102", "103", "104"}; len(invocations) == 0 || !slices.Equal(invocations[0].Items, first) {
		t.Fatalf("%+v", invocations)
	}
	want := map[string]int{"95": 1, "96": 1, "97": 1, "98": 2, "99": 2, "100": 2, "101": 2, "102": 2, "103": 2, "104": 2}
	if got := b.times(); !maps.Equal(got, want) {
		t.Errorf("given so often: %v", got)
	}
	b.Conserved()
}

// Few events wait for others as long as the window, and come together.
func TestFunctionBatchWindow(t *testing.T) {
	b := newBatching(t, "{size: 100, window: 1s}")
	sent := time.Now()
	b.send("sqs", "receive-message", "--id", "a", "--count", "2", "--body", "{}")
	b.ended(2)
	invocations := b.invocations()
	if len(invocations) != 1 || !slices.Equal(invocations[0].Items, []string{"a", "a-2"}) {
		t.Fatalf("%+v", invocations)
	}
	if waited := time.UnixMicro(int64(invocations[0].Time * 1e6)).Sub(sent); waited < time.Second {
		t.Errorf("called %v after the first event was sent, within the window of 1 s", waited)
	}
}
