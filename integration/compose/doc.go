// Package compose tests the development stack of docker-compose.yml and the
// Dockerfile, without Docker: it loads the file as docker does, and runs each
// service's own command, environment and health check on this machine. In place of
// the images of RabbitMQ, PostgreSQL and Kafka it has the fixtures of other tests,
// with what the file says of them. It is a module of its own, so that the library
// which loads the file is no dependency of sluice.
package compose
