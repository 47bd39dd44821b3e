// Package s3 is the source of objects that are created, changed or removed in a
// bucket: of MinIO, AWS S3, or any other server that speaks S3.
//
// # Three ways of seeing
//
// Where the server has MinIO's listen API, a stream of notifications makes an
// upload or a removal an event at once. Beside it runs a listing that is compared
// with what is known: at the start, at the interval, and as soon as the stream is
// open (again). The listing finds what nobody has told: what was uploaded or
// removed while sluice, the network or the server was away, what the server
// dropped because it was busy, and everything on servers without the listen API.
//
// Some MinIO releases (from the end of 2025 on) have the listen API but hold
// notifications back until several have come together. That is noticed by the
// missing pings; the source then lists every second, or more slowly when a
// listing takes more than a twentieth of that time, and tries the stream again
// every minute.
//
// Notifications that S3 or MinIO push to the ingest listener are hints: the
// bucket is asked for the key, because such notifications come late, twice and
// in any order, and do not say all that a listing does.
//
// All ways build the event from the same description (key, size, etag,
// version, modification time in milliseconds, and the details if they are wanted),
// so that they agree to the byte, and ask the same memory whether it is new.
//
// # Identity and memory
//
// An object is identified by bucket, key and version id; without a version by
// bucket, key, etag and modification time. Each key holds one object per version,
// and one without; see [slot]. What each slot holds is known, sorted by key, and
// every way of seeing is a comparison with that: what differs is an upload, and
// what is missing where all of a key was shown is a removal. Nothing is compared
// by age: late notifications, stepped clocks, restored and replicated objects are
// found alike.
//
// The knowledge survives restarts in cursors, see [catalog], and is merged with
// the listing page by page, so that a bucket of a million objects takes a few
// megabytes of memory. That needs listings in the order of keys: one that is not
// is refused.
//
// A listing is read ahead of being compared, and a notification may come after
// what it tells was overwritten. What was found changed while a listing is under
// way is left out of it, and the last uploads that were published are known by
// their identity too.
//
// # What is old
//
// With backfill, everything in the bucket becomes an event. Without it, the
// first listing only fills the catalog; but what is modified at or after the
// moment at which the source first started is an event, so that no upload is
// lost before or during the first listing. That moment is stored at once and
// brought to the server's clock at the first answer; as a server tells its
// clock in full seconds, what was uploaded up to a second before may become an
// event too. When bucket, prefix or suffix change, the same holds with the
// moment of the last listing.
//
// # Limits
//
// Without versioning, an object that is overwritten before anybody saw it is
// gone: of several uploads to one key while sluice was away, the last is an
// event; and a removal that an upload to the same key follows at once is none.
// Events of one key follow each other by version as far as the server tells them
// in order.
package s3
