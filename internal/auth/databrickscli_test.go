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

func TestOrigins_Token(t *testing.T) {
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
		o := Origins(c.conf, &exchange.Error{Kind: c.kind})
		if name, fix := o.Token, o.TokenFix; name != c.name || !strings.HasPrefix(fix, c.fix) || (fix == "") != (c.fix == "") {
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
		`{"access_token":"secret that"}`:                       "no valid access_token",
		`{"access_token":"secret_that","expiry":"x"}`:          "no valid access_token",
		`secret that is no JSON`:                               "no valid access_token",
	} {
		got, err := parseCLIToken([]byte(text), now)
		if problem, bad := want.(string); bad {
			if !errors.As(err, new(*SourceError)) || !strings.Contains(err.Error(), problem) || strings.Contains(err.Error(), "that") {
				t.Errorf("%s: got %v, want %q", text, err, problem)
			}
		} else if err != nil || got.Value.Reveal() != "t" || got.ExpiresAt.Sub(now) != want {
			t.Errorf("%s: got %+v, %v; want a life of %s", text, got, err, want)
		}
	}
}
