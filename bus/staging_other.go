//go:build !linux

package bus

// memoryFolder returns nothing: there is no file system in memory that every
// installation has.
func memoryFolder() string { return "" }

func isPrivate(string) bool { return false }
