package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"time"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/auth"
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

func (c *invocation) secretStore(stores cli.TokenStores, host, clientID string) *secretStore {
	v := &secretStore{host: host, clientID: clientID, kc: stores.Keychain, index: stores.Index()}
	files := c.SecretFiles()
	if _, err := files.Get(v.account()); !errors.Is(err, fs.ErrNotExist) {
		v.files = &files // even one that cannot be used: Get returns why
	}
	return v
}

func (v *secretStore) account() string      { return config.SecretAccount(v.host, v.clientID) }
func (v *secretStore) stateAccount() string { return config.RecordAccount(v.host, v.clientID) }

// Get reads the secret; a locked keychain may show its dialog. Errors: *auth.NoSecretError.
func (v *secretStore) Get(ctx context.Context) (secret credential.Secret, err error) {
	if v.files != nil {
		secret, err = v.files.Get(v.account())
	} else {
		secret, err = v.kc.Get(ctx, v.account())
	}
	if err != nil {
		err = &auth.NoSecretError{Host: v.host, ClientID: v.clientID, Err: err}
	}
	return secret, err
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
		err = nil
	}
	var s rotate.State
	if json.Unmarshal([]byte(text), &s) != nil || s.Version != rotate.StateVersion {
		return rotate.State{}, err
	}
	return s, err
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

// lifetime is what is known about a stored secret without a dialog of the keychain.
type lifetime struct {
	known     bool               // the secret could be read
	expires   time.Time          // zero: unknown
	scheduled []rotate.Scheduled // older secrets that are deleted later
}

func (v *secretStore) lifetime(ctx context.Context) (l lifetime) {
	quiet := *v
	quiet.kc = v.kc.NonInteractive()
	secret, err := quiet.Get(ctx)
	if err != nil {
		return l
	}
	l.known = true
	s, _ := quiet.Load(ctx)
	fingerprint := rotate.Fingerprint(v.host, v.clientID, secret)
	if known, ok := s.Find(fingerprint); ok {
		l.expires = known.ExpiresAt
	}
	l.scheduled = s.ScheduledWith(fingerprint)
	return l
}

// warnExpiry warns of a secret that expires within rotate.RenewBefore.
func (c *invocation) warnExpiry(host, clientID string, expires time.Time) {
	if left := time.Until(expires); !expires.IsZero() && left < rotate.RenewBefore {
		c.log.Warn("the secret of %s for %s %s; make a new one with: %s rotate", clientID, host, rotate.DescribeLifetime(left), program)
	}
}
