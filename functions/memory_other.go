//go:build !linux

package functions

// PeakMemory is for launchers whose processes are seen on this machine. On this
// system none are.
func PeakMemory(int) int64 { return 0 }
