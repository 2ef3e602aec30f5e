//go:build unix

package emulator

import (
	"errors"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// locks holds the lock files of this process's directories. The kernel releases a lock
// when its process ends, so that sweep finds directories that are not in use.
var locks = struct {
	sync.Mutex
	files map[string]*os.File
}{files: map[string]*os.File{}}

// claim locks a file in dir under a name that sweep ignores, then renames it.
func claim(dir string) error {
	f, err := os.OpenFile(filepath.Join(dir, "lock.new"), os.O_CREATE|os.O_RDWR|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB), os.Rename(f.Name(), filepath.Join(dir, "lock"))); err != nil {
		return errors.Join(err, f.Close())
	}
	locks.Lock()
	defer locks.Unlock()
	locks.files[dir] = f
	return nil
}

// discard removes a directory and releases its lock.
func discard(dir string) error {
	err := os.RemoveAll(dir)
	locks.Lock()
	defer locks.Unlock()
	if f := locks.files[dir]; f != nil {
		_ = f.Close()
		delete(locks.files, dir)
	}
	return err
}

// sweep removes the directories that killed processes of this user have left.
func sweep(pattern string) {
	dirs, _ := filepath.Glob(pattern)
	for _, dir := range dirs {
		var info unix.Stat_t
		if unix.Lstat(dir, &info) != nil || info.Mode&unix.S_IFMT != unix.S_IFDIR || int(info.Uid) != os.Geteuid() {
			continue
		}
		f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|unix.O_NOFOLLOW, 0)
		if err != nil {
			continue
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			_ = os.RemoveAll(dir)
		}
		_ = f.Close()
	}
}
