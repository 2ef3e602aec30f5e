package cli

import (
	"context"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
)

// quietly is the keychain without its dialogs.
type quietly struct{ chain *keychain.Keychain }

func (q quietly) Get(ctx context.Context, account string) (credential.Secret, error) {
	return q.chain.Read(ctx, account)
}

// QuietSecrets finds stored secrets and asks nobody.
func (p *Process) QuietSecrets(chain *keychain.Keychain) Secrets { return p.Secrets(quietly{chain}) }
