package functions

import (
	"bytes"
	"os"
	"sync"
	"time"
)

const (
	maxLine   = 256 << 10 // bytes of a line of a log; the rest is the next line
	maxTail   = 4 << 10   // bytes of a log that go with a result or a failed start
	readSize  = 32 << 10
	maxDrain  = 1 << 20 // bytes that are read after an answer, to belong to it
	afterLast = 100 * time.Millisecond
)

// An output reads what one worker writes, and makes lines of it. It holds one
// line and a tail, however much is written: a worker that writes faster than the
// observer takes waits, as it would for a slow terminal.
type output struct {
	pipe     *os.File
	deliver  func(Line)
	function string
	worker   string
	done     sync.WaitGroup

	mu        sync.Mutex
	line      []byte // what has come of a line that has not ended
	buffer    []byte
	requestID string
	tail      tail
	until     time.Time // when reading ends even if there is more
}

// A pipeState is what a read without waiting has found.
type pipeState int

const (
	hasMore pipeState = iota
	empty
	atEnd
)

// newOutput reads from pipe until it ends, or until end is called.
func newOutput(pipe *os.File, function, worker string, deliver func(Line)) *output {
	o := &output{pipe: pipe, deliver: deliver, function: function, worker: worker, buffer: make([]byte, readSize)}
	o.done.Go(o.read)
	return o
}

// read reads whenever there is something, and holds the lock from the reading
// to the delivery, so that drain knows of every byte that was read.
func (o *output) read() {
	conn, err := o.pipe.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Read(func(fd uintptr) (done bool) {
		for {
			switch o.takeLocked(fd) {
			case atEnd:
				return true
			case empty:
				return false
			case hasMore:
			}
		}
	})
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flush()
}

func (o *output) takeLocked(fd uintptr) pipeState {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.until.IsZero() && time.Now().After(o.until) {
		return atEnd
	}
	return o.take(fd)
}

// take reads what is there, up to about maxDrain bytes. The caller holds mu.
func (o *output) take(fd uintptr) pipeState {
	for limit := maxDrain; limit > 0; {
		n, state := readNow(fd, o.buffer)
		if state != hasMore {
			return state
		}
		limit -= n
		o.write(o.buffer[:n])
	}
	return hasMore
}

// drain takes what the worker has written until now.
func (o *output) drain() {
	conn, err := o.pipe.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Control(func(fd uintptr) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.take(fd)
	})
}

// begin says that what comes now belongs to an invocation, and starts its tail.
func (o *output) begin(requestID string) {
	o.drain()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flush()
	o.requestID = requestID
	o.tail.reset()
}

// finish ends what begin has begun, and returns the tail.
func (o *output) finish(requestID string, platform ...string) []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flush()
	for _, text := range platform {
		o.send(requestID, text, true)
	}
	o.requestID = ""
	return o.tail.bytes()
}

// platform delivers a line of sluice's own.
func (o *output) platform(requestID, text string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flush()
	o.send(requestID, text, true)
}

// last returns the tail.
func (o *output) last() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.tail.bytes()
}

// end takes what is left when the worker has ended, and stops reading even if
// something else still has the pipe.
func (o *output) end() {
	until := time.Now().Add(afterLast)
	o.mu.Lock()
	o.until = until
	o.mu.Unlock()
	_ = o.pipe.SetReadDeadline(until) // a pipe has deadlines wherever there are workers
	o.done.Wait()
	_ = o.pipe.Close()
}

// write splits what was read into lines. The caller holds mu.
func (o *output) write(p []byte) {
	for len(p) > 0 {
		text, rest, ended := bytes.Cut(p, []byte{'\n'})
		if room := maxLine - len(o.line); len(text) > room {
			text, rest, ended = p[:room], p[room:], true
		}
		o.line = append(o.line, text...)
		p = rest
		if ended {
			o.deliverLine()
		}
	}
}

// flush delivers a line that has not ended. The caller holds mu.
func (o *output) flush() {
	if len(o.line) > 0 {
		o.deliverLine()
	}
}

func (o *output) deliverLine() {
	o.send(o.requestID, string(bytes.TrimSuffix(o.line, []byte{'\r'})), false)
	if o.line = o.line[:0]; cap(o.line) > readSize {
		o.line = nil
	}
}

func (o *output) send(requestID, text string, platform bool) {
	o.tail.write(text)
	o.deliver(Line{Function: o.function, RequestID: requestID, Worker: o.worker, Time: time.Now(), Platform: platform, Text: text})
}

// A tail keeps the last bytes of what was written to it.
type tail struct{ kept []byte }

func (t *tail) write(line string) {
	if len(line) >= maxTail {
		line = line[len(line)-maxTail+1:]
	}
	t.kept = append(append(t.kept, line...), '\n')
	if over := len(t.kept) - maxTail; over > maxTail { // not at each line
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
}

func (t *tail) bytes() []byte {
	return bytes.Clone(t.kept[max(0, len(t.kept)-maxTail):])
}

func (t *tail) reset() { t.kept = t.kept[:0] }
