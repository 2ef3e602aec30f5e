package tokencache

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

const itemVersion = 1

// item is the stored form of an Entry. It includes the fields of its key, which are
// compared when it is read.
type item struct {
	Version      int       `json:"version"`
	Identity     string    `json:"identity"`
	Host         string    `json:"host"`
	WorkspaceID  string    `json:"workspace_id,omitempty"`
	Principal    string    `json:"principal"`
	Audience     string    `json:"audience,omitempty"`
	Target       string    `json:"target"`
	TTL          string    `json:"ttl,omitempty"`
	Credential   string    `json:"credential"`
	ReadOnly     bool      `json:"read_only,omitempty"`
	Token        string    `json:"token"`
	Minted       time.Time `json:"minted"`
	Expires      time.Time `json:"expires"`
	DatabaseHost string    `json:"database_host,omitempty"`
	User         string    `json:"user,omitempty"`
	Fingerprint  string    `json:"fingerprint,omitempty"`
}

func ttlText(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

func encode(key credential.Key, e Entry) credential.Secret {
	text, err := json.Marshal(item{
		Version: itemVersion, Identity: key.Identity, Host: key.Host, WorkspaceID: key.WorkspaceID,
		Principal: key.Principal, Audience: key.Audience, Target: key.Target, TTL: ttlText(key.TTL), Credential: key.Credential, ReadOnly: key.ReadOnly,
		Token: e.Token.Value.Reveal(), Minted: e.Token.MintedAt.UTC(), Expires: e.Token.ExpiresAt.UTC(),
		DatabaseHost: e.DatabaseHost, User: e.User, Fingerprint: e.Fingerprint,
	})
	if err != nil { // not possible with strings and times
		return credential.Secret{}
	}
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
	if err != nil {
		return Entry{}, err
	}
	if it.Identity != key.Identity || it.Host != key.Host || it.WorkspaceID != key.WorkspaceID || it.Principal != key.Principal ||
		it.Audience != key.Audience || it.Target != key.Target || it.TTL != ttlText(key.TTL) || it.Credential != key.Credential || it.ReadOnly != key.ReadOnly {
		return Entry{}, errForeign
	}
	return Entry{
		Token:        credential.Token{Value: credential.NewSecret(it.Token), MintedAt: it.Minted, ExpiresAt: it.Expires},
		DatabaseHost: it.DatabaseHost, User: it.User,
		Fingerprint: it.Fingerprint,
	}, nil
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
	User         string    `json:"user,omitempty"`
	ExpiresAt    time.Time `json:"expires_at"`
}

func describe(text credential.Secret) (Description, error) {
	it, err := parse(text)
	if err != nil {
		return Description{}, err
	}
	d := Description{Host: it.Host, Identity: it.Identity, ClientID: it.Principal, Endpoint: it.Target, ReadOnly: it.ReadOnly, DatabaseHost: it.DatabaseHost, ExpiresAt: it.Expires}
	if name, ok := strings.CutPrefix(it.Target, credential.InstancePrefix); ok {
		d.Endpoint, d.Instance = "", name
	}
	return d, nil
}
