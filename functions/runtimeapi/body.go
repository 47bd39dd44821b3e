package runtimeapi

import (
	"errors"
	"io"
	"net/http"
)

// blockSize is by how much a body of unknown length is read.
const blockSize = 64 << 10

// read reads a body up to the limit. Its errors are ErrTooLarge, and an *Error that it was cut off.
func (s *Server) read(r *http.Request) ([]byte, error) {
	limit := s.options.MaxResponse
	if r.ContentLength > limit {
		return nil, &TooLargeError{Max: limit}
	}
	var body []byte
	var err error
	if r.ContentLength >= 0 {
		body = make([]byte, r.ContentLength)
		_, err = io.ReadFull(r.Body, body)
	} else {
		body, err = s.readBlocks(io.LimitReader(r.Body, limit+1))
	}
	switch {
	case err != nil:
		return nil, &Error{Type: "Runtime.TruncatedResponse", Message: "the worker's request has ended early: " + err.Error()}
	case int64(len(body)) > limit:
		return nil, &TooLargeError{Max: limit}
	}
	return body, nil
}

// readBlocks reads to the end. Blocks are kept for the next body, so that one of 5 MiB does not leave twice as much to collect.
func (s *Server) readBlocks(r io.Reader) ([]byte, error) {
	var blocks []*[blockSize]byte
	defer func() {
		for _, block := range blocks {
			s.blocks.Put(block)
		}
	}()
	size := 0
	for {
		block := s.block()
		blocks = append(blocks, block)
		n, err := fill(r, block[:])
		size += n
		switch {
		case errors.Is(err, io.EOF):
			return join(blocks, size), nil
		case err != nil:
			return nil, err
		}
	}
}

func (s *Server) block() *[blockSize]byte {
	if block, ok := s.blocks.Get().(*[blockSize]byte); ok {
		return block
	}
	return new([blockSize]byte)
}

// fill reads until the block is full. Unlike io.ReadFull it tells an end from a body that was cut off.
func fill(r io.Reader, block []byte) (n int, err error) {
	for n < len(block) && err == nil {
		var m int
		m, err = r.Read(block[n:])
		n += m
	}
	return n, err
}

func join(blocks []*[blockSize]byte, size int) []byte {
	body := make([]byte, 0, size)
	for _, block := range blocks {
		body = append(body, block[:min(blockSize, size-len(body))]...)
	}
	return body
}
