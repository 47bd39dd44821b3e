// Package rabbitmq runs a real RabbitMQ for tests, which carry the build tag
// integration: a node of its own on free ports, with its own data folder, of
// Debian's package. Its tests are those of the amqp source and sink.
package rabbitmq
