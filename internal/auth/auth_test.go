package auth

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

func TestChain_NamedStrategies(t *testing.T) {
	f := newFake().login(ada)
	f.toolOut = `{"access_token":"bearer"}`
	f.stored[config.SecretAccount("dbc-1.cloud.databricks.com", client)] = secretText
	keys := map[string]string{}
	for _, name := range []string{AuthM2M, AuthBrowser, AuthEnvOIDC, AuthFileOIDC, AuthGitHubOIDC, AuthPAT, AuthCLI} {
		more := []string{"auth", name, "DATABRICKS_HOST", "https://dbc-1.cloud.databricks.com", "DATABRICKS_TOKEN", "t", "DATABRICKS_OIDC_TOKEN", "workload",
			"ACTIONS_ID_TOKEN_REQUEST_URL", "https://github.example/token?x=1", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "request"}
		if name == AuthFileOIDC {
			more = append(more, "DATABRICKS_OIDC_TOKEN_FILEPATH", tokenFile(t, "workload"))
		}
		if !configType(name).ClientID {
			more = append(more, "DATABRICKS_CLIENT_ID", "")
			f.stored[config.RefreshAccount("dbc-1.cloud.databricks.com", ada)] = "refresh-0"
		}
		conf := resolve(t, more...)
		id, err := token(t, f.chain(conf))
		if err != nil || id.Type != name {
			t.Errorf("%s: got %+v, %v", name, id, err)
		}
		key := id.Key(conf).ID()
		if keys[key] != "" || id.Key(conf) == id.WorkspaceKey(conf) && conf.Target() != "" {
			t.Errorf("%s and %s have the same key", name, keys[key])
		}
		keys[key] = name
	}
}

func TestChain_Default(t *testing.T) {
	f := newFake().login(ada)
	f.stored[config.SecretAccount("w.example", client)] = secretText
	if id, err := token(t, f.chain(resolve(t))); err != nil || id.Type != AuthM2M || id.Principal != client || id.User != client {
		t.Errorf("with a client ID: got %+v, %v", id, err)
	}
	if id, err := token(t, f.chain(resolveUser(t))); err != nil || id.Type != AuthBrowser || id.Principal != ada || id.User != ada || !id.Shared {
		t.Errorf("without one: got %+v, %v", id, err)
	}
	if id, err := token(t, f.chain(resolveUser(t, "user", "analysts"))); err != nil || id.Principal != ada || id.User != "analysts" {
		t.Errorf("with a group's role: got %+v, %v", id, err)
	}
}

// Two identities must never have one cache key.
func TestIdentity_Key(t *testing.T) {
	f := newFake().login(ada, "bob@example.com")
	keys := map[credential.Key]string{}
	for name, conf := range map[string]config.Config{
		"client":        resolve(t, "DATABRICKS_CLIENT_SECRET", secretText),
		"ada":           resolveUser(t, "user", ada),
		"bob":           resolveUser(t, "user", "bob@example.com"),
		"pat":           resolveUser(t, "DATABRICKS_TOKEN", "t"),
		"cli":           resolveUser(t, "auth", AuthCLI),
		"cli as a role": resolveUser(t, "auth", AuthCLI, "user", "analysts"),
	} {
		err := f.chain(conf).Do(t.Context(), func(_ Source, id Identity) error {
			key := id.Key(conf)
			if other := keys[key]; other != "" {
				t.Errorf("%s and %s have the key %+v", name, other, key)
			}
			keys[key] = name
			return nil
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, section := range []string{"one", "two"} {
		conf := resolveUser(t, "auth", AuthCLI, "user", "analysts")
		conf.DatabricksProfile.Value = section
		if key := KnownIdentity(conf).Key(conf); keys[key] != "" {
			t.Errorf("sections share the key %+v", key)
		} else {
			keys[key] = section
		}
	}
}

func TestKnownIdentity_IsTheOneOfTheChain(t *testing.T) {
	f := newFake().login(ada)
	for _, conf := range []config.Config{resolve(t, "DATABRICKS_CLIENT_SECRET", secretText), resolveUser(t, "user", ada), resolveUser(t, "DATABRICKS_TOKEN", "t"), resolveUser(t, "auth", AuthCLI)} {
		err := f.chain(conf).Do(t.Context(), func(_ Source, id Identity) error {
			if got, want := KnownIdentity(conf).Key(conf), id.Key(conf); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func TestChain_KeepsToWhatWorked(t *testing.T) {
	f := newFake()
	chain := f.chain(resolve(t, "DATABRICKS_HOST", "https://dbc-1.cloud.databricks.com", "ACTIONS_ID_TOKEN_REQUEST_URL", "https://github.example/token?x=1", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "r", "audience", "a"))
	for _, want := range []string{"get github:a federation", "github:a federation"} {
		if _, err := token(t, chain); err != nil || f.took() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestHinterFor(t *testing.T) {
	for name, want := range map[string]bool{AuthPAT: true, AuthCLI: true, AuthGitHubOIDC: false, AuthM2M: false, "": false} {
		conf := config.Config{Auth: config.Value[string]{Value: name}}
		if got := HinterFor(conf) != nil; got != want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestErrors_NotConfigured(t *testing.T) {
	if !errors.Is(&NoSecretError{Err: errMissing{}}, ErrNotConfigured) || errors.Is(&NoLoginError{}, ErrNotConfigured) {
		t.Error("NoSecretError alone lets the chain go on")
	}
}

func configType(name string) config.AuthType {
	t, _ := config.LookupAuthType(name)
	return t
}

// The table of config and the strategies have the same authentication types.
func TestStrategies_AreThoseOfTheConfiguration(t *testing.T) {
	var got []string
	for _, s := range strategies(Deps{}) {
		got = append(got, s.Name())
	}
	want := config.AuthTypeNames()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got the strategies %q, want %q", got, want)
	}
}

// Each setting that decides about the token changes its key.
func TestIdentity_KeyOfEachSetting(t *testing.T) {
	key := func(more ...string) credential.Key {
		conf := resolve(t, append([]string{"DATABRICKS_HOST", "h.example:8443/?o=1", "LAKEBASE_ENDPOINT", "projects/p/branches/b/endpoints/e", "ttl", "30m"}, more...)...)
		return KnownIdentity(conf).Key(conf)
	}
	want := credential.Key{Identity: AuthM2M, Host: "h.example:8443", WorkspaceID: "1", Principal: client, Target: "projects/p/branches/b/endpoints/e", TTL: 30 * time.Minute, Credential: "database"}
	if got := key(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	seen := map[string]string{key().ID(): "none"}
	for _, more := range [][]string{{"DATABRICKS_HOST", "i.example:8443/?o=1"}, {"DATABRICKS_HOST", "h.example:8443/?o=2"}, {"DATABRICKS_CLIENT_ID", "d"},
		{"endpoint", "projects/q/branches/b/endpoints/e"}, {"ttl", "31m"}, {"read-only", "true"},
		{"DATABRICKS_HOST", "localhost", "DATABRICKS_OIDC_TOKEN", "j"}, {"DATABRICKS_CLIENT_ID", "", "DATABRICKS_TOKEN", "t"}} {
		id := key(more...).ID()
		if seen[id] != "" {
			t.Errorf("%q and %s have the same key", more, seen[id])
		}
		seen[id] = more[0]
	}
	github := []string{"DATABRICKS_HOST", "localhost", "auth", AuthGitHubOIDC, "ACTIONS_ID_TOKEN_REQUEST_URL", "https://g.example/?a=b", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "r"}
	a, b := key(append(github, "audience", "a")...), key(append(github, "audience", "b")...)
	if a.ID() == b.ID() || a.Audience == "" || key(github...).Audience != "" {
		t.Errorf("an option of the authentication type is not part of the key: %+v, %+v", a, b)
	}
	if other := key("audience", "a"); other.Audience != "" {
		t.Errorf("an option of another authentication type is part of the key: %+v", other)
	}
}
