package bus

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"sluice/event"
)

// Blocks are the files that the embedded server keeps a stream in, N.blk with
// rising numbers. The server syncs what it writes into them, and not their names:
// most file systems keep the name of a file that is synced, and POSIX does not
// promise it. So a block's name is synced before anything is acknowledged that is
// in it.
type blocks struct {
	folder string // of the stream

	mu   sync.Mutex
	next int // all below have a name that is durable
}

func newBlocks(dir, stream string) *blocks { return &blocks{folder: streamFolder(dir, stream)} }

func (b *blocks) messages() string { return filepath.Join(b.folder, "msgs") }

// open takes note of the blocks that are there, whose names are durable.
func (b *blocks) open() error {
	entries, err := os.ReadDir(b.messages())
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, entry := range entries {
		name, found := strings.CutSuffix(entry.Name(), ".blk")
		if n, err := strconv.Atoi(name); found && err == nil {
			b.next = max(b.next, n+1)
		}
	}
	return nil
}

// settle is to be called between the server's acknowledgement and ours. On a
// cluster, which has no blocks here, there is nothing to do.
func (b *blocks) settle() error {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	next := b.next
	for b.exists(next) {
		next++
	}
	if next == b.next {
		return nil
	}
	// A purge of everything puts another folder in the place of that of the blocks.
	if err := errors.Join(syncFolder(b.messages()), syncFolder(b.folder)); err != nil {
		return fmt.Errorf("%w: a new block of the log: %w", event.ErrUnavailable, err)
	}
	b.next = next
	return nil
}

func (b *blocks) exists(n int) bool {
	_, err := os.Stat(filepath.Join(b.messages(), strconv.Itoa(n)+".blk"))
	return err == nil
}

// syncFolders makes the names of all folders below dir durable, and its own.
func syncFolders(dir string) error {
	return errors.Join(syncFolder(filepath.Dir(dir)), filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // the server has removed it
			return nil
		}
		if err != nil || !entry.IsDir() {
			return err
		}
		return syncFolder(path)
	}))
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) { // it is not there any more, or not ours to keep
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
