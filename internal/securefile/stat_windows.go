package securefile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/windows"
)

// There are neither FIFOs nor, without a privilege, symbolic links.
const nonblock, noFollow = 0, 0

// environmentFaults are errors of the system that no configuration causes.
var environmentFaults = map[syscall.Errno]string{
	windows.ERROR_DISK_FULL: fixSpace, windows.ERROR_HANDLE_DISK_FULL: fixSpace, windows.ERROR_DISK_QUOTA_EXCEEDED: fixSpace,
	windows.ERROR_WRITE_PROTECT: fixReadOnly, windows.ERROR_TOO_MANY_OPEN_FILES: "close programs that have many files open",
	windows.ERROR_NOT_ENOUGH_MEMORY: fixMemory, windows.ERROR_OUTOFMEMORY: fixMemory,
}

func metaOfPath(path string) (meta, error) {
	f, err := os.Open(path)
	if err != nil {
		return meta{}, err
	}
	defer f.Close()
	return metaOf(f)
}

// metaOf returns a mode that is closed to others, and the owner: os.Geteuid (-1 on
// Windows) for us, 0 for the system and the administrators, -2 for others.
func metaOf(f *os.File) (meta, error) {
	fi, statErr := f.Stat()
	user, userErr := windows.GetCurrentProcessToken().GetTokenUser()
	sd, err := windows.GetSecurityInfo(windows.Handle(f.Fd()), windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION)
	if err := errors.Join(statErr, userErr, err); err != nil {
		return meta{}, err
	}
	owner, _, err := sd.Owner()
	if err != nil {
		return meta{}, err
	}
	m := meta{mode: fi.Mode().Type() | 0o600, owner: -2}
	isMember, _ := windows.Token(0).IsMember(owner)
	isAdmins := owner.IsWellKnown(windows.WinBuiltinAdministratorsSid)
	switch {
	case owner.Equals(user.User.Sid), isAdmins && isMember: // the latter is what an elevated process creates
		m.owner = os.Geteuid()
	case isAdmins, owner.IsWellKnown(windows.WinLocalSystemSid):
		m.owner = rootUID
	}
	return m, nil
}

// rename waits while another process has the target open, for two seconds.
func rename(root *os.Root, from, to string) (err error) {
	for range 200 {
		err = root.Rename(from, to)
		if !errors.Is(err, windows.ERROR_ACCESS_DENIED) && !errors.Is(err, windows.ERROR_SHARING_VIOLATION) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return err
}

// newRunLock creates and locks the lock of a run. It cannot be renamed while it is open,
// so that a sweep may take it first; it is not removed while it is open, either.
func newRunLock(_ *os.Root, dir, name string) (unlock func(), ok bool, err error) {
	return TryLock(filepath.Join(dir, name))
}

func restrictToOwner(f *os.File) error { return setAccessList(f.Name(), "") }

func mkdirPrivate(path string) error {
	if err := os.Mkdir(path, 0o700); err != nil {
		return err
	}
	return setAccessList(path, "OICI")
}

// setAccessList restricts access to us and the system. OICI as the flags is for a
// directory whose files inherit the list.
func setAccessList(path, flags string) error {
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return err
	}
	sd, err := windows.SecurityDescriptorFromString(fmt.Sprintf("D:P(A;%s;FA;;;%s)(A;%s;FA;;;SY)", flags, user.User.Sid, flags))
	if err != nil {
		return err
	}
	dacl, _, err := sd.DACL()
	if err != nil {
		return err
	}
	const set = windows.DACL_SECURITY_INFORMATION | windows.PROTECTED_DACL_SECURITY_INFORMATION
	return windows.SetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, set, nil, nil, dacl, nil)
}
