// Package kafka runs franz-go's kfake, a Kafka broker in Go, as a process of its
// own, for tests that stop, kill and pause it. It carries the build tag
// integration.
package kafka
