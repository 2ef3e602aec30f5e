package cli

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/broker"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
)

func TestReadWorkloadToken(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	from := config.Source{Origin: config.FromEnvironment, Name: "DATABRICKS_OIDC_TOKEN_FILEPATH"}
	read := func(path string) (credential.Secret, error) {
		return readWorkloadToken(config.SecretSource{Kind: config.SecretInFile, Path: path, Source: from})
	}
	link := filepath.Join(dir, "link") // as Kubernetes projects it
	if err := os.Symlink(file("token", "eyJ.token\n"), link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "token"), link, file("long", strings.Repeat("a", maxWorkloadToken))} {
		if s, err := read(path); err != nil || s.IsZero() || strings.ContainsAny(s.Reveal(), "\n ") {
			t.Errorf("%s: %v", path, err)
		}
	}
	for path, problem := range map[string]string{
		filepath.Join(dir, "none"): "no such file", dir: "not a regular file", file("empty", " \n"): "is empty",
		file("too-long", strings.Repeat("a", maxWorkloadToken+1)): "longer than 64 KiB", os.DevNull: "not a regular file",
	} {
		var way *WayError
		if _, err := read(path); !errors.As(err, &way) || !strings.HasPrefix(way.Problem, from.Name+": ") || !strings.Contains(way.Problem, problem) || ExitCode(err) != ExitNoSecret {
			t.Errorf("%s: %v", path, err)
		}
	}
}

type storing struct {
	did        []string
	set, added error
}

func (s *storing) Set(_ context.Context, account string, secret credential.Secret) error {
	s.did = append(s.did, "set "+account+" "+secret.Reveal())
	return s.set
}

func (s *storing) Add(_ context.Context, account string) error {
	s.did = append(s.did, "add "+account)
	return s.added
}

// The workspace has rotated the refresh token: nothing matters but to store it.
func TestRefreshTokenIsStoredBeforeItIsListed(t *testing.T) {
	slow := errors.New("the keychain did not answer in time")
	for _, c := range []struct {
		set, added, want error
		did              string
	}{
		{nil, nil, nil, "set u rt-new, add u"},
		{nil, slow, nil, "set u rt-new, add u"},
		{slow, nil, slow, "set u rt-new"},
	} {
		s := &storing{set: c.set, added: c.added}
		if err := replaceItem(t.Context(), s, s, "u", credential.NewSecret("rt-new")); !errors.Is(err, c.want) || strings.Join(s.did, ", ") != c.did {
			t.Errorf("%v, %q", err, s.did)
		}
	}
}

func TestCLIToken(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for text, life := range map[string]time.Duration{
		`{"access_token":"a","token_type":"Bearer","expiry":"2026-05-01T12:30:00.5Z"}`: 30*time.Minute + 500*time.Millisecond,
		`{"access_token":"a"}`: time.Hour,
		`{"access_token":"a","expiry":"2027-01-01T00:00:00+02:00"}`: time.Hour,
	} {
		if got, err := cliToken([]byte(text), now); err != nil || got.Value.Reveal() != "a" || got.ExpiresAt.Sub(now) != life || !got.MintedAt.Equal(now) {
			t.Errorf("%s: %s, %v", text, got.ExpiresAt, err)
		}
	}
	for text, problem := range map[string]string{
		``: "no access_token", `{}`: "no access_token", `{"access_token":7}`: "no access_token", `{"access_token":"secret-a","expiry":"x"}`: "no access_token",
		`{"access_token":"secret-a","expiry":"2026-05-01T11:59:00Z"}`: "has expired",
	} {
		var way *WayError
		if _, err := cliToken([]byte(text), now); !errors.As(err, &way) || !strings.Contains(way.Problem, problem) || strings.Contains(way.Problem+way.Fix, "secret-a") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestLimited(t *testing.T) {
	l := &limited{&bytes.Buffer{}, 4}
	if n, err := l.Write([]byte("abcd")); n != 4 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := l.Write([]byte("e")); n != 0 || err == nil || l.buf.String() != "abcd" {
		t.Errorf("%d, %v, %q", n, err, l.buf)
	}
}

// Each way in has its own words, and its exit code.
func TestWordsOfTheWays(t *testing.T) {
	conf := config.Config{}
	conf.Profile.Value = "prod"
	refused := &exchange.Error{Call: exchange.CallRefresh, Host: "w.example", Kind: exchange.KindRefreshRefused, Status: 401, Code: "invalid_request", Message: "Refresh token is invalid"}
	for name, c := range map[string]struct {
		err     error
		message string
		hint    string
		code    int
	}{
		"nobody":      {&broker.NoPersonError{Host: "w.example"}, "no client id is given, and no person has signed in at w.example", "login --user-login --profile prod", ExitNoSecret},
		"not she":     {&broker.NoPersonError{Host: "w.example", User: "ada"}, "ada has not signed in at w.example", "login --user-login", ExitNoSecret},
		"a PGUSER":    {&broker.NoPersonError{Host: "w.example", User: "ada"}, "ada has not signed in at w.example", "; or give --client-id (DATABRICKS_CLIENT_ID) for a service principal", ExitNoSecret},
		"two":         {&broker.NoPersonError{Host: "w.example", Others: []string{"ada", "bob"}}, "several people have signed in", "choose with --user: ada, bob", ExitNoSecret},
		"locked":      {&broker.NoPersonError{Host: "w.example", User: "ada", Err: &keychain.Error{Op: "read", Err: keychain.ErrLocked}}, "no login at w.example: ", "unlock the keychain", ExitNoSecret},
		"no keychain": {&broker.NoPersonError{Host: "w.example", Err: &keychain.Error{Op: "read", Err: keychain.ErrAbsent}}, "no login at w.example: ", "login --user-login --store file", ExitNoSecret},
		"over":        {&broker.SignedOutError{Host: "w.example", User: "ada", Err: refused}, "the login of ada at w.example is over: HTTP 401 invalid_request: Refresh token is invalid", "sign in again with: lakebase-credential-helper login --user-login --profile prod", ExitNoSecret},
		"workload":    {&broker.FederationError{Claims: broker.Claims{Issuer: "i", Subject: "s\x07", Audience: "a"}, Err: refused}, `whose iss is "i", sub "s\a", aud "a"`, "federation policy", ExitWorkspace},
		"target":      {&broker.TargetError{Name: "shop", From: config.Source{Origin: config.FromOption, Name: "--endpoint"}, Problem: "may mean any of 2 endpoints", Choices: []string{"a", "b"}}, `--endpoint: "shop" may mean any of 2 endpoints`, "there are: a, b", ExitUsage},
		"no target":   {&broker.TargetError{Name: "shop", From: config.Source{Origin: config.FromOption, Name: "--endpoint"}, Problem: "has no endpoint"}, `--endpoint: "shop" has no endpoint`, "lakebase-credential-helper endpoints", ExitUsage},
		"stranger":    {&exchange.Error{Call: exchange.CallDiscovery, Host: "w.example", Kind: exchange.KindForeignHost}, "names an endpoint or audience on another host", "its discovery document points elsewhere", ExitWorkspace},
	} {
		conf := conf
		if name == "a PGUSER" {
			conf.User.Source.Origin = config.FromEnvironment
		}
		message, hint := Describe(c.err, &conf)
		if !strings.Contains(message, c.message) || !strings.Contains(hint, c.hint) || ExitCode(c.err) != c.code {
			t.Errorf("%s: %d\n%s\n%s", name, ExitCode(c.err), message, hint)
		}
	}
}
