package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// cases answers each line of a file, or of standard input for "-", with a line
// of JSON, in order and at once.
func (a *app) cases(path string, answer func(line []byte) any) error {
	if path == "-" {
		return answerLines(a.stdin, a.stdout, answer)
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return exitWithf(exitNotFound, "there is no file %q", path)
	}
	if err != nil {
		return err
	}
	return errors.Join(answerLines(file, a.stdout, answer), file.Close())
}

func answerLines(input io.Reader, output io.Writer, answer func(line []byte) any) error {
	lines := bufio.NewReaderSize(input, 64<<10)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			if err := writeLine(output, answer(line)); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("reading the cases: %w", err)
		}
	}
}

// writeLine writes v as one line of JSON, at once.
func writeLine(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("writing an answer: %w", err)
	}
	return nil
}
