package cli

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// A command line is read or refused: what is left is its end, and no value of an
// option has the form of a secret.
func FuzzOptions(f *testing.F) {
	for _, s := range []string{"", "--profile prod -- psql -c x", "-p=prod", "--keep A --keep B", "--host", "--nobody=1", "---", "-", "--=x", "--verbose=maybe x", "--user dose0123456789abcdef0123456789abcdef"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		args := strings.Split(line, " ")
		given, rest, err := parseAll(args...)
		if err != nil {
			var usage *UsageError
			if !errors.As(err, &usage) || usage.Problem == "" {
				t.Fatalf("%q: %v", args, err)
			}
			return
		}
		if !slices.Equal(rest, args[len(args)-len(rest):]) {
			t.Fatalf("%q leaves %q", args, rest)
		}
		for name, values := range given {
			if slices.ContainsFunc(values, credential.HoldsSecret) {
				t.Fatalf("--%s has %q", name, values)
			}
		}
	})
}

// A file of a stored secret is a service principal's or a person's, whole, or none.
func FuzzSecretItem(f *testing.F) {
	for _, s := range []string{
		`{"version":1,"host":"h","client_id":"c","client_secret":"s"}`, `{"version":1,"host":"h","user":"u","refresh_token":"r"}`,
		`{"version":1,"host":"h","user":"u","refresh_token":"r","client_secret":"s"}`, `{"version":1,"client_secret":"a\nb"}`, `{`, `null`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		it, ok := parseSecretItem(data)
		if !ok {
			return
		}
		if it.secret() == "" || strings.ContainsAny(it.secret(), "\x00\r\n") || (it.ClientSecret == "") == (it.RefreshToken == "") {
			t.Fatalf("%q is taken", data)
		}
		// What a file says is for the account that its content names, whatever its own name.
		if again, ok := newSecretItem(it.account(), credential.NewSecret(it.secret())); ok && again.account() != it.account() {
			t.Fatalf("%q is for %q and %q", data, it.account(), again.account())
		}
	})
}
