package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
)

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
			t.Errorf("%q: %d, %q", args, code, errs)
		}
		for _, s := range config.Settings() {
			if !strings.Contains(out, "--"+s.Option) {
				t.Errorf("the help does not tell of --%s", s.Option)
			}
		}
	}
	if code, out, errs := exec(nil, "--version"); code != 0 || errs != "" || !strings.HasPrefix(out, "lakebase-exec ") || strings.Count(out, "\n") != 1 {
		t.Errorf("%d %q %q", code, out, errs)
	}
}

func TestNotStarted(t *testing.T) {
	target := []string{"DATABRICKS_HOST=w.example", "DATABRICKS_CLIENT_ID=c", "LAKEBASE_ENDPOINT=projects/p/branches/b/endpoints/e", "LAKEBASE_CACHE=off"}
	for _, c := range []struct {
		environ []string
		args    string
		code    int
		says    []string
	}{
		{nil, "psql", 120, []string{`error: "psql" is not an option`, "hint: lakebase-exec [options] -- COMMAND"}},
		{nil, "", 120, []string{"error: no command is given", "hint: lakebase-exec [options] -- COMMAND"}},
		{nil, "--", 120, []string{"error: no command is given"}},
		{target, "", 120, []string{"error: no command is given"}},
		{nil, "--nope -- psql", 120, []string{"error: unknown option --nope", `hint: run "lakebase-exec --help"`}},
		{nil, "psql -- x", 120, []string{`error: "psql" is not an option`}},
		{nil, "-p prod psql -- x", 120, []string{`error: "psql" is not an option`}},
		{nil, "help", 120, []string{`error: "help" is not an option`}},
		{nil, "x --generate-bash-completion", 120, []string{`error: "x" is not an option`}},
		{nil, "--generate-bash-completion", 120, []string{"error: unknown option --generate-bash-completion"}},
		{nil, "--profile -- psql", 120, []string{"error: --profile needs a value"}},
		{nil, "--verbose yes -- psql", 120, []string{`error: "yes" is not an option`}},
		{nil, "--keep A B -- x", 120, []string{`error: "B" is not an option`}},
		{nil, "--client-secret hunter2 -- x", 120, []string{"error: unknown option --client-secret\n", "hint: did you mean --client-secret-file?"}},
		{append(target, "PATH=/nonexistent"), "-- help", 127, []string{`command "help" not found`}},
		{append(target, "PATH=/nonexistent"), "-- --version -h", 127, []string{`command "--version" not found`}},
		{append(target, "PATH=/nonexistent"), "-- __complete", 127, []string{`command "__complete" not found`}},
		{append(target, "PATH=/nonexistent"), "-q -- -- x", 127, []string{`command "--" not found`}},
		{nil, "-- psql", 120, []string{"error: --host: not given, and DATABRICKS_HOST not set"}},
		{append(target, "PGPORT=x"), "-- psql", 120, []string{`error: PGPORT: "x" is not one port`}},
		{target, "--keep PGHOSTADDR -- true", 120, []string{"error: ", "PGHOSTADDR", `hint: leave "PGHOSTADDR" out`}},
		{target, "--url-var 1X -- true", 120, []string{`error: --url-var: "1X" cannot be set: not a variable name`, "hint: choose another name: letters, digits and _"}},
		{target, "--set X={nope} -- true", 120, []string{"error: --set: X: unknown placeholder {nope}", "hint: see --set in: lakebase-exec --help"}},
		{target, "--user a -U b -- true", 120, []string{"error: --user is given twice", "hint: leave one of them out"}},
		{target, "--sslrootcert /nonexistent.pem -- true", 120, []string{"/nonexistent.pem", "hint: "}},
		{target, "--refresh on -- true", 120, []string{`error: --refresh: "on" is not one of off, passfile, proxy`}},
		{target, "--on-refresh restart -- true", 120, []string{"error: --on-refresh: requires --refresh passfile or --refresh proxy"}},
		{target, "--refresh passfile --on-refresh signal:NOPE -- true", 120, []string{`error: --on-refresh: unknown signal "NOPE"`, "hint: run kill -l for a list of signals"}},
		{target, "--refresh passfile --url-var U -- true", 120, []string{"error: --url-var: U: {url} contains the password", "hint: use {url_nopassword}, or --refresh proxy"}},
		{target, "--refresh proxy --set E={expires_at} -- true", 120, []string{"error: --set: E: {expires_at} cannot be used with --refresh proxy", "hint: leave it out of the template"}},
		{append(target, "PATH=/nonexistent"), "-- no-such-command", 127, []string{`error: command "no-such-command" not found in PATH`, "hint: "}},
		{append(target, "PATH=/nonexistent"), "-- /", 126, []string{"error: "}},
	} {
		code, out, errs := exec(c.environ, strings.Fields(c.args)...)
		if code != c.code || out != "" {
			t.Errorf("%q: code %d, stdout %q: %s", c.args, code, out, errs)
		}
		for _, says := range c.says {
			if !strings.Contains(errs, says) {
				t.Errorf("%q: %q does not say %q", c.args, errs, says)
			}
		}
		for _, l := range strings.Split(strings.TrimSuffix(errs, "\n"), "\n") {
			if !strings.HasPrefix(l, "lakebase-exec: ") {
				t.Errorf("%q: the line %q", c.args, l)
			}
		}
	}
}

func TestPrintEnv(t *testing.T) {
	environ := []string{"DATABRICKS_HOST=w.example", "DATABRICKS_CLIENT_ID=c", "LAKEBASE_ENDPOINT=projects/p/branches/b/endpoints/e", "LAKEBASE_CACHE=off",
		"DATABRICKS_CLIENT_SECRET=canary-hunter2", "PGPASSWORD=hunter2", "PGSSLMODE=require", "PGHOSTADDR=10.0.0.1", "PGSERVICE=x"}
	code, out, errs := exec(environ, "--print-env", "--sslmode", "require")
	if code != 0 || strings.Contains(out+errs, "hunter2") {
		t.Fatalf("%d %q %q", code, out, errs)
	}
	for _, want := range []string{"PGHOST=<asked at start>\n", "PGPORT=5432\n", "PGDATABASE=databricks_postgres\n", "PGUSER=c\n", "PGPASSWORD=<asked at start>\n",
		"PGSSLMODE=require\n", "LAKEBASE_TOKEN_EXPIRES_AT=<asked at start>\n", "unset DATABRICKS_CLIENT_SECRET\n", "unset PGHOSTADDR\n", "unset PGSERVICE\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if strings.Contains(out, "PGSSLROOTCERT=") {
		t.Errorf("PGSSLROOTCERT is exported under --sslmode require:\n%s", out)
	}
	if _, out, _ := exec(append(environ, "PGHOST=ep.database.us-east-1.cloud.databricks.com"), "--print-env", "--sslmode", "require"); !strings.Contains(out, "PGHOST=ep.database.us-east-1.cloud.databricks.com\n") {
		t.Errorf("a host that is known is not shown:\n%s", out)
	}
}

func TestReusesPassword(t *testing.T) {
	for command, want := range map[string]bool{
		"pg_restore -j4 dump":               true,
		"/usr/bin/pg_restore -Fd -j 4 dump": true,
		"pg_dump -Fd --jobs=8 -f out":       true,
		"vacuumdb --all --jobs 2":           true,
		"reindexdb -vj2":                    true,
		"pg_restore dump":                   false,
		"pg_restore -j1 dump":               false,
		"pg_dump -j":                        false,
		"vacuumdb -- -j4":                   false,
		"pgbench -j4":                       false,
		"psql -f jobs=4":                    false,
	} {
		if got := reusesPassword(strings.Fields(command)); got != want {
			t.Errorf("%s: got %v, want %v", command, got, want)
		}
	}
}
