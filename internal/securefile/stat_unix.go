//go:build unix

package securefile

import (
	"io/fs"
	"os"
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

func mkdirPrivate(path string) error { return os.Mkdir(path, 0o700) }
