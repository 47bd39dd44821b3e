//go:build linux

package powercut

import (
	"context"
	"fmt"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

const (
	kindFile = syscall.S_IFREG
	kindDir  = syscall.S_IFDIR
	kindLink = syscall.S_IFLNK
)

// Mount shows the disk at an empty folder until unmount is called. It says what
// is missing where that cannot be done.
func (d *Disk) Mount(dir string) (unmount func() error, err error) {
	root := &node{disk: d, inode: d.root}
	server, err := fs.Mount(dir, root, &fs.Options{MountOptions: fuse.MountOptions{
		FsName: "powercut", Name: "powercut", DirectMountStrict: true, MaxWrite: 512 << 10, DisableXAttrs: true,
	}})
	if err != nil {
		return nil, fmt.Errorf("a file system for tests needs Linux with /dev/fuse, and root: %w", err)
	}
	return func() error {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", dir, err)
		}
		server.Wait()
		return nil
	}, nil
}

// A node is what the kernel knows of an inode.
type node struct {
	fs.Inode
	disk  *Disk
	inode *inode
}

// A handle is an open file.
type handle struct{ sync bool }

// child returns the node of an inode that this one has.
func (n *node) child(ctx context.Context, i *inode, out *fuse.EntryOut) *fs.Inode {
	fill(i, &out.Attr)
	return n.NewInode(ctx, &node{disk: n.disk, inode: i}, fs.StableAttr{Mode: i.kind, Ino: i.number})
}

func fill(i *inode, out *fuse.Attr) {
	out.Ino, out.Mode, out.Nlink, out.Size, out.Blksize = i.number, i.kind|0o700, 1, uint64(len(i.data)), block
	out.Blocks = (out.Size + 511) / 512
}

// enter takes the disk, unless the power has gone; then leave is to be called.
func (n *node) enter() syscall.Errno {
	n.disk.mu.Lock()
	if n.disk.off {
		n.disk.mu.Unlock()
		return syscall.EIO
	}
	return fs.OK
}

func (n *node) leave() { n.disk.mu.Unlock() }

// Lookup finds a name in a folder.
func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if errno := n.enter(); errno != fs.OK {
		return nil, errno
	}
	defer n.leave()
	i, found := n.inode.entries[name]
	if !found {
		return nil, syscall.ENOENT
	}
	return n.child(ctx, i, out), fs.OK
}

// Readdir lists a folder.
func (n *node) Readdir(context.Context) (fs.DirStream, syscall.Errno) {
	if errno := n.enter(); errno != fs.OK {
		return nil, errno
	}
	defer n.leave()
	var list []fuse.DirEntry
	for _, name := range sorted(n.inode.entries) {
		i := n.inode.entries[name]
		list = append(list, fuse.DirEntry{Name: name, Mode: i.kind, Ino: i.number})
	}
	return fs.NewListDirStream(list), fs.OK
}

// Getattr says what an inode is.
func (n *node) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	if errno := n.enter(); errno != fs.OK {
		return errno
	}
	defer n.leave()
	fill(n.inode, &out.Attr)
	return fs.OK
}

// Setattr changes the size of a file. Modes and times are not kept.
func (n *node) Setattr(_ context.Context, h fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if errno := n.enter(); errno != fs.OK {
		return errno
	}
	defer n.leave()
	if size, ok := in.GetSize(); ok {
		n.disk.write(n.inode, write{at: int(size)}, synced(h))
	}
	fill(n.inode, &out.Attr)
	return fs.OK
}

func synced(h fs.FileHandle) bool {
	open, ok := h.(*handle)
	return ok && open.sync
}

// Statfs says that there is room.
func (n *node) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	out.Bsize, out.Frsize, out.NameLen = block, block, 255
	out.Blocks, out.Bfree, out.Bavail = 1<<24, 1<<24, 1<<24
	return fs.OK
}

// Open opens a file.
func (n *node) Open(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if errno := n.enter(); errno != fs.OK {
		return nil, 0, errno
	}
	defer n.leave()
	h := opened(flags)
	if flags&syscall.O_TRUNC != 0 {
		n.disk.write(n.inode, write{}, h.sync)
	}
	return h, fuse.FOPEN_DIRECT_IO, fs.OK
}

func opened(flags uint32) *handle { return &handle{sync: flags&(syscall.O_SYNC|syscall.O_DSYNC) != 0} }

// Create makes a file.
func (n *node) Create(ctx context.Context, name string, flags, _ uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	made, errno := n.make(ctx, name, kindFile, nil, out)
	return made, opened(flags), fuse.FOPEN_DIRECT_IO, errno
}

// Mkdir makes a folder.
func (n *node) Mkdir(ctx context.Context, name string, _ uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return n.make(ctx, name, kindDir, nil, out)
}

// Symlink makes a link. Where it points is durable with its name.
func (n *node) Symlink(ctx context.Context, target, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return n.make(ctx, name, kindLink, []byte(target), out)
}

func (n *node) make(ctx context.Context, name string, kind uint32, data []byte, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if errno := n.enter(); errno != fs.OK {
		return nil, errno
	}
	defer n.leave()
	if _, found := n.inode.entries[name]; found {
		return nil, syscall.EEXIST
	}
	i := n.disk.inode(n.inode, kind)
	i.data, i.durable = data, data
	n.disk.change(&change{inode: i, to: &place{n.inode, name}})
	return n.child(ctx, i, out), fs.OK
}

// Readlink says where a link points.
func (n *node) Readlink(context.Context) ([]byte, syscall.Errno) { return n.inode.data, fs.OK }

// Unlink removes a file, and Rmdir an empty folder.
func (n *node) Unlink(_ context.Context, name string) syscall.Errno { return n.remove(name) }

// Rmdir removes an empty folder.
func (n *node) Rmdir(_ context.Context, name string) syscall.Errno { return n.remove(name) }

func (n *node) remove(name string) syscall.Errno {
	if errno := n.enter(); errno != fs.OK {
		return errno
	}
	defer n.leave()
	i, found := n.inode.entries[name]
	switch {
	case !found:
		return syscall.ENOENT
	case len(i.entries) > 0:
		return syscall.ENOTEMPTY
	}
	n.disk.change(&change{inode: i, from: &place{n.inode, name}})
	return fs.OK
}

// Rename moves a name, and replaces a file that has the other one.
func (n *node) Rename(_ context.Context, name string, parent fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	if errno := n.enter(); errno != fs.OK {
		return errno
	}
	defer n.leave()
	to, ok := parent.(*node)
	i, found := n.inode.entries[name]
	switch {
	case !ok || flags != 0:
		return syscall.EINVAL
	case !found:
		return syscall.ENOENT
	}
	if there, taken := to.inode.entries[newName]; taken {
		if len(there.entries) > 0 {
			return syscall.ENOTEMPTY
		}
		if len(there.durable) > 0 && len(i.writes) > 0 {
			n.disk.risks = append(n.disk.risks, newName)
		}
	}
	n.disk.change(&change{inode: i, from: &place{n.inode, name}, to: &place{to.inode, newName}})
	return fs.OK
}

// Read reads a part of a file.
func (n *node) Read(_ context.Context, _ fs.FileHandle, into []byte, at int64) (fuse.ReadResult, syscall.Errno) {
	if errno := n.enter(); errno != fs.OK {
		return nil, errno
	}
	defer n.leave()
	data := n.inode.data[min(int(at), len(n.inode.data)):]
	return fuse.ReadResultData(into[:copy(into, data)]), fs.OK
}

// Write writes a part of a file, which is durable when it was opened so.
func (n *node) Write(_ context.Context, h fs.FileHandle, data []byte, at int64) (uint32, syscall.Errno) {
	if errno := n.enter(); errno != fs.OK {
		return 0, errno
	}
	defer n.leave()
	n.disk.write(n.inode, write{int(at), append([]byte{}, data...)}, synced(h))
	return uint32(len(data)), fs.OK
}

// Fsync makes a file or a folder durable.
func (n *node) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	if errno := n.enter(); errno != fs.OK {
		return errno
	}
	defer n.leave()
	n.disk.sync(n.inode)
	return fs.OK
}
