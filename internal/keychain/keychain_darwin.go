package keychain

import (
	"errors"
	"fmt"
	"os/exec"

	"github.com/zalando/go-keyring"
)

func (goKeyring) list() ([]string, error) { return nil, errors.ErrUnsupported }

// classify maps the exit status of security, which is the low byte of an OSStatus
// (Apple, SecBase.h). It ignores the output, which may contain the command line.
func classify(err error) error {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, keyring.ErrNotFound):
		return fail(ErrNotFound, "")
	case errors.Is(err, keyring.ErrSetDataTooBig):
		return fail(ErrTooBig, "")
	case errors.Is(err, exec.ErrNotFound):
		return fail(ErrAbsent, "no /usr/bin/security")
	case errors.As(err, &exit):
		return fail(kindOf(exit.ExitCode()), fmt.Sprintf("security: exit status %d", exit.ExitCode()))
	}
	return fail(ErrFailed, "security could not be run, or its output not parsed")
}

func kindOf(status int) error {
	switch status {
	case 36: // errSecInteractionNotAllowed: locked, and no session for a dialog, as over ssh
		return ErrLocked
	case 51, 128: // errSecAuthFailed, userCanceledErr
		return ErrDismissed
	case 44: // errSecItemNotFound
		return ErrNotFound
	case 37, 50, 53: // errSecNoDefaultKeychain, errSecNoSuchKeychain, errSecNotAvailable
		return ErrAbsent
	}
	return ErrFailed
}
