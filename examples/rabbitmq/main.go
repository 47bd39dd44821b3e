// Command rabbitmq shows a queue of RabbitMQ that feeds a worker over HTTP, and
// what becomes of messages that the worker fails at: dead letters, with all that
// was tried, which are replayed when the worker is mended.
//
//	go run ./examples/rabbitmq
//
// It needs a RabbitMQ at RABBITMQ_URL, amqp://127.0.0.1:5672 by default. It builds
// sluice, runs "sluice dev" on sluice.yaml beside this file, and the shop and the
// worker in this process, and says what to type next.
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"sync/atomic"

	"github.com/rabbitmq/amqp091-go"

	"sluice/examples/internal/example"
)

func main() {
	s := &shop{url: os.Getenv("RABBITMQ_URL")}
	if s.url == "" {
		s.url = "amqp://127.0.0.1:5672"
	}
	(&example.Example{Name: "rabbitmq", Worker: s.routes(), Story: story}).Main()
}

// An order is what the queue carries.
type order struct {
	Order string  `json:"order"`
	Total float64 `json:"total"`
}

// A shop publishes orders to the exchange, which is there since sluice has bound
// its queue to it, and a worker ships them.
type shop struct {
	url    string
	mended atomic.Bool
}

func (s *shop) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /buy", s.buy)
	mux.HandleFunc("POST /ship", s.ship)
	mux.HandleFunc("POST /mend", s.mend)
	mux.HandleFunc("GET /healthy", func(http.ResponseWriter, *http.Request) {}) // for docker-compose.yml
	return mux
}

// buy publishes what was posted, and answers when the broker has confirmed it.
func (s *shop) buy(w http.ResponseWriter, r *http.Request) {
	body, ok := example.Payload(w, r)
	if !ok {
		return
	}
	var bought order
	if err := json.Unmarshal(body, &bought); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := s.publish(r, &bought, body); err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	_, _ = fmt.Fprintf(w, "order %s is in the queue\n", bought.Order)
}

func (s *shop) publish(r *http.Request, bought *order, body []byte) error {
	connection, err := amqp091.Dial(s.url)
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }() // the message is confirmed
	channel, err := connection.Channel()
	if err == nil {
		err = channel.Confirm(false)
	}
	if err != nil {
		return err
	}
	confirm, err := channel.PublishWithDeferredConfirm("amq.topic", "order.placed", true, false, amqp091.Publishing{
		MessageId: "order-" + bought.Order, ContentType: "application/json", DeliveryMode: amqp091.Persistent, Body: body,
	})
	if err != nil {
		return err
	}
	_, err = confirm.WaitContext(r.Context())
	return err
}

// ship fails at large orders until it is mended.
func (s *shop) ship(w http.ResponseWriter, r *http.Request) {
	body, ok := example.Payload(w, r)
	if !ok {
		return
	}
	var placed order
	if err := json.Unmarshal(body, &placed); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if placed.Total > 100 && !s.mended.Load() {
		fmt.Printf("worker: order %s is too heavy, attempt %s\n", placed.Order, r.Header.Get("Sluice-Attempt"))
		http.Error(w, "the lorry is broken", http.StatusServiceUnavailable)
		return
	}
	fmt.Printf("worker: order %s is shipped\n", placed.Order)
}

func (s *shop) mend(w http.ResponseWriter, _ *http.Request) {
	s.mended.Store(true)
	_, _ = fmt.Fprintln(w, "the lorry is mended")
}

func story(p example.Place) string {
	return fmt.Sprintf(`
The story, in another terminal:

  1. Buy something: the shop publishes the order, sluice takes it from the queue,
     and the worker ships it:
       curl -d '{"order": "a", "total": 20}' %[2]s/buy
  2. Buy something heavy: the worker fails at it, and after three attempts it is a
     dead letter, with what the worker has said:
       curl -d '{"order": "b", "total": 150}' %[2]s/buy
       %[1]s dlq list%[3]s
       %[1]s dlq show ID%[3]s
  3. Mend the worker, and replay the letter:
       curl -X POST %[2]s/mend
       %[1]s dlq replay --all%[3]s
  4. Check that every delivery is accounted for:
       %[1]s audit%[3]s
`, p.Sluice, p.Worker, p.Server)
}
