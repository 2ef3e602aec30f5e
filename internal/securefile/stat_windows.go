package securefile

import (
	"os"

	"golang.org/x/sys/windows"
)

const nonblock = 0

// Access lists for the owner and the system alone; a directory's is inherited.
const (
	ownerOnlyFile = "D:P(A;;FA;;;OW)(A;;FA;;;SY)"
	ownerOnlyDir  = "D:P(A;OICI;FA;;;OW)(A;OICI;FA;;;SY)"
)

const otherUser = -2

// metaOf returns the owner, and a mode that is closed to others.
func metaOf(f *os.File) (meta, error) {
	fi, err := f.Stat()
	if err != nil {
		return meta{}, err
	}
	sd, err := windows.GetSecurityInfo(windows.Handle(f.Fd()), windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION)
	if err != nil {
		return meta{}, err
	}
	owner, err := ownerOf(sd)
	return meta{mode: fi.Mode().Type() | 0o600, owner: owner}, err
}

func metaOfPath(path string) (meta, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return meta{}, err
	}
	sd, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION)
	if err != nil {
		return meta{}, err
	}
	owner, err := ownerOf(sd)
	return meta{mode: fi.Mode().Type() | 0o600, owner: owner}, err
}

// ownerOf returns os.Geteuid (-1 on Windows) for us, 0 for the system and the
// administrators, and otherUser for others.
func ownerOf(sd *windows.SECURITY_DESCRIPTOR) (int, error) {
	owner, _, err := sd.Owner()
	if err != nil {
		return otherUser, err
	}
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	switch {
	case err != nil:
		return otherUser, err
	case owner.Equals(user.User.Sid):
		return os.Geteuid(), nil
	case owner.IsWellKnown(windows.WinBuiltinAdministratorsSid), owner.IsWellKnown(windows.WinLocalSystemSid):
		return rootUID, nil
	}
	return otherUser, nil
}

func restrictToOwner(f *os.File) error { return setAccessList(f.Name(), ownerOnlyFile) }

func restrictDirToOwner(path string) error { return setAccessList(path, ownerOnlyDir) }

func setAccessList(path, sddl string) error {
	sd, err := windows.SecurityDescriptorFromString(sddl)
	if err != nil {
		return err
	}
	dacl, _, err := sd.DACL()
	if err != nil {
		return err
	}
	return windows.SetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, nil, nil, dacl, nil)
}

func syncDir(*os.Root) {}
