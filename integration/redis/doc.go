// Package redis runs a real Redis for tests, which carry the build tag
// integration, and tests what speaks to it against that.
package redis
