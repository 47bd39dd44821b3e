package mqttconn

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// read takes what the server sends until the connection breaks.
func (c *Conn) read(ctx context.Context) error {
	for {
		f, err := readFrame(c.reader, c.options.MaxPacket)
		c.heard.Store(time.Now().UnixNano())
		switch {
		case err != nil && c.isLeaving():
			return ErrClosed
		case errors.Is(err, io.EOF):
			return errors.New("the server has closed the connection")
		case err != nil:
			return fmt.Errorf("reading: %w", err)
		}
		p, err := decode(c.codec, f)
		if err == nil {
			err = c.take(ctx, &p)
		}
		if err != nil {
			return err
		}
	}
}

func (c *Conn) take(ctx context.Context, p *packet) error {
	switch p.kind {
	case publish:
		if c.options.Take == nil {
			return fmt.Errorf("%w: a message for a client that has not subscribed", errMalformed)
		}
		c.give(func() { c.options.Take(ctx, p.message) })
	case pubrel:
		if c.options.Release == nil {
			return fmt.Errorf("%w: PUBREL for a client that has not subscribed", errMalformed)
		}
		c.give(func() { c.options.Release(ctx, p.id) })
	case pubrec:
		if p.reason < Unspecified {
			c.reply(pubrel, p.id)
			return nil
		}
		return c.answered(p, pubcomp) // refused, and over
	case puback, pubcomp, suback, unsuback:
		return c.answered(p, p.kind)
	case goodbye:
		return fmt.Errorf("%w: %w", errEnded, &ReasonError{Code: max(p.reason, Unspecified), Text: p.text})
	case pingresp:
	default:
		return fmt.Errorf("%w: a second CONNACK", errMalformed)
	}
	return nil
}

// give lets somebody take something. Until they have, the server's silence means
// nothing.
func (c *Conn) give(take func()) {
	if c.isLeaving() {
		return // it comes again
	}
	c.taking.Store(true)
	take()
	c.heard.Store(time.Now().UnixNano())
	c.taking.Store(false)
}

// answered gives an answer to whoever waits for it.
func (c *Conn) answered(p *packet, want kind) error {
	c.mu.Lock()
	x := c.waiting[p.id]
	c.mu.Unlock()
	if x == nil || x.want != want {
		return fmt.Errorf("%w: an answer of type %d to nothing", errMalformed, p.kind)
	}
	c.settle(p.id).answer <- *p
	return nil
}

// write sends what is to be sent until the connection breaks, or the last packet
// is through: then the server closes the connection.
func (c *Conn) write() error {
	w := bufio.NewWriterSize(c.raw, bufferSize)
	tick := time.NewTicker(max(c.alive/2, time.Second/2))
	defer tick.Stop()
	for {
		var err error
		select {
		case <-c.broken:
			return nil
		case data := <-c.publishes:
			err = c.send(w, data)
		case <-c.signal:
			err = c.send(w, nil)
		case <-tick.C:
			err = c.ping(w)
		}
		if err != nil || c.hasLeft() {
			return err
		}
	}
}

func (c *Conn) isLeaving() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leaving
}

// hasLeft tells whether the last packet is written. One that was put into control
// while another was being written is not yet.
func (c *Conn) hasLeft() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leaving && c.control.Len() == 0
}

// send writes a packet, and what waits beside it.
func (c *Conn) send(w *bufio.Writer, data []byte) error {
	if err := c.raw.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	_, err := w.Write(data)
	for more := true; more && err == nil; {
		select {
		case data = <-c.publishes:
			_, err = w.Write(data)
		default:
			more = false
		}
	}
	c.mu.Lock()
	control := bytes.Clone(c.control.Bytes())
	c.control.Reset()
	c.mu.Unlock()
	if err == nil {
		_, err = w.Write(control)
	}
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	return nil
}

// ping asks for a sign of life, and ends the connection when there was none.
func (c *Conn) ping(w *bufio.Writer) error {
	silent := time.Since(time.Unix(0, c.heard.Load()))
	if silent > c.alive*3/2 && !c.taking.Load() {
		return errSilent
	}
	var b bytes.Buffer
	if err := c.codec.ping(&b); err != nil {
		return err
	}
	return c.send(w, b.Bytes())
}
