//go:build integration

package harness

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// A Program is the built sluice.
type Program struct {
	path  string
	dir   string // to be removed; empty when somebody else has built it
	race  bool
	build func() error
}

// Built returns a program that somebody else has built.
func Built(path string) *Program {
	return &Program{path: path, build: func() error { return nil }}
}

// NewProgram returns a program that is built when it is first needed, with the
// race detector when race is set. Remove deletes it.
func NewProgram(race bool) *Program {
	p := &Program{race: race}
	p.build = sync.OnceValue(p.compile)
	return p
}

// Path returns the path of the program, and builds it first where that has not
// been done.
func (p *Program) Path(tb testing.TB) string {
	tb.Helper()
	if err := p.build(); err != nil {
		tb.Fatal(err)
	}
	return p.path
}

// Remove deletes the program.
func (p *Program) Remove() error {
	if p.dir == "" {
		return nil
	}
	return os.RemoveAll(p.dir)
}

func (p *Program) compile() error {
	dir, err := os.MkdirTemp("", "sluice-program-")
	if err != nil {
		return err
	}
	p.dir, p.path = dir, filepath.Join(dir, "sluice")
	args := []string{"build", "-o", p.path}
	if p.race {
		args = append(args, "-race")
	}
	command := exec.CommandContext(context.Background(), "go", append(args, "sluice/cmd/sluice")...)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("go %v: %w\n%s", args, err, output)
	}
	return nil
}
