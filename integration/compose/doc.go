// Package compose tests the development stack of docker-compose.yml and the
// Dockerfile, without Docker: it loads the file as docker does, and runs each
// service's own command, environment and health check on this machine. It is a
// module of its own, so that the library which loads the file is no dependency
// of sluice.
package compose
