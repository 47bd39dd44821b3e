// Command replay shows that what has happened can be had again: a worker loses
// its books, and gets them back from history.
//
//	go run ./examples/replay
//
// It builds sluice, runs "sluice dev" on sluice.yaml beside this file, and the
// worker in this process, and says what to type next.
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"

	"sluice/examples/internal/example"
)

func main() {
	(&example.Example{Name: "replay", Worker: (&books{}).routes(), Story: story}).Main()
}

// The books have each order once, however often it is delivered.
type books struct {
	mu     sync.Mutex
	totals map[string]float64 // by the event's id
}

func (b *books) routes() http.Handler {
	b.totals = map[string]float64{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /book", b.book)
	mux.HandleFunc("POST /lose", b.lose)
	mux.HandleFunc("GET /total", b.total)
	return mux
}

// book books one order. A replay is a new delivery of the same event, so that the
// event's id tells whether it is there already.
func (b *books) book(w http.ResponseWriter, r *http.Request) {
	body, ok := example.Payload(w, r)
	if !ok {
		return
	}
	var order struct {
		Order string  `json:"order"`
		Total float64 `json:"total"`
	}
	if err := json.Unmarshal(body, &order); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	id := r.Header.Get("ce-id")
	if _, there := b.totals[id]; there {
		fmt.Printf("worker: order %s is in the books already\n", order.Order)
		return
	}
	b.totals[id] = order.Total
	fmt.Printf("worker: order %s is booked, %g\n", order.Order, order.Total)
}

// lose is what happens to books.
func (b *books) lose(w http.ResponseWriter, _ *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.totals)
	_, _ = fmt.Fprintln(w, "the books are lost")
}

func (b *books) total(w http.ResponseWriter, _ *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	sum := 0.0
	for _, total := range b.totals {
		sum += total
	}
	_, _ = fmt.Fprintf(w, "%d orders, %g\n", len(b.totals), sum)
}

func story(p example.Place) string {
	return fmt.Sprintf(`
The story, in another terminal:

  1. Send some orders; the worker books them:
       curl -H 'Content-Type: application/json' -d '{"order": "a", "total": 20}' %[2]s/orders
       curl -H 'Content-Type: application/json' -d '{"order": "b", "total": 150}' %[2]s/orders
       curl -H 'Content-Type: application/json' -d '{"order": "c", "total": 200}' %[2]s/orders
       curl %[3]s/total
  2. Lose the books:
       curl -X POST %[3]s/lose
  3. See what history has, and get the large orders back first, then all:
       %[1]s replay --trigger book --since 1h --dry-run%[4]s
       %[1]s replay --trigger book --since 1h --pattern '{"data":{"total":[{"numeric":[">",100]}]}}'%[4]s
       %[1]s replay --trigger book --since 1h%[4]s
       curl %[3]s/total
  4. Replay slowly, stop that, and go on:
       %[1]s replay --trigger book --since 1h --rate 0.2 --detach%[4]s
       %[1]s replay jobs%[4]s
       %[1]s replay cancel REPLAY%[4]s
       %[1]s replay resume REPLAY%[4]s
  5. Check that every delivery is accounted for:
       %[1]s audit%[4]s
`, p.Sluice, p.Ingest, p.Worker, p.Server)
}
