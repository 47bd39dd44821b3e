// Package postgres is the source of changes to the tables of a PostgreSQL
// database: logical replication by pgoutput.
//
// The server sends whole transactions in the order of their commits (protocol
// version 1): a large one it decodes first, and spills to its own disk, so that
// nothing has to be kept here until it is known whether it commits. What is read
// becomes events in batches, which are published together with a cursor that may
// be in the middle of a transaction. The server sends that transaction again
// after a restart, and what was published of it is left out. The server is told of
// a position only when everything before it is durable.
package postgres
