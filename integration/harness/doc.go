// Package harness runs the real sluice as a process for tests: it builds the
// program once, starts it on a folder and free ports of its own, kills it,
// starts it again, loads it with events and receives its deliveries. Its files
// carry the build tag integration.
package harness
