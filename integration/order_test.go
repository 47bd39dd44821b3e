//go:build integration

package integration_test

import (
	"fmt"
	"hash/fnv"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"sluice/integration/harness"
)

const (
	orderKeys   = 30
	orderEvents = 250 // of each key at most
	// stuck is a key of which nothing can be delivered.
	stuck = "stuck"
)

func keysOfOrder() []string {
	keys := []string{stuck}
	for n := range orderKeys {
		keys = append(keys, fmt.Sprintf("k%d", n))
	}
	return keys
}

// fickle refuses a fifth of all attempts for a while, always the same ones, and
// every attempt of one key.
func fickle(r *http.Request, receipt harness.Receipt) int {
	brief(r, receipt)
	if receipt.Key == stuck {
		return http.StatusInternalServerError
	}
	hash := fnv.New32()
	_, _ = fmt.Fprint(hash, receipt.Delivery, receipt.Attempt)
	if hash.Sum32()%5 == 0 {
		return http.StatusServiceUnavailable
	}
	return http.StatusNoContent
}

// orderly is a configuration of a trigger that keeps the order.
func orderly(worker *harness.Worker, more string) string {
	return oneTrigger(worker, "ordered: true, concurrency: 20, "+more)
}

const patient = "retry: {attempts: 1000, initial: 5ms, max: 20ms}"

// judge fails the test when the history of a worker contradicts the order, or
// when something that was accepted is missing in it.
func judge(t *testing.T, s *harness.Sluice, worker *harness.Worker, load *harness.KeyedLoad, settles func(harness.Receipt) bool) {
	t.Helper()
	history := harness.History{Receipts: harness.Of(worker.Receipts(), "/work"), Settles: settles, Without: map[string]bool{}}
	reasons, letters := map[string]int{}, []string(nil)
	for _, letter := range s.Letters() {
		reasons[letter.Reason]++
		letters = append(letters, letter.EventID)
		history.Without[letter.EventID] = letter.Reason == "poison"
	}
	order := history.Order()
	for i, wrong := range order.Wrong {
		if i == 10 {
			t.Errorf("… and %d more", len(order.Wrong)-i)
			break
		}
		t.Error(wrong)
	}
	var accepted []string
	for key, n := range load.Accepted() {
		for i := range n {
			accepted = append(accepted, fmt.Sprintf("%s-%d", key, i))
		}
	}
	if missing := without(worker.Missing("/work", accepted), letters); len(missing) > 0 {
		t.Errorf("%d events are neither delivered nor letters: %v …", len(missing), missing[:min(10, len(missing))])
	}
	t.Logf("%d events of %d keys, %d attempts, %d of them repeated what had succeeded, %d kills, letters %v", len(accepted), order.Keys, order.Attempts, order.Repeated, len(s.Kills), reasons)
	s.Conserved()
}

// TestOrderUnderKills kills sluice again and again while attempts fail: of each
// key an attempt begins only when the delivery before it is settled, after a kill
// the last run is repeated in order, and a key that cannot be delivered holds up
// none but itself.
func TestOrderUnderKills(t *testing.T) {
	rng := random(t)
	worker := harness.NewWorker(t, fickle)
	s := harness.New(t, program, orderly(worker, "on_failure: block, retry: {attempts: 2, initial: 5ms, max: 20ms}"))
	s.Up()
	load := harness.NewKeyedLoad(t, s.Ingest+"/in", keysOfOrder(), 10*time.Millisecond, orderEvents)
	for range min(*kills, 8) {
		wait(t, s, rng)
		s.Kill()
		s.Start()
	}
	s.Ready()
	began := time.Now()
	load.Wait()
	t.Logf("all is accepted after %v, %d are delivered", time.Since(began), worker.Done("/work"))
	held := load.Accepted()[stuck]
	others := orderKeys * orderEvents
	harness.Eventually(t, 30*time.Second, "all is delivered but one key", func() bool { return worker.Done("/work")+len(s.Letters()) >= others })
	harness.Eventually(t, 10*time.Second, "one key waits, and nothing else", func() bool {
		stands := s.Triggers()["work"]
		n := stands.Waiting + stands.Buffered + stands.Running
		return n >= held-len(s.Letters()) && n <= held
	})
	t.Log(s.Command("triggers", "list").Out)
	worker.Set(brief)
	s.Idle(30 * time.Second)
	judge(t, s, worker, load, nil)
}

// TestOrderOverReconnects restarts the NATS server of the bus under a trigger
// that keeps the order.
func TestOrderOverReconnects(t *testing.T) {
	options := server.Options{Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true, JetStream: true, StoreDir: t.TempDir(), SyncAlways: true}
	bus := &natsSide{t: t, options: options}
	bus.start()
	bus.options.Port = bus.server.Addr().(*net.TCPAddr).Port
	t.Cleanup(bus.stop)
	worker := harness.NewWorker(t, fickle)
	s := harness.NewOn(t, program, fmt.Sprintf("{url: %q, max_bytes: 256MiB, max_large: 64MiB}", bus.server.ClientURL()), orderly(worker, "on_failure: block, "+patient))
	s.Up()
	load := harness.NewKeyedLoad(t, s.Ingest+"/in", keysOfOrder(), 15*time.Millisecond, orderEvents/2)
	for n := range 4 {
		at := worker.Len()
		harness.Eventually(t, 30*time.Second, "attempts are made", func() bool { return worker.Len() > at+300 })
		bus.restart()
		if n == 2 {
			s.Kill()
			s.Up()
		}
	}
	load.Wait()
	worker.Set(brief)
	s.Idle(30 * time.Second)
	judge(t, s, worker, load, nil)
}

// TestLettersOfAKeyInOrder: with dead letters a key that cannot be delivered goes
// on when the letter of each is written.
func TestLettersOfAKeyInOrder(t *testing.T) {
	const attempts = 3
	worker := harness.NewWorker(t, func(r *http.Request, receipt harness.Receipt) int {
		if receipt.Key == stuck {
			return http.StatusInternalServerError
		}
		return brief(r, receipt)
	})
	s := harness.New(t, program, orderly(worker, fmt.Sprintf("retry: {attempts: %d, initial: 5ms, max: 20ms}", attempts)))
	s.Up()
	load := harness.NewKeyedLoad(t, s.Ingest+"/in", keysOfOrder(), 5*time.Millisecond, 60)
	load.Wait()
	s.Idle(30 * time.Second)
	if n := len(s.Letters()); n != 60 {
		t.Errorf("%d letters", n)
	}
	judge(t, s, worker, load, func(r harness.Receipt) bool { return r.Status/100 == 2 || r.Attempt == attempts })
}

// reload replaces text in the configuration, and returns when it is taken over.
func reload(t *testing.T, s *harness.Sluice, old, new string) {
	t.Helper()
	text, err := os.ReadFile(s.File)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), old) {
		t.Fatalf("the configuration has no %q:\n%s", old, text)
	}
	if err := os.WriteFile(s.File, []byte(strings.Replace(string(text), old, new, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	before := s.Logged("configuration taken over")
	s.Signal(syscall.SIGHUP)
	harness.Eventually(t, 10*time.Second, "the change is taken over", func() bool { return s.Logged("configuration taken over") > before })
}

// TestOrderIsSwitchedOn while attempts are under way and deliveries wait: what
// begins from then on is in order.
func TestOrderIsSwitchedOn(t *testing.T) {
	release := make(chan struct{})
	worker := harness.NewWorker(t, func(r *http.Request, receipt harness.Receipt) int {
		select {
		case <-release:
		case <-r.Context().Done():
		}
		return fickle(r, receipt)
	})
	s := harness.New(t, program, oneTrigger(worker, "concurrency: 20, "+patient))
	s.Up()
	load := harness.NewKeyedLoad(t, s.Ingest+"/in", []string{"a", "b", "c"}, 0, 100)
	load.Wait()
	harness.Eventually(t, 10*time.Second, "as many run as may", func() bool { return worker.InFlight() == 20 })
	reload(t, s, "concurrency: 20,", "concurrency: 20, ordered: true,")
	before := worker.Len()
	close(release)
	s.Idle(30 * time.Second)
	receipts := worker.Receipts()
	late := map[string]bool{} // those that ran before it was switched on
	for i := range receipts[:before] {
		late[receipts[i].Event] = true
	}
	for i, r := range receipts {
		for _, other := range receipts[:i] {
			if i >= before && other.Key == r.Key && other.Event != r.Event && other.Ended.After(r.Began) {
				t.Errorf("%s, attempt %d began while %s was under way", r.Event, r.Attempt, other.Event)
			}
		}
	}
	history := harness.History{Without: late}
	for _, r := range receipts[before:] {
		if !late[r.Event] {
			history.Receipts = append(history.Receipts, r)
		}
	}
	for _, wrong := range history.Order().Wrong {
		t.Error(wrong)
	}
	if n := worker.Done("/work"); n != 300 {
		t.Errorf("%d of 300 are delivered", n)
	}
	s.Conserved()
}
