//go:build unix

package main

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/test/emulator/control"
)

// The exports are those of the type that --auth names; --without-secret leaves out its
// secret.
func TestAuth(t *testing.T) {
	p := launch(t, "--stdin", "--no-postgres", "--auth", "pat", "--user-name", "grace@example.com", "--endpoint", "projects/lab/branches/main/endpoints/e",
		"--endpoint", "projects/lab/branches/dev/endpoints/e", "--set", "page-size=1", "--set", "refresh-rotates=true")
	pat := p.must(t, "pat")
	if p.env["PGUSER"] != "grace@example.com" || p.env["LOCAL_LAKEBASE_USER"] != "grace@example.com" || p.env["DATABRICKS_CLIENT_SECRET"] != "" || p.env["ENDPOINT_NAME"] != "projects/lab/branches/main/endpoints/e" {
		t.Errorf("the exports are %v", p.env)
	}
	if _, ok := pat[p.env["DATABRICKS_TOKEN"]]; !ok {
		t.Errorf("DATABRICKS_TOKEN is %q, ctl pat gives %v", p.env["DATABRICKS_TOKEN"], pat)
	}
	if s := p.must(t, "status"); s["user"] != "grace@example.com" {
		t.Errorf("status %v", s)
	}
	if got := p.must(t, "resources"); len(got) != 5 {
		t.Errorf("%v", got)
	}
	p = launch(t, "--stdin", "--no-postgres", "--auth", "github-oidc", "--without-secret")
	if p.env["ACTIONS_ID_TOKEN_REQUEST_URL"] == "" || p.env["ACTIONS_ID_TOKEN_REQUEST_TOKEN"] != "" || p.env["DATABRICKS_CLIENT_ID"] == "" {
		t.Errorf("the exports are %v", p.env)
	}
	file := p.must(t, "env", "file-oidc", "life=1m")["DATABRICKS_OIDC_TOKEN_FILEPATH"]
	b, err := os.ReadFile(file)
	if err != nil || strings.Count(string(b), ".") != 2 {
		t.Errorf("%s: %v", file, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%s: %v, %v", file, info.Mode(), err)
	}
	for _, args := range [][]string{{"--auth", "azure-cli"}, {"--set", "page-size"}, {"--set", "no=1"}} {
		if _, err := parse(args); !errors.Is(err, control.ErrUsage) || !strings.Contains(err.Error(), strings.TrimPrefix(args[1], "--")) {
			t.Errorf("%v: %v, want a usage error", args, err)
		}
	}
	f, err := parse([]string{"--set", "audiences=a,b", "--endpoint", "projects/p"})
	if err != nil || !slices.Equal(f.options.Settings.Audiences, []string{"a", "b"}) || len(f.options.Endpoints) != 1 {
		t.Errorf("%+v, %v", f, err)
	}
}
