//go:build unix

package http

import (
	"net"
	"syscall"
)

// quiet tells whether nothing has arrived on an idle connection: neither its
// end nor bytes that nobody has asked for. A request on a connection that is
// not quiet would be lost, or answered by what was meant for another.
func quiet(c net.Conn) bool {
	system, ok := c.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := system.SyscallConn()
	if err != nil {
		return false
	}
	var peek error
	err = raw.Read(func(fd uintptr) bool {
		var one [1]byte
		_, _, peek = syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return true
	})
	return err == nil && (peek == syscall.EAGAIN || peek == syscall.EINTR)
}
