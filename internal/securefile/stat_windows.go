package securefile

import (
	"os"

	"golang.org/x/sys/windows"
)

const nonblock = 0

var environmentFaults = []fault{
	{windows.ERROR_DISK_FULL, fixSpace}, {windows.ERROR_HANDLE_DISK_FULL, fixSpace}, {windows.ERROR_DISK_QUOTA_EXCEEDED, fixSpace},
	{windows.ERROR_WRITE_PROTECT, fixReadOnly}, {windows.ERROR_TOO_MANY_OPEN_FILES, "close programs that have many files open"},
	{windows.ERROR_NOT_ENOUGH_MEMORY, fixMemory}, {windows.ERROR_OUTOFMEMORY, fixMemory},
}

// Access lists for the owner and the system alone; a directory's is inherited.
const (
	ownerOnlyFile = "D:P(A;;FA;;;OW)(A;;FA;;;SY)"
	ownerOnlyDir  = "D:P(A;OICI;FA;;;OW)(A;OICI;FA;;;SY)"
)

const otherUser = -2

func metaOfPath(path string) (meta, error) {
	f, err := os.Open(path)
	if err != nil {
		return meta{}, err
	}
	defer f.Close()
	return metaOf(f)
}

// metaOf returns a mode that is closed to others, and the owner: os.Geteuid (-1 on
// Windows) for us, 0 for the system and the administrators, otherUser for others.
func metaOf(f *os.File) (meta, error) {
	fi, err := f.Stat()
	if err != nil {
		return meta{}, err
	}
	m := meta{mode: fi.Mode().Type() | 0o600, owner: otherUser}
	sd, err := windows.GetSecurityInfo(windows.Handle(f.Fd()), windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION)
	if err != nil {
		return m, err
	}
	owner, _, err := sd.Owner()
	if err != nil {
		return m, err
	}
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	switch {
	case err != nil:
	case owner.Equals(user.User.Sid):
		m.owner = os.Geteuid()
	case owner.IsWellKnown(windows.WinBuiltinAdministratorsSid), owner.IsWellKnown(windows.WinLocalSystemSid):
		m.owner = rootUID
	}
	return m, err
}

func restrictToOwner(f *os.File) error { return setAccessList(f.Name(), ownerOnlyFile) }

func mkdirPrivate(path string) error {
	if err := os.Mkdir(path, 0o700); err != nil {
		return err
	}
	return setAccessList(path, ownerOnlyDir)
}

func setAccessList(path, sddl string) error {
	sd, err := windows.SecurityDescriptorFromString(sddl)
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
