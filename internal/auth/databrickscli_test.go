package auth

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
)

func TestDatabricksCLI(t *testing.T) {
	f := newFake()
	f.toolOut = `{"access_token":"bearer","expiry":"2999-01-01T00:00:00Z"}`
	conf := resolveUser(t, "auth", AuthCLI)
	conf.DatabricksProfile.Value = "prod"
	chain := f.chain(conf)
	id, err := token(t, chain)
	if got := f.took(); err != nil || got != "tool:databricks_auth_token_--host_https://w.example_--output_json_--profile_prod" || id.Principal != "[prod]" {
		t.Errorf("got %+v, %v: %s", id, err, got)
	}
	for want, err := range map[string]error{"is not in PATH": ErrNoTool, "databricks auth token: exit status 1: no login": errors.New("exit status 1: no login")} {
		f.refuse("tool", err)
		err := refreshed(t.Context(), chain)
		if e, ok := errors.AsType[*SourceError](err); !ok || !strings.Contains(e.Problem, want) || e.Fix == "" {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestPAT(t *testing.T) {
	f, conf := newFake(), resolveUser(t, "DATABRICKS_TOKEN", "dapi-1")
	chain := f.chain(conf)
	id, err := token(t, chain)
	if err != nil || id.Type != AuthPAT || id.Given.Reveal() != "dapi-1" || id.User != "" || refreshed(t.Context(), chain) != nil || f.took() != "" {
		t.Errorf("got %+v, %v", id, err)
	}
}

func TestTokenOrigin(t *testing.T) {
	for _, c := range []struct {
		conf      config.Config
		kind      exchange.Kind
		name, fix string
	}{
		{resolveUser(t, "DATABRICKS_TOKEN", "dapi-1"), exchange.KindBearerRefused, "DATABRICKS_TOKEN", "check whether DATABRICKS_TOKEN was revoked"},
		{resolveUser(t, "DATABRICKS_TOKEN", "dapi-1"), exchange.KindUnavailable, "DATABRICKS_TOKEN", ""},
		{resolveUser(t, "auth", AuthCLI), exchange.KindBearerRefused, "the Databricks CLI", "run: databricks auth login --host https://w.example"},
		{resolve(t), exchange.KindBearerRefused, "", ""},
	} {
		name, fix := TokenOrigin(c.conf, &exchange.Error{Kind: c.kind})
		if name != c.name || !strings.HasPrefix(fix, c.fix) || (fix == "") != (c.fix == "") {
			t.Errorf("got %q, %q; want %q, %q", name, fix, c.name, c.fix)
		}
	}
}

func TestParseCLIToken(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]any{
		`{"access_token":"t","expiry":"2026-03-01T12:30:00Z"}`: 30 * time.Minute,
		`{"access_token":"t","expiry":"2026-03-01T15:00:00Z"}`: credential.MaxLife,
		`{"access_token":"t"}`:                                 credential.MaxLife,
		`{"access_token":"t","expiry":"2026-03-01T11:00:00Z"}`: "expired token",
		`{"access_token":"secret that","expiry":"x"}`:          "no access_token",
		`secret that is no JSON`:                               "no access_token",
	} {
		got, err := parseCLIToken([]byte(text), now)
		if problem, bad := want.(string); bad {
			if !errors.As(err, new(*SourceError)) || !strings.Contains(err.Error(), problem) || strings.Contains(err.Error(), "secret that") {
				t.Errorf("%s: got %v, want %q", text, err, problem)
			}
		} else if err != nil || got.Value.Reveal() != "t" || got.ExpiresAt.Sub(now) != want {
			t.Errorf("%s: got %+v, %v; want a life of %s", text, got, err, want)
		}
	}
}
