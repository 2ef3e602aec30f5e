//go:build unix

package emulator

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// owner is the user that the server runs as; the zero value is the current one.
type owner struct {
	uid, gid uint32
	other    bool
}

// serverOwner returns another user for root, as which Postgres refuses to run.
func serverOwner() (owner, error) {
	if os.Geteuid() != 0 {
		return owner{}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil && uid != 0 {
			return owner{uid: uint32(uid), gid: uint32(gid), other: true}, nil
		}
	}
	return owner{}, fmt.Errorf("postgres does not run as root, and there is no user postgres or nobody")
}

// attr starts a process as the owner, and in a process group of its own, so that a
// Ctrl-C does not reach it.
func (o owner) attr() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true}
	if o.other {
		a.Credential = &syscall.Credential{Uid: o.uid, Gid: o.gid, Groups: []uint32{}}
	}
	dieWithParent(a)
	return a
}

// give makes the owner own a file or directory.
func (o owner) give(path string) error {
	if !o.other {
		return nil
	}
	return os.Lchown(path, int(o.uid), int(o.gid))
}

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
