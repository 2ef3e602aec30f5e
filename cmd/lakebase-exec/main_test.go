package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/pgenv"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
	"github.com/lakebase-exec/lakebase-exec/test/gendocs"
)

func TestGeneratedFiles_AreCurrent(t *testing.T) {
	app := (&job{Environment: cli.NewEnvironment(program, nil, nil, nil, nil, nil)}).app()
	cli.Configure(app, program, nil, io.Discard)
	gendocs.Check(t, app, cli.ExitMeanings(true))
}

// exec runs the program in this process, with nothing to find outside of it.
func exec(environ []string, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(context.Background(), append([]string{program}, args...), append([]string{"HOME=" + os.DevNull}, environ...), strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

func TestHelpAndVersion(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"-h"}, {"--help", "--", "psql"}, {"--help", "--version"}} {
		code, out, errs := exec(nil, args...)
		if code != 0 || errs != "" || !strings.HasPrefix(out, "lakebase-exec - ") {
			t.Errorf("%q: got %d, %q", args, code, errs)
		}
		for _, s := range config.Settings() {
			if !strings.Contains(out, "--"+s.Option) {
				t.Errorf("got help without --%s", s.Option)
			}
		}
	}
	if code, out, errs := exec(nil, "--version"); code != 0 || errs != "" || !strings.HasPrefix(out, "lakebase-exec ") || !strings.HasSuffix(out, runtime.Version()+")\n") || strings.Count(out, "\n") != 1 {
		t.Errorf("--version: got %d %q %q", code, out, errs)
	}
}

func TestNotStarted(t *testing.T) {
	target := []string{"DATABRICKS_HOST=w.example", "DATABRICKS_CLIENT_ID=c", "LAKEBASE_ENDPOINT=projects/p/branches/b/endpoints/e", "LAKEBASE_CACHE=off", "PATH=/nonexistent"}
	for _, c := range []struct {
		environ []string
		args    string
		code    int
		want    []string
	}{
		{nil, "psql", 120, []string{`error: "psql" is not an option`, "hint: run: lakebase-exec [options] -- COMMAND"}},
		{nil, "-p prod psql -- x", 120, []string{`error: "psql" is not an option`}},
		{nil, "--verbose yes -- psql", 120, []string{`error: "yes" is not an option`}},
		{nil, "", 120, []string{"error: no command is given", "hint: run: lakebase-exec [options] -- COMMAND"}},
		{target, "--", 120, []string{"error: no command is given"}},
		{nil, "--client-secret hunter2 -- x", 120, []string{"error: unknown option --client-secret\n", "hint: did you mean --client-secret-file?"}},
		{nil, "-- psql", 120, []string{"error: --host: not given, and DATABRICKS_HOST not set"}},
		{target, "-- help", 127, []string{`command "help" not found in PATH`, "hint: "}},
		{target, "-- --version -h", 127, []string{`command "--version" not found`}},
		{target, "-- __complete", 127, []string{`command "__complete" not found`}},
		{target, "-q -- -- x", 127, []string{`command "--" not found`}},
		{target, "-- /", 126, []string{"error: "}},
		{target, "--keep PGHOSTADDR -- true", 120, []string{"error: ", "PGHOSTADDR", `hint: leave "PGHOSTADDR" out`}},
		{target, "--url-var 1X -- true", 120, []string{`error: --url-var: "1X" cannot be set: not a variable name`, "hint: choose another name: letters, digits and _"}},
		{target, "--set PGHOST=x -- true", 120, []string{`error: --set: "PGHOST" cannot be set: lakebase-exec sets it`}},
		{target, "--set DATABRICKS_TOKEN=x -- true", 120, []string{"lakebase-exec removes it"}},
		{target, "--url-var A --set A=x -- true", 120, []string{"given twice"}},
		{target, "--set X={nope} -- true", 120, []string{"error: --set: X: unknown placeholder {nope}", "hint: see --set in: lakebase-exec --help"}},
		{target, "--sslrootcert /nonexistent.pem -- true", 120, []string{"nonexistent.pem", "hint: "}},
		{target, "--on-refresh restart -- true", 120, []string{"error: --on-refresh: requires --refresh passfile or --refresh proxy"}},
		{target, "--refresh passfile --on-refresh signal:NOPE -- true", 120, []string{`error: --on-refresh: unknown signal "NOPE"`, "hint: run kill -l for a list of signals"}},
		{target, "--refresh passfile --url-var U -- true", 120, []string{"error: --url-var: U: {url} contains the password", "hint: use {url_nopassword}, or --refresh proxy"}},
		{target, "--refresh proxy --set E={expires_at} -- true", 120, []string{"error: --set: E: {expires_at} cannot be used with --refresh or a native password", "hint: leave it out of the template"}},
	} {
		code, out, errs := exec(c.environ, strings.Fields(c.args)...)
		if code != c.code || out != "" {
			t.Errorf("%q: got code %d, stdout %q, want %d: %s", c.args, code, out, c.code, errs)
		}
		for _, want := range c.want {
			if !strings.Contains(errs, want) {
				t.Errorf("%q: got %q, want %q in it", c.args, errs, want)
			}
		}
		if n := strings.Count(errs, "\n"); n != strings.Count("\n"+errs, "\nlakebase-exec: ") {
			t.Errorf("%q: got a line without the program's name: %q", c.args, errs)
		}
	}
}

func TestVariables(t *testing.T) {
	var conf config.Config
	conf.Set = []config.SetVar{{Name: "DATABASE_URL", Template: "{url}"}, {Name: "DSN", Template: "{user:uri}@{host}"}}
	vars, err := variables(conf)
	if err != nil {
		t.Fatal(err)
	}
	v := (&job{vars: vars}).values(pglogin.Target{Host: "h", Port: 5432, Database: "d", User: "a@b"}, pgenv.Values{Password: credential.NewSecret("t")})
	want := []pgenv.Var{{Name: "DATABASE_URL", Value: "postgresql://a%40b:t@h:5432/d?"}, {Name: "DSN", Value: "a%40b@h"}}
	if diff := cmp.Diff(want, v.Extra); diff != "" {
		t.Error(diff)
	}
}

func TestWarn_ParallelRestore(t *testing.T) {
	for command, want := range map[string]bool{
		"pg_restore -j4 dump":                true,
		"/usr/bin/pg_restore -Fd --jobs=4 d": true,
		"pg_restore dump":                    false,
		"pg_dump -Fd -j 8 -f out":            false, // its workers connect at the start
	} {
		var out bytes.Buffer
		j := &job{argv: strings.Fields(command), log: cli.NewLogger(program, &out, config.LogNormal, false)}
		j.conf.Refresh.Value = config.RefreshPassfile
		j.warn()
		if got := strings.Contains(out.String(), "connects again with the first password"); got != want {
			t.Errorf("%s: got %q", command, &out)
		}
	}
}
