//go:build unix

package securefile

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// nonblock keeps open(2) from waiting for the other end of a FIFO.
const nonblock = syscall.O_NONBLOCK

var environmentFaults = []fault{
	{syscall.ENOSPC, fixSpace}, {syscall.EDQUOT, fixSpace}, {syscall.EROFS, fixReadOnly}, {syscall.EIO, fixDisk},
	{syscall.EMFILE, fixFiles}, {syscall.ENFILE, fixFiles}, {syscall.ENOMEM, fixMemory},
}

func metaOf(f *os.File) (meta, error) {
	fi, err := f.Stat()
	if err != nil {
		return meta{}, err
	}
	m, err := metaFrom(fi)
	m.roTmpfs = isReadOnlyTmpfs(f)
	return m, err
}

func metaOfPath(path string) (meta, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return meta{}, err
	}
	return metaFrom(fi)
}

func metaFrom(fi fs.FileInfo) (meta, error) {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return meta{}, errors.New("the system does not report the owner")
	}
	return meta{mode: fi.Mode(), owner: int(st.Uid)}, nil
}

// On Unix the mode that a file is created with is enough.
func restrictToOwner(*os.File) error  { return nil }
func restrictDirToOwner(string) error { return nil }

// syncDir makes a rename survive a crash, if the file system can do that.
func syncDir(root *os.Root) {
	if f, err := root.Open("."); err == nil {
		_ = f.Sync()
		_ = f.Close()
	}
}
