package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/broker"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
)

// vault is where one secret stands, with the record beside it: a file of its
// own where there is one, else the keychain.
type vault struct {
	host, clientID string
	files          *cli.SecretFiles // nil for the keychain
	chain          *keychain.Keychain
	index          keychain.Index
}

func (c *call) vault(stores cli.TokenStores, chain *keychain.Keychain, host, clientID string) *vault {
	v := &vault{host: host, clientID: clientID, chain: chain, index: stores.Index()}
	files := c.SecretFiles()
	if _, err := files.Get(v.account()); !errors.Is(err, fs.ErrNotExist) {
		v.files = &files // one that cannot be used says so when it is read
	}
	return v
}

func (v *vault) account() string { return config.SecretAccount(v.host, v.clientID) }
func (v *vault) ledger() string  { return config.RecordAccount(v.host, v.clientID) }

// Get reads the secret. A locked keychain may show its dialog.
func (v *vault) Get(ctx context.Context) (credential.Secret, error) {
	if v.files != nil {
		return v.files.Get(v.account())
	}
	return v.chain.Get(ctx, v.account())
}

// peek is Get without a dialog.
func (v *vault) peek(ctx context.Context) (credential.Secret, error) {
	if v.files != nil {
		return v.files.Get(v.account())
	}
	return v.chain.Read(ctx, v.account())
}

// Set stores the secret and reads it back.
func (v *vault) Set(ctx context.Context, secret credential.Secret) error {
	if v.files != nil {
		return v.files.Set(v.account(), secret)
	}
	if err := v.index.Add(ctx, v.account()); err != nil {
		return err
	}
	return v.chain.Set(ctx, v.account(), secret)
}

// Load reads the record. One that cannot be understood is none: what it knew is
// then shown and not deleted.
func (v *vault) Load(ctx context.Context) (broker.Record, error) { return v.load(ctx, v.chain.Get) }

// look is Load without a dialog.
func (v *vault) look(ctx context.Context) (broker.Record, error) { return v.load(ctx, v.chain.Read) }

func (v *vault) load(ctx context.Context, read func(context.Context, string) (credential.Secret, error)) (broker.Record, error) {
	var text string
	var err error
	if v.files != nil {
		text, err = v.files.Record(v.account())
	} else {
		var item credential.Secret
		item, err = read(ctx, v.ledger())
		text = item.Reveal()
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, keychain.ErrNotFound) {
		return broker.Record{}, nil
	}
	if err != nil {
		return broker.Record{}, err
	}
	var r broker.Record
	if json.Unmarshal([]byte(text), &r) != nil || r.Version != broker.RecordVersion {
		return broker.Record{}, nil
	}
	return r, nil
}

// Save writes the record, which is listed before it is there.
func (v *vault) Save(ctx context.Context, r broker.Record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if v.files != nil {
		return v.files.KeepRecord(v.account(), string(text))
	}
	if err := v.index.Add(ctx, v.ledger()); err != nil {
		return err
	}
	return v.chain.Set(ctx, v.ledger(), credential.NewSecret(string(text)))
}

// life tells when the secret expires, where that is known, and what else is due
// for deletion. It shows no dialog; what cannot be read is not known.
func (v *vault) life(ctx context.Context, secret credential.Secret) (expires time.Time, due []broker.DueSecret) {
	r, err := v.look(ctx)
	if err != nil {
		return time.Time{}, nil
	}
	fingerprint := broker.SecretFingerprint(v.host, v.clientID, secret)
	if made, ok := r.Describes(fingerprint); ok {
		expires = made.ExpiresAt
	}
	return expires, r.Left(fingerprint)
}

// soon is how long before its end a secret is warned of.
const soon = 30 * 24 * time.Hour

// warnLife speaks of a secret whose life ends soon.
func (c *call) warnLife(host, clientID string, expires time.Time) {
	if expires.IsZero() {
		return
	}
	if left := expires.Sub(c.Now()); left < soon {
		c.say.Warn("the secret of %s for %s %s; make a new one with: %s rotate", clientID, host, lifeLeft(left), program)
	}
}

// warnKnown is warnLife for the secret that login has stored, where it is one
// that an earlier rotate made.
func (c *call) warnKnown(ctx context.Context, stores cli.TokenStores, chain *keychain.Keychain, secret credential.Secret) {
	host, clientID := c.conf.Workspace.V.HostPort(), c.conf.ClientID.V
	expires, _ := c.vault(stores, chain, host, clientID).life(ctx, secret)
	c.warnLife(host, clientID, expires)
}

// lifeLeft is a time in days.
func lifeLeft(left time.Duration) string {
	switch days := int(left / (24 * time.Hour)); {
	case left <= 0:
		return "has expired"
	case days == 0:
		return "expires within a day"
	case days == 1:
		return "expires in 1 day"
	default:
		return fmt.Sprintf("expires in %d days", days)
	}
}
