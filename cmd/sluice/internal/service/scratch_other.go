//go:build !unix

package service

// owned has nothing to ask: temporary folders belong to their users there.
func owned(string) error { return nil }
