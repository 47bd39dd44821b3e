// Package powercut is a file system that forgets. What was not synced when the
// power is cut is lost, or partly there: a random part of the writes, torn and in
// another order, and of the names that were made, moved and removed. It shows
// that what sluice has accepted survives that, with the real program and the real
// server on it. It is a module of its own, so that the library which makes file
// systems is no dependency of sluice.
//
// It needs Linux, root and /dev/fuse.
package powercut
