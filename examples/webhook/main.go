// Command webhook shows signed webhooks in both directions: sluice takes only
// those that are signed, and signs what it sends to the worker.
//
//	go run ./examples/webhook
//
// It builds sluice, runs "sluice dev" on sluice.yaml beside this file, and the
// worker in this process, and says what to type next.
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"sluice/examples/internal/example"
)

// workerSecret is what sluice signs with when WORKER_SECRET is not set; the file
// has it too.
const workerSecret = "whsec_dGhlLWV4YW1wbGUtc2lnbnMtZm9yLXdvcmtlcnM="

func main() {
	secret := os.Getenv("WORKER_SECRET")
	if secret == "" {
		secret = workerSecret
	}
	webhook, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		fmt.Fprintln(os.Stderr, "webhook: WORKER_SECRET:", err)
		os.Exit(1)
	}
	(&example.Example{Name: "webhook", Worker: work(webhook), Story: story}).Main()
}

// work takes payments that sluice has signed, and nothing else.
func work(webhook *standardwebhooks.Webhook) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, ok := example.Payload(w, r)
		if !ok {
			return
		}
		if err := webhook.Verify(body, r.Header); err != nil {
			fmt.Println("worker: refused what is not signed")
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		var payment struct {
			Amount json.Number `json:"amount"`
		}
		if err := json.Unmarshal(body, &payment); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Printf("worker: a payment of %s, and the signature is right\n", payment.Amount)
	})
}

func story(p example.Place) string {
	return fmt.Sprintf(`
Webhooks of a payment service come to %[1]s/hooks/payments. In another terminal:

  1. One that nobody has signed is refused, with 401:
       curl -i %[1]s/hooks/payments -d '{"amount":7}'
  2. One that is signed; sluice send does that as the payment service would:
       %[2]s send payments -c examples/webhook/sluice.yaml --id msg_1 --data '{"amount":7}' --wait%[4]s
  3. The same once more, as such services do when they are not sure; it is one event:
       %[2]s send payments -c examples/webhook/sluice.yaml --id msg_1 --data '{"amount":7}'%[4]s
  4. The worker takes only what sluice has signed:
       curl -i %[3]s/book -d '{"amount":7}'
  5. Check that the payment is booked once:
       %[2]s audit%[4]s
`, p.Ingest, p.Sluice, p.Worker, p.Server)
}
