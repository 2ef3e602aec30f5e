package tokencache

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

const itemVersion = "3"

// item is the stored form of an Entry, with what Describe needs. It is a map because
// encoding/json prepares for a struct at each start, which took a tenth of get's time.
type item map[string]string

func encode(key credential.Key, e Entry) credential.Secret {
	text, _ := json.Marshal(item{ // cannot fail with strings
		"version": itemVersion, "id": key.ID(),
		"identity": key.Identity, "host": key.Host, "principal": key.Principal, "target": key.Target,
		"read_only": strconv.FormatBool(key.ReadOnly), "pooled": strconv.FormatBool(key.Pooled),
		"token": e.Token.Value.Reveal(), "minted": e.Token.MintedAt.UTC().Format(time.RFC3339Nano),
		"expires": e.Token.ExpiresAt.UTC().Format(time.RFC3339Nano), "database_host": e.DatabaseHost,
		"user": e.User, "fingerprint": e.Fingerprint,
	})
	return credential.NewSecret(string(text))
}

var (
	errUnreadable = errors.New("unreadable item")
	errForeign    = errors.New("item of another target")
)

func parse(text credential.Secret) (item, error) {
	var it item
	if json.Unmarshal([]byte(text.Reveal()), &it) != nil || it["version"] != itemVersion {
		return nil, errUnreadable // the error of encoding/json could contain the token
	}
	return it, nil
}

// time returns a time; the zero time, with which no token is fresh, if it is unreadable.
func (it item) time(name string) time.Time {
	t, _ := time.Parse(time.RFC3339Nano, it[name])
	return t
}

func decode(text credential.Secret, id string) (Entry, error) {
	it, err := parse(text)
	switch {
	case err != nil:
		return Entry{}, err
	case it["id"] != id:
		return Entry{}, errForeign
	}
	token := credential.Token{Value: credential.NewSecret(it["token"]), MintedAt: it.time("minted"), ExpiresAt: it.time("expires")}
	return Entry{Token: token, DatabaseHost: it["database_host"], User: it["user"], Fingerprint: it["fingerprint"]}, nil
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
	d := Description{Host: it["host"], Identity: it["identity"], ClientID: it["principal"], Endpoint: it["target"],
		ReadOnly: it["read_only"] == "true", Pooled: it["pooled"] == "true", DatabaseHost: it["database_host"], ExpiresAt: it.time("expires")}
	if name, ok := strings.CutPrefix(d.Endpoint, credential.InstancePrefix); ok {
		d.Endpoint, d.Instance = "", name
	}
	return d, err
}
