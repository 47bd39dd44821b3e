// Package kinesis runs a kinesalite for tests, which carry the build tag
// integration: a server that speaks the protocol of Amazon Kinesis Data Streams
// and keeps its streams in a folder. It is installed once by npm, and kept in
// the user's cache folder.
package kinesis
