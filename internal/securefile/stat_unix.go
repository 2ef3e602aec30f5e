//go:build unix

package securefile

import (
	"cmp"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// nonblock keeps open(2) from waiting for the other end of a FIFO.
const nonblock = syscall.O_NONBLOCK

// noFollow keeps open(2) from following a symbolic link.
const noFollow = syscall.O_NOFOLLOW

// environmentFaults are errors of the system that no configuration causes.
var environmentFaults = map[syscall.Errno]string{
	syscall.ENOSPC: fixSpace, syscall.EDQUOT: fixSpace, syscall.EROFS: fixReadOnly, syscall.EIO: fixDisk,
	syscall.EMFILE: fixFiles, syscall.ENFILE: fixFiles, syscall.ENOMEM: fixMemory,
}

func metaOf(f *os.File) (meta, error)      { return metaFrom(f.Stat()) }
func metaOfPath(path string) (meta, error) { return metaFrom(os.Stat(path)) }

func metaFrom(fi fs.FileInfo, err error) (meta, error) {
	if err != nil {
		return meta{}, err
	}
	return meta{mode: fi.Mode(), owner: int(fi.Sys().(*syscall.Stat_t).Uid)}, nil
}

// restrictToOwner does nothing: the mode that a file is created with is enough.
func restrictToOwner(*os.File) error { return nil }

func rename(root *os.Root, from, to string) error { return root.Rename(from, to) }

// newRunLock creates and locks the lock of a run. No sweep sees it before it is locked.
func newRunLock(root *os.Root, dir, name string) (unlock func(), ok bool, err error) {
	temp := "." + name + "." + rand.Text()
	unlock, ok, err = TryLock(filepath.Join(dir, temp))
	if ok || errors.Is(err, errors.ErrUnsupported) {
		err = cmp.Or(root.Rename(temp, name), err)
	}
	return unlock, ok, err
}

func mkdirPrivate(path string) error { return os.Mkdir(path, 0o700) }
