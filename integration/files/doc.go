// Package files meets the adapters of files, and of objects that are like files,
// with the real program and a real MinIO.
package files
