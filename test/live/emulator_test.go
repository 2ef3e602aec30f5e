package live

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// checkEmulator checks all facts in an emulator, and that what was seen can be shown.
func checkEmulator(t *testing.T) map[string]verdict {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	l, err := emulator.Start(ctx, emulator.Options{Settings: emulator.Settings{PooledHost: emulator.NoHost}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	environ := map[string]string{"HOME": t.TempDir()}
	for _, e := range append(l.Env(), "DATABRICKS_AUTH_TYPE=oauth-m2m") {
		name, value, _ := strings.Cut(e, "=")
		environ[name] = value
	}
	w, err := open(ctx, "", environ)
	if err != nil {
		t.Fatal(err)
	}
	defer w.client.CloseIdleConnections()
	verdicts := map[string]verdict{}
	for _, f := range facts {
		seen, v := w.check(ctx, f, time.Minute)
		t.Logf("%s: %s: %s", f.name, v, seen)
		verdicts[f.name] = v
		for _, secret := range []string{l.ClientSecret, l.ClientID} {
			if strings.Contains(seen, secret) {
				t.Errorf("%s: got %q, which reveals %q", f.name, seen, secret)
			}
		}
		if regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8}`).MatchString(seen) {
			t.Errorf("%s: got %q, which reveals a token", f.name, seen)
		}
	}
	return verdicts
}

// The emulator has its own authority, one endpoint at localhost, and here no pooled host, whose name few resolvers know.
func TestFacts_Emulator(t *testing.T) {
	differs := map[string]verdict{
		"an endpoint has a pooled host":                              fails,
		"the database's certificate is signed by a public authority": fails,
		"a startup message without SNI is refused":                   fails,
		"the pooled host accepts a token":                            unknown,
		"the Data API refuses a bad token with 400":                  unknown,
		"an ended token is refused as expired":                       unknown,
	}
	for name, v := range checkEmulator(t) {
		want, ok := differs[name]
		if !ok {
			want = holds
		}
		if v != want {
			t.Errorf("%s: got %q, want %q", name, v, want)
		}
	}
}

func TestPublic(t *testing.T) {
	w := &workspace{secrets: []credential.Secret{credential.NewSecret("hunter2hunter2")}}
	w.shorten("dbc-a1b2c3.cloud.databricks.com", "ep-quiet-sea-12345678", "localhost", "abc")
	got := w.public("at dbc-a1b2c3.cloud.databricks.com,\nep-quiet-sea-12345678 and br-cold-frost-87654321: hunter2hunter2 10.1.2.3 eyJhbGciOi.abc.def dose0123456789abcdef 5f2b1c3d-0000-4000-8000-0123456789ab localhost abc")
	want := "at dbc…, ep-… and br-…: " + credential.Redacted + " 10.… eyJ… dos… 5f2… localhost abc"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
