package securefile

import (
	"os"

	"golang.org/x/sys/windows"
)

const nonblock = 0

// Access lists for the owner and the system alone; a folder's is handed down.
const (
	ownerOnlyFile   = "D:P(A;;FA;;;OW)(A;;FA;;;SY)"
	ownerOnlyFolder = "D:P(A;OICI;FA;;;OW)(A;OICI;FA;;;SY)"
)

const somebodyElse = -2

// metaOf has no modes to tell: it gives the owner, and a mode that says closed.
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

// ownerOf tells us (os.Geteuid, which is -1 on Windows) from the system and the
// administrators (0) and from others.
func ownerOf(sd *windows.SECURITY_DESCRIPTOR) (int, error) {
	owner, _, err := sd.Owner()
	if err != nil {
		return somebodyElse, err
	}
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	switch {
	case err != nil:
		return somebodyElse, err
	case owner.Equals(user.User.Sid):
		return os.Geteuid(), nil
	case owner.IsWellKnown(windows.WinBuiltinAdministratorsSid), owner.IsWellKnown(windows.WinLocalSystemSid):
		return rootUID, nil
	}
	return somebodyElse, nil
}

func ownerOnly(f *os.File) error { return setList(f.Name(), ownerOnlyFile) }

func ownerOnlyPath(path string) error { return setList(path, ownerOnlyFolder) }

func setList(path, sddl string) error {
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

func syncDir(string) {}
