package mqttconn

import (
	"bufio"
	"context"
	"net"
	"runtime"
	"slices"
	"testing"
)

// TestClose closes a connection while an acknowledgement is being written: what came
// meanwhile is written too, and the goodbye behind it.
func TestClose(t *testing.T) {
	near, far := net.Pipe() // a write ends when the other side has read it
	server, err := ParseURL("mqtt://127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(far)
	next := func() kind {
		f, err := readFrame(r, MaxPacket)
		if err != nil {
			t.Fatal(err)
		}
		return f.kind()
	}
	connected := make(chan *Conn)
	go func() {
		c, err := Connect(t.Context(), Options{
			Server: server, Version: V311, ClientID: "c",
			Dial: func(context.Context, string, string) (net.Conn, error) { return near, nil },
		})
		if err != nil {
			t.Error(err)
		}
		connected <- c
	}()
	next()
	if _, err := far.Write([]byte{byte(connack) << 4, 2, 0, 0}); err != nil {
		t.Fatal(err)
	}
	c := <-connected
	c.Acknowledge(&Message{QoS: 1, ID: 1})
	if _, err := r.Peek(1); err != nil { // it is being written
		t.Fatal(err)
	}
	c.Acknowledge(&Message{QoS: 1, ID: 2})
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		c.Close()
	}()
	for !c.isLeaving() {
		runtime.Gosched()
	}
	if got := []kind{next(), next(), next()}; !slices.Equal(got, []kind{puback, puback, goodbye}) {
		t.Errorf("written was %v", got)
	}
	_ = far.Close()
	<-closed
}
