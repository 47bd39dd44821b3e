package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"os"
	"sync"
	"time"

	"sluice/connect/mqttconn"
)

// interval is how often a sensor measures.
const interval = 2 * time.Second

// A sensor publishes what it measures, to a topic of its own.
type sensor struct {
	name string
	// usual is about what it measures, in degrees Celsius, and swing how far it goes
	// from there.
	usual, swing float64

	conn *mqttconn.Conn
}

// measure has the sensors measure until ctx ends.
func measure(ctx context.Context, address string) {
	var all sync.WaitGroup
	for _, s := range []*sensor{
		{name: "boiler", usual: 70, swing: 15},
		{name: "cellar", usual: 12, swing: 1},
		{name: "kitchen", usual: 21, swing: 3},
	} {
		all.Go(func() { s.run(ctx, address) })
	}
	all.Wait()
}

// run publishes a reading every interval until ctx ends. As with a real sensor, one
// that does not get through is lost, and the next one comes.
func (s *sensor) run(ctx context.Context, address string) {
	defer s.close()
	ticks := time.NewTicker(interval)
	defer ticks.Stop()
	for n := 0; ; n++ {
		celsius := s.usual + s.swing*math.Sin(float64(n)*math.Pi/5)
		if err := s.publish(ctx, address, math.Round(celsius*10)/10); err != nil && ctx.Err() == nil {
			fmt.Fprintf(os.Stderr, "sensor %s: %v\n", s.name, err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
	}
}

// publish publishes a reading with QoS 1, and returns nil when the broker has it.
func (s *sensor) publish(ctx context.Context, address string, celsius float64) error {
	payload, err := json.Marshal(map[string]float64{"celsius": celsius})
	if err == nil {
		err = s.connect(ctx, address)
	}
	if err != nil {
		return err
	}
	return s.conn.Publish(ctx, &mqttconn.Message{Topic: "sensors/" + s.name + "/temperature", Payload: payload, QoS: 1})
}

// connect connects when it has to. MQTT 3.1.1 is what every broker speaks.
func (s *sensor) connect(ctx context.Context, address string) error {
	if s.conn != nil && s.conn.Err() == nil {
		return nil
	}
	s.close()
	var err error
	s.conn, err = mqttconn.Connect(ctx, mqttconn.Options{
		Server: &url.URL{Scheme: "mqtt", Host: address}, Version: mqttconn.V311, ClientID: "sensor-" + s.name, CleanStart: true,
	})
	return err
}

func (s *sensor) close() {
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
}
