// Package redis is the source of what is added to streams, and pushed to a list,
// of Redis.
//
// # Streams
//
// Without a group the source reads a stream by XREAD, and keeps where it is in a
// cursor that is stored together with the events: no kill doubles or loses
// anything.
//
// With a group it is one of the group's consumers: entries are shared out among
// them, and acknowledged (XACK) when their events are durable. At the start, and
// after each broken connection, it first takes what was given to it before; then,
// again and again, what a dead consumer has left for too long.
//
// # Lists
//
// An item is moved (LMOVE) to a list of the source's own, and taken away from
// there when its event is durable. What is left there is taken first.
//
// An item has no identity. It is given one by its place among all that were ever
// taken: how many were taken away, which is counted in the same transaction as
// the taking away, and its place in the source's own list. So an item that is
// found again after a kill has the same id as before. The count has an
// incarnation, and the id a hash of the item: what is taken after the count was
// lost is not confused with what was taken before.
package redis
