package config

import (
	"fmt"
	"strings"
	"testing"
)

const (
	targetHost = "https://T.cloud.databricks.com:443/?o=1"
	theSecret  = "dose-0123456789"
)

// TestSecret_Owner goes through all combinations of what the environment says of
// its target with where a secret is given.
func TestSecret_Owner(t *testing.T) {
	hosts := map[string]bool{ // value of DATABRICKS_HOST → belongs to the target
		"": true, "t.cloud.databricks.com": true, "HTTPS://t.cloud.databricks.com.": true, "other.cloud.databricks.com": false,
		"t.cloud.databricks.com:8443": false, "not a host": false,
	}
	clients := map[string]bool{"": true, "target-client": true, " target-client ": true, "Target-Client": false, "other-client": false}
	for host, sameHost := range hosts {
		for client, sameClient := range clients {
			for _, what := range []string{"text", "file", "both", "none"} {
				for _, byOption := range []bool{false, true} {
					g := given{env: map[string]string{"DATABRICKS_HOST": host, "DATABRICKS_CLIENT_ID": client},
						options: map[string]string{"host": targetHost, "client-id": "target-client", "endpoint": "projects/p/branches/b/endpoints/e"}}
					if what == "text" || what == "both" {
						g.env["DATABRICKS_CLIENT_SECRET"] = " " + theSecret + "\n"
					}
					if what == "file" || what == "both" {
						g.env["DATABRICKS_CLIENT_SECRET_FILE"] = "secret.txt"
					}
					if byOption {
						g.options["client-secret-file"] = "option.txt"
					}
					name := fmt.Sprintf("DATABRICKS_HOST=%q DATABRICKS_CLIENT_ID=%q secret=%s option=%v", host, client, what, byOption)
					c, err := g.resolve()
					checkWhose(t, name, c, err, sameHost && sameClient, what, byOption)
				}
			}
		}
	}
}

func checkWhose(t *testing.T, name string, c Config, err error, ours bool, what string, byOption bool) {
	t.Helper()
	if !byOption && ours && what == "both" {
		refused(t, err, "DATABRICKS_CLIENT_SECRET", "DATABRICKS_CLIENT_SECRET_FILE", "unset one")
		return
	}
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	want := SecretSource{Kind: SecretInKeychain}
	switch {
	case byOption:
		want = SecretSource{Kind: SecretInFile, Path: "/home/me/dir/option.txt", Source: Source{FromOption, "--client-secret-file"}}
	case ours && what == "text":
		want = SecretSource{Kind: SecretInEnvironment, Source: Source{FromEnvironment, "DATABRICKS_CLIENT_SECRET"}}
	case ours && what == "file":
		want = SecretSource{Kind: SecretInFile, Path: "/home/me/dir/secret.txt", Source: Source{FromEnvironment, "DATABRICKS_CLIENT_SECRET_FILE"}}
	}
	got := c.Secret
	if got.Kind != want.Kind || got.Path != want.Path || got.Source != want.Source || (got.Kind == SecretInEnvironment) != (got.Text.Reveal() == theSecret) {
		t.Errorf("%s: %+v, want %+v", name, got, want)
	}
	for variable, in := range map[string]string{"DATABRICKS_CLIENT_SECRET": "text", "DATABRICKS_CLIENT_SECRET_FILE": "file"} {
		ignored := !byOption && !ours && (what == in || what == "both")
		if n := notes(c, variable); ignored != strings.Contains(n, "not used: it belongs to DATABRICKS_") {
			t.Errorf("%s: the note on %s is %q", name, variable, n)
		}
	}
	if strings.Contains(fmt.Sprintf("%+v %v", c, c.Notes), theSecret) {
		t.Errorf("%s: the secret is printed", name)
	}
}

func TestSecret_WithProfile(t *testing.T) {
	g := given{env: map[string]string{"DATABRICKS_CLIENT_SECRET": theSecret}, options: map[string]string{"profile": "prod"}, profiles: prodProfile}
	if c := g.must(t); c.Secret.Text.Reveal() != theSecret {
		t.Errorf("a secret of no named target is not used: %+v, %v", c.Secret, c.Notes)
	}
	g.env["DATABRICKS_HOST"] = "other.cloud.databricks.com"
	c := g.must(t)
	if n := notes(c, "DATABRICKS_CLIENT_SECRET"); c.Secret.Kind != SecretInKeychain || !strings.Contains(n, "DATABRICKS_HOST") || !strings.Contains(n, "prod.cloud.databricks.com") {
		t.Errorf("another target's secret is used: %+v, noted as %q", c.Secret, n)
	}
}

func TestSecret_Invalid(t *testing.T) {
	for _, s := range []string{" \n", "a\x01b", "a\nb"} {
		_, err := given{env: env("DATABRICKS_CLIENT_SECRET", s)}.resolve()
		refused(t, err, "DATABRICKS_CLIENT_SECRET", "not a secret")
	}
	_, err := given{env: env(), options: map[string]string{"client-secret-file": "a\x00b"}}.resolve()
	refused(t, err, "--client-secret-file", "NUL")
	_, err = given{env: env("DATABRICKS_CLIENT_SECRET_FILE", "a\x00b")}.resolve()
	refused(t, err, "DATABRICKS_CLIENT_SECRET_FILE", "NUL")
}

func TestSecretAccount(t *testing.T) {
	for _, host := range []string{"h.example", "h.example:8443", "[::1]", "[::1]:8443"} {
		a := SecretAccount(host, "client")
		h, id, ok := SplitSecretAccount(a)
		if !ok || h != host || id != "client" || !strings.HasPrefix(a, "secret:") {
			t.Errorf("%s: %q %q %v", a, h, id, ok)
		}
	}
	for _, a := range []string{"token:x", "secret:", "secret:x", "index", ""} {
		if _, _, ok := SplitSecretAccount(a); ok {
			t.Errorf("%q is taken for a secret's account", a)
		}
	}
	c := given{env: env("DATABRICKS_HOST", "H.example:8443")}.must(t)
	if c.SecretAccount() != "secret:h.example:8443:env-client" {
		t.Error(c.SecretAccount())
	}
}

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
	for _, a := range []string{"secret:h:c", "refresh:", "refresh:h", "refresh:h:", "refresh::u", "refresh:[::1]", "refresh:[::1]u", "refresh:[::1:u", "index", ""} {
		if h, u, ok := SplitRefreshAccount(a); ok {
			t.Errorf("%q is taken for the account of %q at %q", a, u, h)
		}
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

// What is copied with a secret, a client ID or a host is removed, or refused by its name
// and position; a secret is not shown.
func TestCopiedCharacters(t *testing.T) {
	for name, want := range map[string]struct{ value, what string }{
		"DATABRICKS_CLIENT_SECRET": {"dose-canary", "is not a secret: it contains"},
		"DATABRICKS_TOKEN":         {"dapi-canary", "is not a token: it contains"},
		"DATABRICKS_CLIENT_ID":     {"5f2b-client", "is not a client ID: it contains"},
		"DATABRICKS_HOST":          {"https://h.example", "not valid in a host"},
	} {
		get := func(c Config) string {
			switch name {
			case "DATABRICKS_CLIENT_ID":
				return c.ClientID.Value
			case "DATABRICKS_HOST":
				return c.Workspace.Value.String()
			}
			return c.Secret.Text.Reveal()
		}
		for _, around := range []string{"\ufeff%s", "%s\r\n", "\u00a0%s\u2003", "\ufeff \t%s\ufeff\n"} {
			c := given{env: env(name, strings.ReplaceAll(around, "%s", want.value))}.must(t)
			if get(c) != want.value {
				t.Errorf("%s=%q: got %q", name, around, get(c))
			}
		}
		for around, character := range map[string]string{
			`"%s"`: `a quotation mark (") at position 1`, "'%s'": "a quotation mark (') at position 1", "\u200b%s": "a zero-width space (U+200B) at position 1",
			"\u201c%s\u201d": "a quotation mark (U+201C) at position 1", "%s\u2060": "a word joiner (U+2060) at position", "%s\x00x": "a NUL (U+0000) at position", "%s x": "a space (U+0020) at position",
		} {
			_, err := given{env: env(name, strings.ReplaceAll(around, "%s", want.value))}.resolve()
			refused(t, err, name, want.what, character)
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("%s: the secret is shown: %v", name, err)
			}
		}
	}
}
