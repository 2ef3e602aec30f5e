package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

const profilesPath = "/home/u/profiles.ini"

// given is one run's input in short.
type given struct {
	options  map[string]string
	env      map[string]string
	profiles string // the file's text
	sections string // a .databrickscfg's text
	imported string // the section to import
	change   func(*Input)
}

func (g given) resolve() (Config, error) {
	in := Input{Options: map[string][]string{}, Environ: g.env, Dir: "/home/me/dir"}
	for k, v := range g.options {
		in.Options[k] = []string{v}
	}
	in.Profiles = func() (*Profiles, error) {
		return ParseProfiles(profilesPath, []byte(g.profiles))
	}
	in.Databricks = func() (*DatabricksFile, error) {
		return ParseDatabricks("/home/u/.databrickscfg", []byte(g.sections)), nil
	}
	if g.imported != "" {
		in.Import = Value[string]{g.imported, Source{FromOption, "--import"}}
		in.NewProfile, in.NoEndpoint = true, true
	}
	if g.change != nil {
		g.change(&in)
	}
	return Resolve(in)
}

func (g given) must(t *testing.T) Config {
	t.Helper()
	c, err := g.resolve()
	if err != nil {
		t.Fatalf("got error %v", err)
	}
	return c
}

// refused wants an *Error of that name, with each text in its line or its hint. It must
// not show "hunter2", which the tests use as a secret.
func refused(t *testing.T, err error, name string, texts ...string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Errorf("got %v (%T), want an *Error for %s", err, err, name)
		return
	}
	for _, s := range texts {
		if all := e.Error() + " | " + e.Hint(); e.Name != name || e.Hint() == "" || !strings.Contains(all, s) || strings.Contains(all, "hunter2") {
			t.Errorf("got %q (hint %q), want name %q, text %q, and no secret", e.Error(), e.Hint(), name, s)
		}
	}
}

// env is a whole target in the environment; more are name, value pairs on top.
func env(more ...string) map[string]string {
	m := map[string]string{
		"DATABRICKS_HOST":      "env.cloud.databricks.com",
		"DATABRICKS_CLIENT_ID": "env-client",
		"LAKEBASE_ENDPOINT":    "projects/env/branches/b/endpoints/e",
	}
	for i := 0; i+1 < len(more); i += 2 {
		m[more[i]] = more[i+1]
	}
	return m
}

const prodProfile = `[prod]
host = prod.cloud.databricks.com
client_id = prod-client
endpoint = projects/prod/branches/b/endpoints/e
`

var option = Source{FromOption, "--x"}

// notes lists the notes on name.
func notes(c Config, name string) string {
	var out []string
	for _, n := range c.Notes {
		if n.Name == name {
			out = append(out, n.Why)
		}
	}
	return strings.Join(out, "; ")
}

// with returns an input with variables, and with options of name, value pairs.
func with(env map[string]string, nameValue ...string) given {
	g := given{env: env, options: map[string]string{}}
	for i := 0; i < len(nameValue); i += 2 {
		g.options[nameValue[i]] = nameValue[i+1]
	}
	return g
}

// summary returns host, client ID, authentication type and secret of c.
func summary(c Config) string {
	kinds := map[SecretKind]string{SecretInKeychain: "keychain", SecretInEnvironment: "variable", SecretInSection: "section", SecretElsewhere: "cli"}
	return fmt.Sprintf("%s %s %s %s:%s", c.Workspace.Value.HostPort(), c.ClientID.Value, c.Auth.Value, kinds[c.Secret.Kind], c.Secret.Text.Reveal())
}
