package keychain

import (
	"context"
	"errors"
	"syscall"

	"github.com/zalando/go-keyring"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// credentialManager is the Windows Credential Manager. It never prompts, and is unlocked
// while the user is logged on.
type credentialManager struct{}

func newBackend(func(string) string) backend { return credentialManager{} }

func (credentialManager) get(_ context.Context, account string, _ bool) (credential.Secret, error) {
	text, err := keyring.Get(Service, account)
	return credential.NewSecret(text), classify(err)
}

func (credentialManager) set(_ context.Context, account string, secret credential.Secret, _ bool) error {
	return classify(keyring.Set(Service, account, secret.Reveal()))
}

func (credentialManager) list(context.Context) ([]string, error) { return nil, fail(ErrNoList, "") }

func (credentialManager) remove(_ context.Context, account string) error {
	return classify(keyring.Delete(Service, account))
}

const (
	errorNotFound           = syscall.Errno(1168) // ERROR_NOT_FOUND
	errorNoSuchLogonSession = syscall.Errno(1312) // ERROR_NO_SUCH_LOGON_SESSION: a service without a profile
)

func classify(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, keyring.ErrNotFound), errors.Is(err, errorNotFound):
		return fail(ErrNotFound, "")
	case errors.Is(err, keyring.ErrSetDataTooBig):
		return fail(ErrTooBig, "")
	case errors.Is(err, errorNoSuchLogonSession):
		return fail(ErrAbsent, err.Error())
	}
	return fail(ErrFailed, err.Error())
}
