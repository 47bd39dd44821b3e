// Command fanout shows one event that goes to many, to each in a form of its own.
//
//	go run ./examples/fanout
//
// It builds sluice, runs "sluice dev" on sluice.yaml beside this file, and the
// workers in this process, and says what to type next.
package main

import (
	"fmt"
	"net/http"

	"sluice/examples/internal/example"
)

func main() {
	(&example.Example{Name: "fanout", Worker: http.HandlerFunc(work), Story: story}).Main()
}

// work is all the workers: it shows what each is sent.
func work(w http.ResponseWriter, r *http.Request) {
	body, ok := example.Payload(w, r)
	if !ok {
		return
	}
	line := fmt.Sprintf("worker: %s gets %s", r.URL.EscapedPath(), body)
	if customer := r.Header.Get("X-Customer"); customer != "" {
		line += " for " + customer
	}
	fmt.Println(line)
}

const (
	order  = `{"id":"7/a","who":"Ada","lines":[{"sku":"cup","price":3},{"sku":"pot","price":140}]}`
	small  = `{"id":"8","who":"Bob","lines":[{"sku":"cup","price":3}]}`
	broken = `{"id":"9","who":"Eve","lines":["cup"]}`
)

func story(p example.Place) string {
	return fmt.Sprintf(`
Orders come to %[1]s/orders, and go to five triggers. In another terminal:

  1. An order; each worker gets what it needs of it:
       curl %[1]s/orders -H 'Content-Type: application/json' -d '%[4]s'
  2. A small one: the trigger praise discards it, as its transform yields nothing:
       curl %[1]s/orders -H 'Content-Type: application/json' -d '%[5]s'
  3. One that has no prices: those that need them keep letters, the others go on:
       curl %[1]s/orders -H 'Content-Type: application/json' -d '%[6]s'
       %[2]s dlq list%[3]s
  4. Mend the transform of bill in sluice.yaml, as its comment says, and replay:
       %[2]s dlq replay --trigger bill%[3]s
  5. What the transforms make of the file's own events:
       %[2]s test -c examples/fanout/sluice.yaml
  6. Check that every order is accounted for:
       %[2]s audit%[3]s
`, p.Ingest, p.Sluice, p.Server, order, small, broken)
}
