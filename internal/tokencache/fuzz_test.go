package tokencache

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// decode returns the entry that was encoded, or an error that does not quote the item.
func FuzzItem(f *testing.F) {
	for _, text := range []string{
		encode(key, entry("token-of-the-corpus")).Reveal(), `{"version":2}`, `{"version":"2"}`, `{}`, `null`, `[`, "\x00", `{"token":{"a":[[[]]]}}`,
		strings.Replace(encode(key, entry("x")).Reveal(), "h.example", "other.example", 1),
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := decode(credential.NewSecret(text), key)
		d, described := describe(credential.NewSecret(text))
		if err != nil {
			if err != errForeign && err != errUnreadable || (err == errUnreadable) != (described != nil) {
				t.Fatalf("got decode error %v, describe error %v", err, described)
			}
			return
		}
		if described != nil || d.Host != key.Host || d.ClientID != key.Principal || d.Endpoint != key.Target {
			t.Fatalf("got description %+v, %v; want that of %+v", d, described, key)
		}
		if y := e.Token.ExpiresAt.Year(); y < 0 || y > 9999 { // not valid in JSON
			return
		}
		again, err := decode(encode(key, e), key)
		if err != nil || !again.Token.Value.Equal(e.Token.Value) || !again.Token.ExpiresAt.Equal(e.Token.ExpiresAt) ||
			!again.Token.MintedAt.Equal(e.Token.MintedAt) || again.User != e.User || again.DatabaseHost != e.DatabaseHost || again.Fingerprint != e.Fingerprint {
			t.Fatalf("got %+v, %v; want %+v", again, err, e)
		}
	})
}

// decode accepts the item of the same key only.
func FuzzKey(f *testing.F) {
	f.Add("h.example", "c", "projects/p/branches/b/endpoints/e", "other", int64(60))
	f.Add("", "\xff", "a\nb", "\xfe", int64(-1))
	f.Fuzz(func(t *testing.T, host, principal, target, other string, ttl int64) {
		for _, s := range []string{host, principal, target, other} {
			if !utf8.ValidString(s) {
				return // rejected by internal/config
			}
		}
		mine := credential.Key{Identity: "oauth-m2m", Host: host, Principal: principal, Target: target, TTL: time.Duration(ttl), Credential: "database"}
		if _, err := decode(encode(mine, entry("t")), mine); err != nil {
			t.Fatalf("key %+v: got %v for its own item", mine, err)
		}
		for _, theirs := range []credential.Key{
			{Identity: "oauth-m2m", Host: other, Principal: principal, Target: target, TTL: mine.TTL, Credential: "database"},
			{Identity: "oauth-m2m", Host: host, Principal: other, Target: target, TTL: mine.TTL, Credential: "database"},
			{Identity: "oauth-m2m", Host: host, Principal: principal, Target: other, TTL: mine.TTL, Credential: "database"},
		} {
			if _, err := decode(encode(mine, entry("t")), theirs); (err == nil) != (theirs == mine) {
				t.Fatalf("item of %+v for %+v: got %v", mine, theirs, err)
			}
			if (theirs.ID() == mine.ID()) != (theirs == mine) {
				t.Fatalf("%+v and %+v: got equal IDs, want different ones", mine, theirs)
			}
		}
	})
}
