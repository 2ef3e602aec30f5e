package secretfile

import (
	"strings"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// A valid file holds either a service principal's secret or a user's login.
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
		// The account is that of the content, not of the file's name.
		if again, ok := newItem(it.account(), credential.NewSecret(it.secret())); ok && again.account() != it.account() {
			t.Fatalf("%q is for %q and %q", data, it.account(), again.account())
		}
	})
}
