// Package minio runs a real MinIO for tests, which carry the build tag
// integration. The server is built once from its own module, outside of this
// one's dependencies, and kept in the user's cache folder.
package minio
