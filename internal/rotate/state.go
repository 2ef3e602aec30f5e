package rotate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
)

// State records the secrets that rotations have created. A rotation deletes no
// other secrets, and reads from it how far an interrupted rotation came. It holds
// no secret.
type State struct {
	Version   int         `json:"version"`
	Current   *Secret     `json:"current,omitempty"` // the stored secret, if its ID is known
	Next      *Next       `json:"next,omitempty"`    // created, and perhaps not stored yet
	Pending   *Pending    `json:"making,omitempty"`  // requested, with no response recorded
	Orphans   []string    `json:"strays,omitempty"`  // IDs that appeared while a request was pending
	Scheduled []Scheduled `json:"due,omitempty"`
}

// stateVersion is the version of State's JSON form.
const stateVersion = 1

// Secret describes a secret that a rotation created.
type Secret struct {
	ID          string    `json:"id"`
	Fingerprint string    `json:"fingerprint"`
	CreatedAt   time.Time `json:"created_at,omitzero"`
	ExpiresAt   time.Time `json:"expires_at,omitzero"`
}

// Next is a secret that is about to be stored, with the deletions that are scheduled then.
type Next struct {
	Secret
	Supersedes []Scheduled `json:"replaces,omitempty"`
}

// Pending is written before a secret is requested. Known lists the IDs that exist then.
type Pending struct {
	Since time.Time `json:"since"`
	Known []string  `json:"known"`
}

// Scheduled is a secret to delete after a time; zero means at once.
type Scheduled struct {
	ID          string    `json:"id"`
	After       time.Time `json:"after,omitzero"`
	Fingerprint string    `json:"fingerprint,omitempty"` // empty if no rotation created it
}

// fingerprint identifies a secret in a State without revealing it. It does not
// depend on the endpoint that the secret is used for.
func fingerprint(host, clientID string, secret credential.Secret) string {
	return credential.Key{Identity: "oauth-m2m", Host: host, Principal: clientID, Credential: "secret"}.Fingerprint(secret)
}

// load reads the state of a secret. One that cannot be parsed counts as none: a rotation
// then lists the secrets of the service principal and deletes none of them.
func load(ctx context.Context, store Store, host, clientID string) (s State, err error) {
	item, err := store.Get(ctx, config.RecordAccount(host, clientID))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if json.Unmarshal([]byte(item.Reveal()), &s) != nil || s.Version != stateVersion {
		s = State{}
	}
	return s, err
}

// StoredSecret reads the secret. Errors: *auth.NoSecretError.
func StoredSecret(ctx context.Context, store Store, host, clientID string) (credential.Secret, error) {
	secret, err := store.Get(ctx, config.SecretAccount(host, clientID))
	if err != nil {
		err = &auth.NoSecretError{Host: host, ClientID: clientID, Err: err}
	}
	return secret, err
}

// StoredLifetime returns when the stored secret expires, zero if that is unknown, and the
// older secrets that a later rotation deletes.
func StoredLifetime(ctx context.Context, store Store, host, clientID string) (expires time.Time, scheduled []Scheduled) {
	secret, err := StoredSecret(ctx, store, host, clientID)
	if err != nil {
		return expires, nil
	}
	s, _ := load(ctx, store, host, clientID)
	s = s.settle(fingerprint(host, clientID, secret))
	if s.Current != nil {
		expires = s.Current.ExpiresAt
	}
	return expires, s.Scheduled
}

// settle returns the state given the fingerprint of the stored secret: the one that was
// about to be stored is either the current one or scheduled for deletion.
func (s State) settle(stored string) State {
	s.Scheduled = slices.Clone(s.Scheduled)
	if n := s.Next; n != nil && n.Fingerprint == stored {
		s.Current, s.Scheduled = &n.Secret, append(s.Scheduled, n.Supersedes...)
	} else if n != nil {
		s.Scheduled = append(s.Scheduled, Scheduled{ID: n.ID, Fingerprint: n.Fingerprint})
	}
	if s.Current != nil && s.Current.Fingerprint != stored {
		s.Current = nil // a later login stored another secret
	}
	s.Next = nil
	return s
}

// reconcile returns the state given the fingerprint of the stored secret and the
// IDs that exist. A secret that an interrupted rotation created is then either
// the current one, scheduled for deletion, or an orphan.
func (s State) reconcile(stored string, existing []string) State {
	s = s.settle(stored)
	s.Orphans = slices.Clone(s.Orphans)
	for _, id := range existing {
		recorded := s.isCurrent(id) || slices.Contains(s.Orphans, id) || s.isScheduled(id)
		if s.Pending != nil && !slices.Contains(s.Pending.Known, id) && !recorded {
			s.Orphans = append(s.Orphans, id)
		}
	}
	s.Pending = nil
	settled := func(id string) bool { return !slices.Contains(existing, id) || s.isCurrent(id) }
	s.Orphans = slices.DeleteFunc(s.Orphans, settled)
	s.Scheduled = slices.DeleteFunc(s.Scheduled, func(d Scheduled) bool { return settled(d.ID) })
	return s
}

func (s State) isCurrent(id string) bool { return s.Current != nil && s.Current.ID == id }

func (s State) isScheduled(id string) bool {
	return slices.ContainsFunc(s.Scheduled, func(d Scheduled) bool { return d.ID == id })
}

// safeToDelete reports whether this ID is certainly not that of the stored fingerprint.
func (s State) safeToDelete(id, stored string) bool {
	if s.Current != nil {
		return s.Current.ID != id
	}
	return slices.ContainsFunc(s.Scheduled, func(d Scheduled) bool {
		return d.ID == id && d.Fingerprint != "" && d.Fingerprint != stored
	})
}

// unknown returns the secrets that no rotation created, and orphans. They may be in use elsewhere.
func (s State) unknown(list []exchange.ClientSecret) []exchange.ClientSecret {
	return slices.DeleteFunc(slices.Clone(list), func(c exchange.ClientSecret) bool {
		return s.isCurrent(c.ID) || s.isScheduled(c.ID)
	})
}

// RenewBefore is how long before its expiry a secret should be rotated.
const RenewBefore = 30 * 24 * time.Hour

// DescribeLifetime describes the time that is left until a secret expires.
func DescribeLifetime(left time.Duration) string {
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

func secretIDs(list []exchange.ClientSecret) []string {
	ids := make([]string, len(list))
	for i, s := range list {
		ids[i] = s.ID
	}
	return ids
}
