// Command sensors shows readings of sensors that come over MQTT: one that is too
// high runs a function.
//
//	go run ./examples/sensors                      all of it
//	go run ./examples/sensors reading boiler 99.5  one reading more
//
// It builds sluice, runs a broker and the sensors in this process, and "sluice dev"
// on sluice.yaml beside this file, and says what to type next. With WORKER_HOST the
// broker is another one: see README.md.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"time"

	"sluice/examples/internal/example"
)

// within is how long one reading may take to be at the broker.
const within = 10 * time.Second

func main() {
	e := &example.Example{Name: "sensors", Run: run, Story: story}
	if len(os.Args) < 2 || os.Args[1] != "reading" {
		e.Main()
		return
	}
	if err := one(e.Address(), os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "sensors:", err)
		os.Exit(1)
	}
}

// one publishes the reading that the arguments tell.
func one(address string, args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("reading: found %d words: name a sensor and its temperature, such as: reading boiler 99.5", len(args))
	}
	celsius, err := strconv.ParseFloat(args[1], 64)
	if err != nil {
		return fmt.Errorf("reading: %q is no temperature: write a number, such as 99.5", args[1])
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	s := &sensor{name: args[0]}
	defer s.close()
	return s.publish(ctx, address, celsius)
}

// run runs the broker, unless there is another one, and the sensors until ctx ends.
func run(ctx context.Context, address, folder string, ready func()) error {
	if os.Getenv("WORKER_HOST") == "" {
		stop, err := startBroker(address, folder)
		if err != nil {
			return err
		}
		defer stop()
	}
	ready()
	measure(ctx, address)
	return nil
}

func story(p example.Place) string {
	return fmt.Sprintf(`
An MQTT broker is at %[1]s. Three sensors measure every two seconds: in
the kitchen and in the cellar it is never hot, at the boiler now and then, which runs
the function "alarm". In another terminal:

  1. A reading that is too high, of a sensor that was not there before:
       go run ./examples/sensors reading attic 99.5
  2. What the function has printed:
       %[2]s logs alarm%[3]s
  3. Check that every reading is accounted for:
       %[2]s audit%[3]s
`, "mqtt"+p.Worker[len("http"):], p.Sluice, p.Server)
}
