// Package natscluster runs NATS servers with JetStream as processes of their
// own, on loopback, that can be killed and started again.
package natscluster
