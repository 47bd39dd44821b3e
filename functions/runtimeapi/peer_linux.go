package runtimeapi

import (
	"encoding/binary"
	"net"
	"syscall"
)

// The states of a connection in tcp_info.
const (
	tcpEstablished = 1
	tcpClose       = 7
)

// tcpState asks the kernel for the state of a connection; 0 when it cannot be told.
func tcpState(c net.Conn) (state byte) {
	system, ok := c.(syscall.Conn)
	if !ok {
		return 0
	}
	raw, err := system.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) { // without an answer the state stays 0
		first, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_INFO)
		if err == nil {
			state = binary.NativeEndian.AppendUint32(nil, uint32(first))[0]
		}
	})
	return state
}

// left reports whether the peer has closed its end.
func left(c net.Conn) bool {
	state := tcpState(c)
	return state != 0 && state != tcpEstablished
}

// unread reports whether the peer has refused what was written, because it had closed its end before. What it closes after it has
// read everything is not that. Between two sockets of one machine this is known when the write returns.
func unread(c net.Conn) bool { return tcpState(c) == tcpClose }
