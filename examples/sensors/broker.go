package main

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// startBroker starts the MQTT broker that nats-server has in it, as an installation
// would have one elsewhere. It keeps sessions and their messages in the folder. It
// is not sluice's bus, which is embedded there.
func startBroker(address, folder string) (stop func(), err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return nil, fmt.Errorf("the port of %q: %w", address, err)
	}
	s, err := server.NewServer(&server.Options{
		ServerName: "sensors", Host: host, Port: server.RANDOM_PORT, NoLog: true, NoSigs: true,
		JetStream: true, StoreDir: filepath.Join(folder, "mqtt"), JetStreamMaxStore: 64 << 20,
		MQTT: server.MQTTOpts{Host: host, Port: port},
	})
	if err != nil {
		return nil, fmt.Errorf("the broker: %w", err)
	}
	s.Start()
	stop = func() { s.Shutdown(); s.WaitForShutdown() }
	if !s.ReadyForConnections(10 * time.Second) {
		stop()
		return nil, errors.New("the broker does not start at " + address + " (WORKER_PORT names another port)")
	}
	return stop, nil
}
