package auth

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// ofType returns a configuration of a job with all credentials and that authentication
// type; more is as for resolve.
func ofType(t *testing.T, name string, more ...string) config.Config {
	t.Helper()
	all := []string{"auth", name, "DATABRICKS_TOKEN", "t", "DATABRICKS_OIDC_TOKEN", "workload", "DATABRICKS_OIDC_TOKEN_FILEPATH", tokenFile(t, "workload")}
	if kind, _ := config.LookupAuthType(name); !kind.ClientID {
		all = append(all, "DATABRICKS_CLIENT_ID", "")
	}
	if name == AuthNative {
		all = append(all, "PGHOST", "ep-1", "PGUSER", "app")
	}
	return job(t, append(all, more...)...)
}

// Each authentication type of the configuration has a strategy.
func TestChain_NamedStrategies(t *testing.T) {
	f := newFake().login(ada)
	f.toolOut = `{"access_token":"bearer"}`
	f.stored[config.SecretAccount("dbc-1.cloud.databricks.com", client)] = secretText
	f.stored[config.NativeAccount("ep-1:5432", "app")] = "a b"
	f.stored[config.RefreshAccount("dbc-1.cloud.databricks.com", ada)] = "refresh-0"
	for _, s := range strategies {
		var options []string
		for _, o := range config.Settings() {
			if o.AuthType == s.name {
				options = append(options, o.Option, "x")
			}
		}
		if id, err := token(t, f.chain(ofType(t, s.name, options...))); err != nil || id.Type != s.name {
			t.Errorf("%s: got %+v, %v", s.name, id, err)
		}
	}
	for _, name := range config.AuthTypeNames() {
		if !slices.ContainsFunc(strategies, func(s strategy) bool { return s.name == name }) {
			t.Errorf("%s has no strategy", name)
		}
	}
}

// A native password is read again at each refresh, for its own database host only.
func TestNative(t *testing.T) {
	f := newFake()
	f.stored[config.NativeAccount("ep-2:5432", "app")] = "other"
	var missing *NoSecretError
	if _, err := token(t, f.chain(ofType(t, AuthNative))); !errors.As(err, &missing) || missing.Host != "ep-1:5432" || missing.Role != "app" || f.took() != "get" {
		t.Errorf("another host: got %v", err)
	}
	f.stored[config.NativeAccount("ep-1:5432", "app")] = "bearer"
	chain := f.chain(ofType(t, AuthNative))
	if _, err := token(t, chain); err != nil || f.took() != "get" {
		t.Errorf("got %v", err)
	}
	if err := refreshed(t.Context(), chain); err == nil || !strings.Contains(err.Error(), "still the one") {
		t.Errorf("the refused password: got %v", err)
	}
	f.stored[config.NativeAccount("ep-1:5432", "app")] = "changed"
	if err := refreshed(t.Context(), chain); err != nil || f.took() != "read read" {
		t.Errorf("a changed password: got %v", err)
	}
	if _, err := token(t, f.chain(ofType(t, AuthNative, "native-password-file", "/f"))); err != nil || f.took() != "file:/f" {
		t.Errorf("a file: got %v", err)
	}
}

// Each option of one authentication type changes the keys of that type's tokens only, as
// tokens of two values may be those of two identities.
func TestIdentity_KeyOfAuthOptions(t *testing.T) {
	inAnyKey := []string{"auth", "client-id", "client-secret-file", "native-password-file", "databricks-profile", "scope", "timeout"} // as type, principal, fingerprint, options; not at all
	for _, s := range config.Settings() {
		if s.AuthType == "" {
			if s.Category == config.CategoryAuth && !slices.Contains(inAnyKey, s.Option) {
				t.Errorf("--%s: set its AuthType, so that it is in the key of cached tokens", s.Option)
			}
			continue
		}
		for _, name := range config.AuthTypeNames() {
			seen := map[string]bool{}
			for _, more := range [][]string{nil, {s.Option, "a"}, {s.Option, "b"}} {
				conf := ofType(t, name, more...)
				id := KnownIdentity(conf)
				seen[id.Key(conf).ID()], seen[id.WorkspaceKey(conf).ID()] = true, true
			}
			if want := map[bool]int{true: 6, false: 2}[name == s.AuthType]; len(seen) != want {
				t.Errorf("--auth %s --%s: got %d keys for no value and two values, want %d", name, s.Option, len(seen), want)
			}
		}
	}
}

func TestChain_Default(t *testing.T) {
	f := withSecret().login(ada)
	for _, c := range []struct {
		conf config.Config
		want Identity
	}{
		{resolve(t), Identity{Type: AuthM2M, Principal: client, User: client}},
		{resolveUser(t), Identity{Type: AuthBrowser, Principal: ada, User: ada, Shared: true}},
		{resolveUser(t, "user", "analysts"), Identity{Type: AuthBrowser, Principal: ada, User: "analysts", Shared: true}}, // a group's role
	} {
		if id, err := token(t, f.chain(c.conf)); err != nil || id != c.want {
			t.Errorf("got %+v, %v; want %+v", id, err, c.want)
		}
	}
	// A chain keeps to what worked.
	f = newFake()
	chain := f.chain(job(t, "audience", "a"))
	for _, want := range []string{"get github:a federation", "github:a federation"} {
		if _, err := token(t, chain); err != nil || f.took() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// Two identities never have one cache key, and KnownIdentity has that of the chain.
func TestIdentity_Key(t *testing.T) {
	f := newFake().login(ada, "bob@example.com")
	section := func(name string) config.Config {
		conf := resolveUser(t, "auth", AuthCLI, "user", "analysts")
		conf.DatabricksProfile.Value = name
		return conf
	}
	keys := map[credential.Key]string{}
	for name, conf := range map[string]config.Config{
		"client":        resolve(t, "DATABRICKS_CLIENT_SECRET", secretText),
		"ada":           resolveUser(t, "user", ada),
		"bob":           resolveUser(t, "user", "bob@example.com"),
		"pat":           resolveUser(t, "DATABRICKS_TOKEN", "t"),
		"cli":           resolveUser(t, "auth", AuthCLI),
		"cli as a role": resolveUser(t, "auth", AuthCLI, "user", "analysts"),
		"one section":   section("one"),
		"another":       section("two"),
	} {
		err := f.chain(conf).Do(t.Context(), func(_ Source, id Identity) error {
			key := id.Key(conf)
			if other := keys[key]; other != "" || key != KnownIdentity(conf).Key(conf) {
				t.Errorf("%s: got the key %+v, of %q", name, key, other)
			}
			keys[key] = name
			return nil
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestIdentity_KeyOfSettings(t *testing.T) {
	conf := resolve(t, "DATABRICKS_HOST", "h.example:8443/?o=1", "endpoint", "projects/p/branches/b/endpoints/e", "ttl", "30m", "read-only", "true", "pooled", "true", "scope", "sql,postgres")
	want := credential.Key{Identity: AuthM2M, Host: "h.example:8443", WorkspaceID: "1", Principal: client, Target: "projects/p/branches/b/endpoints/e",
		TTL: 30 * time.Minute, Credential: "database", ReadOnly: true, Pooled: true, Options: `scope="postgres sql" `}
	if got := KnownIdentity(conf).Key(conf); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
