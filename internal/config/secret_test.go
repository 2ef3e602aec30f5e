package config

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// TestSecret_Owner goes through all combinations of what the environment says of
// its target with where a secret is given.
func TestSecret_Owner(t *testing.T) {
	const secret = "dose-0123456789"
	hosts := map[string]bool{ // value of DATABRICKS_HOST → belongs to the target
		"": true, "t.cloud.databricks.com": true, "HTTPS://t.cloud.databricks.com.": true, "other.cloud.databricks.com": false,
		"t.cloud.databricks.com:8443": false, "not a host": false,
	}
	clients := map[string]bool{"": true, "target-client": true, " target-client ": true, "Target-Client": false, "other-client": false}
	inOption := SecretSource{Kind: SecretInFile, Path: "/home/me/dir/option.txt", Source: Source{FromOption, "--client-secret-file"}}
	inFile := SecretSource{Kind: SecretInFile, Path: "/home/me/dir/secret.txt", Source: Source{FromEnvironment, "DATABRICKS_CLIENT_SECRET_FILE"}}
	inText := SecretSource{Kind: SecretInEnvironment, Source: Source{FromEnvironment, "DATABRICKS_CLIENT_SECRET"}}
	for host, sameHost := range hosts {
		for client, sameClient := range clients {
			for i := range 8 {
				text, file, option, ours := i&1 > 0, i&2 > 0, i&4 > 0, sameHost && sameClient
				g := given{env: map[string]string{"DATABRICKS_HOST": host, "DATABRICKS_CLIENT_ID": client},
					options: map[string]string{"host": "https://T.cloud.databricks.com:443/?o=1", "client-id": "target-client", "endpoint": anEndpoint}}
				want := SecretSource{}
				if file {
					g.env["DATABRICKS_CLIENT_SECRET_FILE"] = "secret.txt"
				}
				if text {
					g.env["DATABRICKS_CLIENT_SECRET"] = " " + secret + "\n"
				}
				switch {
				case option:
					g.options["client-secret-file"] = "option.txt"
					want = inOption
				case ours && text && file:
					_, err := g.resolve()
					refused(t, err, "DATABRICKS_CLIENT_SECRET", "DATABRICKS_CLIENT_SECRET_FILE", "unset one")
					continue
				case ours && text:
					want = inText
				case ours && file:
					want = inFile
				}
				c := g.must(t)
				got := c.Secret
				if (got.Kind == SecretInEnvironment) != (got.Text.Reveal() == secret) || got.Kind != want.Kind || filepath.ToSlash(got.Path) != want.Path || got.Source != want.Source {
					t.Errorf("%v %v: got %+v, want %+v", g.env, g.options, got, want)
				}
				for variable, set := range map[string]bool{"DATABRICKS_CLIENT_SECRET": text, "DATABRICKS_CLIENT_SECRET_FILE": file} {
					if n := notes(c, variable); (set && !ours) != strings.Contains(n, "not used: it belongs to DATABRICKS_") {
						t.Errorf("%v %v: %s: got note %q", g.env, g.options, variable, n)
					}
				}
				if strings.Contains(fmt.Sprintf("%+v %v", c, c.Notes), secret) {
					t.Errorf("%v %v: the secret is printed", g.env, g.options)
				}
			}
		}
	}
}

// What is copied with a secret, a client ID or a host is removed, or refused by its name
// and position.
func TestCopiedCharacters(t *testing.T) {
	for name, want := range map[string]struct {
		value, what string
		get         func(Config) string
	}{
		"DATABRICKS_CLIENT_SECRET": {"dose-hunter2", "is not a secret: it contains", func(c Config) string { return c.Secret.Text.Reveal() }},
		"DATABRICKS_TOKEN":         {"dapi-hunter2", "is not a token: it contains", func(c Config) string { return c.Secret.Text.Reveal() }},
		"DATABRICKS_OIDC_TOKEN":    {"eyJhunter2.J9-_~+/=.x", "is not a token: it contains", func(c Config) string { return c.Secret.Text.Reveal() }},
		"DATABRICKS_CLIENT_ID":     {"5f2b-client", "is not a client ID: it contains", func(c Config) string { return c.ClientID.Value }},
		"DATABRICKS_HOST":          {"https://h.cloud.databricks.com", "not valid in a host", func(c Config) string { return c.Workspace.Value.String() }},
	} {
		for _, around := range []string{"\ufeff%s", "%s\r\n", "\u00a0%s\u2003", "\ufeff \t%s\ufeff\n"} {
			c := given{env: env(name, strings.ReplaceAll(around, "%s", want.value))}.must(t)
			if want.get(c) != want.value {
				t.Errorf("%s=%q: got %q", name, around, want.get(c))
			}
		}
		for around, character := range map[string]string{
			`"%s"`: `'"' at position 1`, "'%s'": `'\'' at position 1`, "\u200b%s": `'\u200b' at position 1`, "\u201c%s\u201d": `'\u201c' at position 1`,
			"%s\u2060": `'\u2060' at position`, "%s\x00x": `'\x00' at position`, "%s x": "' ' at position", "%s\nx": `'\n' at position`,
		} {
			_, err := given{env: env(name, strings.ReplaceAll(around, "%s", want.value))}.resolve()
			refused(t, err, name, want.what, character)
		}
		if c := (given{env: env(name, ""), options: map[string]string{"host": "h.example"}}).must(t); c.Auth.Value != "" {
			t.Errorf("an empty %s: got %+v", name, c.Auth)
		}
	}
	for name, what := range map[string]string{"DATABRICKS_CLIENT_SECRET": "a secret", "DATABRICKS_TOKEN": "a token", "DATABRICKS_OIDC_TOKEN": "a token"} {
		_, err := given{env: env(name, " \n\ufeff")}.resolve()
		refused(t, err, name, "is not "+what+": it is blank")
	}
}

func TestAccounts(t *testing.T) {
	for _, host := range []string{"h.example", "h.example:8443", "[::1]", "[::1]:8443", "127.0.0.1:1"} {
		accounts := map[string]Account{SecretAccount(host, "client"): {Host: host, ClientID: "client"}}
		for _, user := range []string{"ada@example.com", "a:b", "ada:", "8443", ":x", "[x]"} {
			accounts[RefreshAccount(host, user)] = Account{Host: host, User: user}
		}
		for name, want := range accounts {
			if got, ok := ParseAccount(name); !ok || got != want || got.String() != name {
				t.Errorf("%s: got %+v, %v", name, got, ok)
			}
		}
	}
	for _, a := range []string{"token:x", "secret:", "secret:x", "index", "", "refresh:", "refresh:h", "refresh:h:", "refresh::u", "refresh:[::1]", "refresh:[::1]u", "refresh:[::1:u", "refresh:h:8443:"} {
		if got, ok := ParseAccount(a); ok {
			t.Errorf("%q: got the account %+v", a, got)
		}
	}
	c := given{env: env("DATABRICKS_HOST", "H.example:8443")}.must(t)
	if got := c.SecretAccount(); got != "secret:h.example:8443:env-client" || RefreshAccount("h", "u") != "refresh:h:u" || RecordAccount("h", "c") != "meta:h:c" {
		t.Errorf("got %s", got)
	}
	if u, err := CheckUser("ada@example.com", "the workspace"); err != nil || u != "ada@example.com" {
		t.Errorf("got %q, %v", u, err)
	}
	for name, why := range map[string]string{"": "is empty", "a\x1bb": "control character", "a\xff": "not UTF-8", "8443:ada": "begins like a port"} {
		_, err := CheckUser(name, "the workspace")
		refused(t, err, "the workspace", why)
	}
}
