package tokencache

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

const itemVersion = 2

// item is the stored form of an Entry. Its key is compared when it is read.
type item struct {
	Version      int            `json:"version"`
	Key          credential.Key `json:"key"`
	Token        string         `json:"token"`
	Minted       time.Time      `json:"minted"`
	Expires      time.Time      `json:"expires"`
	DatabaseHost string         `json:"database_host,omitempty"`
	User         string         `json:"user,omitempty"`
	Fingerprint  string         `json:"fingerprint,omitempty"`
}

func encode(key credential.Key, e Entry) credential.Secret {
	text, _ := json.Marshal(item{ // cannot fail with strings and times
		itemVersion, key, e.Token.Value.Reveal(), e.Token.MintedAt.UTC(), e.Token.ExpiresAt.UTC(), e.DatabaseHost, e.User, e.Fingerprint,
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
	case it.Key != key:
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
	Pooled       bool      `json:"pooled,omitempty"`
	DatabaseHost string    `json:"database_host,omitempty"`
	ExpiresAt    time.Time `json:"expires_at"`
}

// Describe describes an item of a store.
func Describe(ctx context.Context, s Store, id string) (Description, error) {
	text, err := s.Get(ctx, id)
	if err != nil {
		return Description{}, err
	}
	it, err := parse(text)
	d := Description{Host: it.Key.Host, Identity: it.Key.Identity, ClientID: it.Key.Principal, Endpoint: it.Key.Target,
		ReadOnly: it.Key.ReadOnly, Pooled: it.Key.Pooled, DatabaseHost: it.DatabaseHost, ExpiresAt: it.Expires}
	if name, ok := strings.CutPrefix(d.Endpoint, credential.InstancePrefix); ok {
		d.Endpoint, d.Instance = "", name
	}
	return d, err
}
