package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/pgenv"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
)

func TestVariables(t *testing.T) {
	option := config.Source{Origin: config.FromOption, Name: "--set"}
	conf := config.Config{URLVar: config.Value[[]string]{Value: []string{"DATABASE_URL"}, Source: config.Source{Origin: config.FromOption, Name: "--url-var"}},
		Set: []config.SetVar{{Name: "DSN", Template: "{user:uri}@{host}", Source: option}}}
	vars, err := variables(conf)
	if err != nil {
		t.Fatal(err)
	}
	j := &job{vars: vars}
	v := j.values(pglogin.Target{Host: "h", Port: 5432, Database: "d", User: "a@b"}, credential.Token{Value: credential.NewSecret("t")}, nil)
	want := []pgenv.Var{{Name: "DATABASE_URL", Value: "postgresql://a%40b:t@h:5432/d?"}, {Name: "DSN", Value: "a%40b@h"}}
	if diff := cmp.Diff(want, v.Extra); diff != "" {
		t.Error(diff)
	}
	for _, c := range []struct{ name, template, want string }{
		{"PGHOST", "x", `--set: "PGHOST" cannot be set: lakebase-exec sets it`},
		{"DATABRICKS_TOKEN", "x", `lakebase-exec removes it`},
		{"DATABASE_URL", "x", `given twice`},
		{"A B", "x", `not a variable name`},
		{"X", "{nope}", `--set: X: unknown placeholder {nope}`},
	} {
		bad := conf
		bad.Set = []config.SetVar{{Name: c.name, Template: c.template, Source: option}}
		if _, err := variables(bad); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s=%s: %v", c.name, c.template, err)
		}
	}
}
