package keychain

import (
	"context"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// Patient is a keychain for those whose work cannot be done without it: its Peek and
// Put show no dialog either, and have Options.Timeout in place of a second.
type Patient struct{ *Keychain }

// Patient gives the patient view of k.
func (k *Keychain) Patient() Patient { return Patient{k} }

// Peek is Read.
func (p Patient) Peek(ctx context.Context, account string) (credential.Secret, error) {
	return p.Read(ctx, account)
}

// Put is Set without a dialog: a locked keychain is ErrLocked at once.
func (p Patient) Put(ctx context.Context, account string, secret credential.Secret) error {
	return p.store(ctx, "put", account, secret, p.timeout, false)
}
