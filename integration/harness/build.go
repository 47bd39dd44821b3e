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
	dir   string
	race  bool
	build func() error
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
	return filepath.Join(p.dir, "sluice")
}

// Remove deletes the program.
func (p *Program) Remove() error { return os.RemoveAll(p.dir) }

func (p *Program) compile() error {
	dir, err := os.MkdirTemp("", "sluice-program-")
	if err != nil {
		return err
	}
	p.dir = dir
	args := []string{"build", "-o", filepath.Join(dir, "sluice")}
	if p.race {
		args = append(args, "-race")
	}
	command := exec.CommandContext(context.Background(), "go", append(args, "sluice/cmd/sluice")...)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("go %v: %w\n%s", args, err, output)
	}
	return nil
}
