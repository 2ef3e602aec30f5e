package config

import (
	"strings"
	"testing"
)

func TestRefreshAccount(t *testing.T) {
	for _, host := range []string{"h.example", "h.example:8443", "[::1]", "[::1]:8443", "127.0.0.1:1"} {
		for _, user := range []string{"ada@example.com", "a:b", "ada:", "8443", ":x", "[x]"} {
			a := RefreshAccount(host, user)
			h, u, ok := SplitRefreshAccount(a)
			if !ok || h != host || u != user || a != "refresh:"+host+":"+user {
				t.Errorf("%s: %q %q %v", a, h, u, ok)
			}
		}
	}
	for _, a := range []string{"secret:h:c", "refresh:", "refresh:h", "refresh:h:", "refresh::u", "refresh:[::1]", "refresh:[::1]u", "refresh:[::1:u", "refresh:h:8443:", "index", ""} {
		if h, u, ok := SplitRefreshAccount(a); ok {
			t.Errorf("%q is taken for the account of %q at %q", a, u, h)
		}
	}
	c := given{env: env("DATABRICKS_HOST", "H.example:8443", "DATABRICKS_CLIENT_ID", ""), options: map[string]string{"auth": "external-browser", "user": "ada@example.com"}}.must(t)
	if c.RefreshAccount() != "refresh:h.example:8443:ada@example.com" {
		t.Error(c.RefreshAccount())
	}
}

func FuzzSplitRefreshAccount(f *testing.F) {
	for _, s := range []string{"refresh:h:u", "refresh:h:1:u", "refresh:[::1]:u", "refresh:[::1]:1:u", "refresh::", "secret:h:u"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if h, u, ok := SplitRefreshAccount(s); ok && (RefreshAccount(h, u) != s || h == "" || u == "") {
			t.Fatalf("%q: %q %q", s, h, u)
		}
	})
}

func TestCheckUser(t *testing.T) {
	if u, err := CheckUser("ada@example.com", "the workspace"); err != nil || u != "ada@example.com" {
		t.Errorf("%q, %v", u, err)
	}
	for name, why := range map[string]string{"": "is empty", "a\x1bb": "control character", "a\xff": "not UTF-8", "8443:ada": "begins like a port"} {
		_, err := CheckUser(name, "the workspace")
		refused(t, err, "the workspace", why)
	}
}

func TestKey_AuthTypes(t *testing.T) {
	sections := "[S]\nhost = env.cloud.databricks.com\n"
	for name, c := range map[string]struct {
		given               given
		identity, principal string
	}{
		"no auth type":     {given{env: env()}, "oauth-m2m", "env-client"},
		"a client id":      {given{env: env("DATABRICKS_AUTH_TYPE", "oauth-m2m")}, "oauth-m2m", "env-client"},
		"a workload":       {given{env: env("DATABRICKS_OIDC_TOKEN", "j")}, "env-oidc", "env-client"},
		"a person":         {given{env: env("DATABRICKS_AUTH_TYPE", "external-browser", "PGUSER", "ada")}, "external-browser", "ada"},
		"no user":          {given{env: env("DATABRICKS_TOKEN", "t")}, "pat", ""},
		"no user, section": {given{env: env("DATABRICKS_AUTH_TYPE", "databricks-cli", "DATABRICKS_CONFIG_PROFILE", "S"), sections: sections}, "databricks-cli", "[S]"},
	} {
		k := c.given.key(t)
		if k.Identity != c.identity || k.Principal != c.principal || strings.Contains(k.Target, "//") {
			t.Errorf("%s: %+v", name, k)
		}
	}
}
