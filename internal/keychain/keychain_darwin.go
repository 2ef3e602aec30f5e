package keychain

import (
	"context"
	"errors"
	"fmt"
	"os/exec"

	"github.com/zalando/go-keyring"
)

// dismissed is the detail of ErrLocked after an attempt to unlock.
const dismissed = "its dialog was dismissed or could not be shown"

func (goKeyring) list(context.Context) ([]string, error) { return nil, errors.ErrUnsupported }

// classify maps the exit status of security, which is the low byte of an OSStatus
// (Apple, SecBase.h). It ignores the output, which may contain the command line.
func classify(err error) error {
	var exit *exec.ExitError
	switch {
	case errors.Is(err, keyring.ErrNotFound):
		return fail(ErrNotFound, "")
	case errors.Is(err, keyring.ErrSetDataTooBig):
		return fail(ErrTooBig, "")
	case errors.Is(err, exec.ErrNotFound):
		return fail(ErrAbsent, "no /usr/bin/security")
	case errors.As(err, &exit):
		detail := fmt.Sprintf("security: exit status %d", exit.ExitCode())
		switch exit.ExitCode() {
		case 36: // errSecInteractionNotAllowed: locked, and no session for a dialog, as over ssh
			return fail(ErrLocked, detail)
		case 51, 128: // errSecAuthFailed, userCanceledErr
			return fail(ErrLocked, dismissed)
		case 44: // errSecItemNotFound
			return fail(ErrNotFound, detail)
		case 37, 50, 53: // errSecNoDefaultKeychain, errSecNoSuchKeychain, errSecNotAvailable
			return fail(ErrAbsent, detail)
		}
		return fail(ErrFailed, detail)
	}
	return fail(ErrFailed, "security could not be run, or its output not parsed")
}
