//go:build unix

package securefile

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// nonblock keeps open(2) from waiting for a fifo's other end.
const nonblock = syscall.O_NONBLOCK

func metaOf(f *os.File) (meta, error) {
	fi, err := f.Stat()
	if err != nil {
		return meta{}, err
	}
	m, err := metaFrom(fi)
	m.roTmpfs = onReadOnlyTmpfs(f)
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
		return meta{}, errors.New("the system does not tell its owner")
	}
	return meta{mode: fi.Mode(), owner: int(st.Uid)}, nil
}

// On Unix the mode that a file is made with is enough.
func ownerOnly(*os.File) error   { return nil }
func ownerOnlyPath(string) error { return nil }

// syncDir makes a rename last through a crash, where the file system can.
func syncDir(dir string) {
	if f, err := os.Open(dir); err == nil {
		_ = f.Sync()
		_ = f.Close()
	}
}
