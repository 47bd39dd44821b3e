// Package kafka is the source that publishes the records of Kafka topics.
//
// Each partition has a worker of its own, which publishes what was fetched in
// its order, in batches, together with the cursor of the partition: the offset
// of the record to read next. So a record is published exactly once, whatever
// is killed and whoever else believes to read the partition. Members of a
// consumer group share the partitions; cursors fence what the group does not.
//
// A session is one life of the client. What changes the ground under it, such
// as a topic that was created again or records that are gone, ends the session,
// and the next one begins at the cursors: there is one place that decides where
// a partition is read from.
package kafka
