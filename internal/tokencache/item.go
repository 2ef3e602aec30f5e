package tokencache

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

const itemVersion = 1

// item is the stored form of an Entry.
type item struct {
	Version int `json:"version"`
	keyFields
	Token        string    `json:"token"`
	Minted       time.Time `json:"minted"`
	Expires      time.Time `json:"expires"`
	DatabaseHost string    `json:"database_host,omitempty"`
	User         string    `json:"user,omitempty"`
	Fingerprint  string    `json:"fingerprint,omitempty"`
}

// keyFields are those of an item's key, which are compared when it is read.
type keyFields struct {
	Identity    string `json:"identity"`
	Host        string `json:"host"`
	WorkspaceID string `json:"workspace_id,omitempty"`
	Principal   string `json:"principal"`
	Options     string `json:"options,omitempty"`
	Target      string `json:"target"`
	TTL         string `json:"ttl,omitempty"`
	Credential  string `json:"credential"`
	ReadOnly    bool   `json:"read_only,omitempty"`
}

func fieldsOf(key credential.Key) keyFields {
	ttl := ""
	if key.TTL != 0 {
		ttl = key.TTL.String()
	}
	return keyFields{key.Identity, key.Host, key.WorkspaceID, key.Principal, key.Options, key.Target, ttl, key.Credential, key.ReadOnly}
}

func encode(key credential.Key, e Entry) credential.Secret {
	text, _ := json.Marshal(item{ // cannot fail with strings and times
		itemVersion, fieldsOf(key), e.Token.Value.Reveal(), e.Token.MintedAt.UTC(), e.Token.ExpiresAt.UTC(),
		e.DatabaseHost, e.User, e.Fingerprint,
	})
	return credential.NewSecret(string(text))
}

var (
	errUnreadable = errors.New("unreadable item")
	errForeign    = errors.New("item of another target")
)

func parse(text credential.Secret) (item, error) {
	var it item
	if json.Unmarshal([]byte(text.Reveal()), &it) != nil || it.Version != itemVersion {
		return item{}, errUnreadable // the error of encoding/json could contain the token
	}
	return it, nil
}

func decode(text credential.Secret, key credential.Key) (Entry, error) {
	it, err := parse(text)
	switch {
	case err != nil:
		return Entry{}, err
	case it.keyFields != fieldsOf(key):
		return Entry{}, errForeign
	}
	token := credential.Token{Value: credential.NewSecret(it.Token), MintedAt: it.Minted, ExpiresAt: it.Expires}
	return Entry{Token: token, DatabaseHost: it.DatabaseHost, User: it.User, Fingerprint: it.Fingerprint}, nil
}

// Description describes a stored token without its secret.
type Description struct {
	Host         string    `json:"host"`
	Identity     string    `json:"identity"` // name of a config.AuthType
	ClientID     string    `json:"client_id"`
	Endpoint     string    `json:"endpoint"`           // empty with Instance
	Instance     string    `json:"instance,omitempty"` // of Lakebase Provisioned
	ReadOnly     bool      `json:"read_only,omitempty"`
	DatabaseHost string    `json:"database_host,omitempty"`
	ExpiresAt    time.Time `json:"expires_at"`
}

// Describe describes an item of a store.
func Describe(ctx context.Context, s Store, id string) (Description, error) {
	text, err := s.Get(ctx, id)
	if err != nil {
		return Description{}, err
	}
	return describe(text)
}

func describe(text credential.Secret) (Description, error) {
	it, err := parse(text)
	d := Description{Host: it.Host, Identity: it.Identity, ClientID: it.Principal, Endpoint: it.Target, ReadOnly: it.ReadOnly,
		DatabaseHost: it.DatabaseHost, ExpiresAt: it.Expires}
	if name, ok := strings.CutPrefix(it.Target, credential.InstancePrefix); ok {
		d.Endpoint, d.Instance = "", name
	}
	return d, err
}
