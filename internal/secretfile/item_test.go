package secretfile

import (
	"strings"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// A file of a stored secret is a service principal's or a person's, whole, or none.
func FuzzItem(f *testing.F) {
	for _, s := range []string{
		`{"version":1,"host":"h","client_id":"c","client_secret":"s"}`, `{"version":1,"host":"h","user":"u","refresh_token":"r"}`,
		`{"version":1,"host":"h","user":"u","refresh_token":"r","client_secret":"s"}`, `{"version":1,"client_secret":"a\nb"}`, `{`, `null`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		it, ok := parseItem(data)
		if !ok {
			return
		}
		if it.secret() == "" || strings.ContainsAny(it.secret(), "\x00\r\n") || (it.ClientSecret == "") == (it.RefreshToken == "") {
			t.Fatalf("%q is taken", data)
		}
		// What a file says is for the account that its content names, whatever its own name.
		if again, ok := newItem(it.account(), credential.NewSecret(it.secret())); ok && again.account() != it.account() {
			t.Fatalf("%q is for %q and %q", data, it.account(), again.account())
		}
	})
}
