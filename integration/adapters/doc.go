// Package adapters runs sources and sinks in the real program, for the suites and
// benchmarks of those that meet real servers. It carries the build tag integration.
package adapters
