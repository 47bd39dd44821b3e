// Package s3 is the source of objects that are created or changed in a bucket:
// of MinIO, AWS S3, or any other server that speaks S3.
//
// # Three ways of seeing
//
// Where the server has MinIO's listen API, a stream of notifications makes an
// upload an event at once. Beside it runs a listing that is compared with what
// is known: at the start, at the interval, and as soon as the stream is open
// (again). The listing finds what nobody has told: what was uploaded while
// sluice, the network or the server was away, what the server dropped because
// it was busy, and everything on servers without the listen API.
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
// version, modification time in milliseconds), so that they agree to the byte,
// and ask the same memory whether it is new.
//
// # Identity and memory
//
// An object is identified by bucket, key and version id; without a version by
// bucket, key, etag and modification time. The memory is the set of the
// identities (128-bit hashes) of everything in the bucket that is already an
// event or was there before. Nothing is compared by age: late notifications,
// stepped clocks, restored and replicated objects are found alike. A complete
// listing drops from the set what is gone.
//
// The set survives restarts in cursors, see [memory]: 16 bytes an object in the
// store, 20 to 30 bytes in the process. 100,000 objects take 1.6 MB stored; two
// million below one prefix are the limit.
//
// # What is old
//
// With backfill, everything in the bucket becomes an event. Without it, the
// first listing only fills the memory; but what is modified at or after the
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
// event. Events of one key follow each other by version as far as the server
// tells them in order. Removals are not events yet.
package s3
