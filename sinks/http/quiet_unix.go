//go:build unix

package http

import (
	"errors"
	"net"
	"syscall"
)

// A probe looks at an idle connection. It is made once for each, so that a
// look allocates nothing.
type probe struct {
	raw  syscall.RawConn
	look func(fd uintptr) bool
	err  error
}

func newProbe(c net.Conn) *probe {
	system, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := system.SyscallConn()
	if err != nil {
		return nil
	}
	p := &probe{raw: raw}
	one := make([]byte, 1)
	p.look = func(fd uintptr) bool {
		_, _, p.err = syscall.Recvfrom(int(fd), one, syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return true
	}
	return p
}

// quiet tells whether nothing has arrived on the connection: neither its end
// nor bytes that nobody has asked for. A request on a connection that is not
// quiet would be lost, or answered by what was meant for another.
func (p *probe) quiet() bool {
	if p == nil {
		return true
	}
	err := p.raw.Read(p.look)
	return err == nil && (errors.Is(p.err, syscall.EAGAIN) || errors.Is(p.err, syscall.EINTR))
}
