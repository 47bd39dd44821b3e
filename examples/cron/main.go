// Command cron shows a clock that calls a worker: on time, once a tick, and
// after a restart without a gap.
//
//	go run ./examples/cron
//
// It builds sluice, runs "sluice dev" on sluice.yaml beside this file, and the
// worker in this process, and says what to type next.
package main

import (
	"encoding/json"
	"fmt"
	"net/http"

	"sluice/examples/internal/example"
)

func main() {
	(&example.Example{Name: "cron", Worker: http.HandlerFunc(work), Story: story}).Main()
}

// work does the job that a tick asks for. The tick's time is an attribute.
func work(w http.ResponseWriter, r *http.Request) {
	body, ok := example.Payload(w, r)
	if !ok {
		return
	}
	var tick struct {
		Job string `json:"job"`
	}
	if err := json.Unmarshal(body, &tick); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	fmt.Printf("worker: %s for the tick of %s\n", tick.Job, r.Header.Get("ce-time"))
}

func story(p example.Place) string {
	return fmt.Sprintf(`
The worker is called every two seconds. In another terminal:

  1. When the nightly job runs, also where the clock is changed:
       %[1]s cron next '30 2 * * *' --timezone Europe/Berlin --from 2027-03-27T00:00:00Z -n 3
  2. Hold the deliveries back, and let them go; no tick is lost:
       %[1]s triggers pause run-job%[2]s
       %[1]s triggers list%[2]s
       %[1]s triggers resume run-job%[2]s
  3. Check that every tick is accounted for:
       %[1]s audit%[2]s
`, p.Sluice, p.Server)
}
