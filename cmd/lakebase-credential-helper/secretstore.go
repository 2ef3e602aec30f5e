package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"time"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/rotate"
	"github.com/lakebase-exec/lakebase-exec/internal/secretfile"
)

// secretStore stores one secret and the state of its rotations: in a file if there is
// one, else in the keychain.
type secretStore struct {
	host, clientID string
	files          *secretfile.Store // nil for the keychain
	kc             *keychain.Keychain
	index          keychain.Index
}

func (c *invocation) secretStore(stores cli.TokenStores, kc *keychain.Keychain, host, clientID string) *secretStore {
	v := &secretStore{host: host, clientID: clientID, kc: kc, index: stores.Index()}
	files := c.SecretFiles()
	if _, err := files.Get(v.account()); !errors.Is(err, fs.ErrNotExist) {
		v.files = &files // even one that cannot be used: Get returns why
	}
	return v
}

func (v *secretStore) account() string      { return config.SecretAccount(v.host, v.clientID) }
func (v *secretStore) stateAccount() string { return config.RecordAccount(v.host, v.clientID) }

// nonInteractive returns a store that shows no dialog.
func (v *secretStore) nonInteractive() *secretStore {
	n := *v
	n.kc = v.kc.NonInteractive()
	return &n
}

// Get reads the secret. A locked keychain may show its dialog.
func (v *secretStore) Get(ctx context.Context) (credential.Secret, error) {
	if v.files != nil {
		return v.files.Get(v.account())
	}
	return v.kc.Get(ctx, v.account())
}

// Set stores the secret and reads it back.
func (v *secretStore) Set(ctx context.Context, secret credential.Secret) error {
	if v.files != nil {
		return v.files.Set(v.account(), secret)
	}
	return setItem(ctx, v.index, v.kc, v.account(), secret)
}

// setItem stores an item of the keychain. The index lists it before it exists.
func setItem(ctx context.Context, index keychain.Index, kc *keychain.Keychain, account string, item credential.Secret) error {
	if err := index.Add(ctx, account); err != nil {
		return err
	}
	return kc.Set(ctx, account, item)
}

// Load reads the rotation's state. State that cannot be parsed counts as none:
// rotate then lists the secrets of the service principal and deletes none of them.
func (v *secretStore) Load(ctx context.Context) (rotate.State, error) {
	var text string
	var err error
	if v.files != nil {
		text, err = v.files.Record(v.account())
	} else {
		var item credential.Secret
		item, err = v.kc.Get(ctx, v.stateAccount())
		text = item.Reveal()
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, keychain.ErrNotFound) {
		return rotate.State{}, nil
	}
	if err != nil {
		return rotate.State{}, err
	}
	var s rotate.State
	if json.Unmarshal([]byte(text), &s) != nil || s.Version != rotate.StateVersion {
		return rotate.State{}, nil
	}
	return s, nil
}

// Save writes the state.
func (v *secretStore) Save(ctx context.Context, s rotate.State) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if v.files != nil {
		return v.files.SetRecord(v.account(), string(text))
	}
	return setItem(ctx, v.index, v.kc, v.stateAccount(), credential.NewSecret(string(text)))
}

// expiry returns when the secret expires, if that is known, and which older secrets
// are scheduled for deletion. It shows no dialog.
func (v *secretStore) expiry(ctx context.Context, secret credential.Secret) (expires time.Time, scheduled []rotate.Scheduled) {
	s, err := v.nonInteractive().Load(ctx)
	if err != nil {
		return time.Time{}, nil
	}
	fingerprint := rotate.Fingerprint(v.host, v.clientID, secret)
	if known, ok := s.Find(fingerprint); ok {
		expires = known.ExpiresAt
	}
	return expires, s.ScheduledWith(fingerprint)
}

// warnExpiry warns of a secret that expires within rotate.RenewBefore.
func (c *invocation) warnExpiry(host, clientID string, expires time.Time) {
	if expires.IsZero() {
		return
	}
	if left := time.Until(expires); left < rotate.RenewBefore {
		c.log.Warn("the secret of %s for %s %s; make a new one with: %s rotate", clientID, host, rotate.DescribeLifetime(left), program)
	}
}
