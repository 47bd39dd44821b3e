// Package s3source tests the s3 source against a real MinIO.
package s3source
