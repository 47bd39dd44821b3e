// Package server runs the processes of real servers for tests, which carry the
// build tag integration: it starts, stops, kills, pauses and starts them again,
// and shows what they have said when a test fails.
package server
