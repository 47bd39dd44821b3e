// Package kafka is the sink that produces each delivery as a record of a Kafka
// topic.
//
// One idempotent producer serves all deliveries. A delivery is done when all
// in-sync replicas have its record. A delivery that ends before that is taken
// back: the producer goes on under another epoch, so that the brokers refuse what
// they get late, and the next attempt cannot be overtaken by it.
package kafka
