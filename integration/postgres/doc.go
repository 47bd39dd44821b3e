// Package postgres runs a real PostgreSQL for tests, which carry the build tag
// integration. It is Debian's; its data is the test's own.
package postgres
