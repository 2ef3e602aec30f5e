package keychain

import (
	"context"
	"errors"
	"fmt"
	"os/exec"

	"github.com/zalando/go-keyring"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// securityTool is the macOS keychain, accessed by /usr/bin/security, which go-keyring
// runs. Items belong to that program, so all processes of the user read them without a
// dialog. There is no known way to check without a dialog whether the keychain is locked:
// a NonInteractive keychain relies on its timeout.
type securityTool struct{}

func newBackend(func(string) string) backend { return securityTool{} }

func (securityTool) get(_ context.Context, account string, _ bool) (credential.Secret, error) {
	text, err := keyring.Get(Service, account)
	return credential.NewSecret(text), classify(err)
}

func (securityTool) set(_ context.Context, account string, secret credential.Secret, _ bool) error {
	return classify(keyring.Set(Service, account, secret.Reveal()))
}

func (securityTool) list(context.Context) ([]string, error) { return nil, fail(ErrNoList, "") }

func (securityTool) remove(_ context.Context, account string) error {
	return classify(keyring.Delete(Service, account))
}

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
