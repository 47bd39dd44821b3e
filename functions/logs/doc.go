// Package logs keeps what functions write, and counts what they use.
//
// # Lines
//
// A Store is the observer of pools: it takes their lines without ever blocking
// them, and writes them from a goroutine of its own. Who writes faster than that
// loses lines, and a line says how many; others are not harmed. Each function has
// a folder of segments, files of JSON lines, the oldest of which go when they are
// too old or together too large.
//
// A write that fails, because the disk is full or for another reason, loses its
// lines too, which are counted in the same way as soon as there is room. Lines
// that were written are there after a kill of the process; what was written in
// the last moments may be lost with the machine, since a log is not worth a sync
// of its own. A line that was torn is skipped by readers.
//
// # Usage
//
// Requests, errors and billed time are summed up by day, in UTC, and function.
// The sums are written once a second, each day as a whole file that takes the
// place of the one before (synced first): a kill loses the sums of the last
// second at most.
package logs
