//go:build unix

package emulator

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
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
