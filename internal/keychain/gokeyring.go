//go:build darwin || windows

package keychain

import (
	"context"

	"github.com/zalando/go-keyring"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// goKeyring is the keychain as go-keyring accesses it.
//
// On macOS that is by /usr/bin/security. Items belong to that program, so all processes
// of the user read them without a dialog. There is no known way to check without a dialog
// whether the keychain is locked: a NonInteractive keychain relies on its timeout.
//
// The Windows Credential Manager never prompts, and is unlocked while the user is logged
// on.
type goKeyring struct{}

func newBackend(string) backend { return goKeyring{} }

func (goKeyring) get(_ context.Context, account string, _ bool) (credential.Secret, error) {
	text, err := keyring.Get(Service, account)
	return credential.NewSecret(text), err
}

func (goKeyring) set(_ context.Context, account string, secret credential.Secret, _ bool) error {
	return keyring.Set(Service, account, secret.Reveal())
}

func (goKeyring) remove(_ context.Context, account string) error {
	return keyring.Delete(Service, account)
}

// BusAddress returns "": the keychain of this system needs no bus.
func BusAddress(string, string) string { return "" }
