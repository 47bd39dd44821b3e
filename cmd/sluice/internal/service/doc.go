// Package service builds everything that a configuration asks for, runs it, and
// stops it in the reverse order.
//
// What runs is started in layers: admin listener, replays, router, janitor,
// sources, ingest. Stopping goes the other way: the ingest listener takes no
// more requests and finishes those under way, the sources end, the router
// finishes its attempts within its deadline, replays stop between two batches,
// and the bus closes last. Each layer is waited for, for a bounded time.
package service
