package pgenv

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

var (
	minimal = Values{Host: "h", Port: 5432, Database: "d", User: "u"}
	full    = Values{
		Host: "ep-1.database.us-east-1.cloud.databricks.com", Port: 5433, Database: "app db", User: "a@b.example",
		Password: credential.NewSecret("tok=en\n"), SSLMode: "verify-full", SSLRootCert: "/etc/ssl/cert.pem", AppName: "psql",
		ExpiresAt: time.Date(2026, 1, 2, 4, 4, 5, 999, time.FixedZone("", 3600)), Profile: "prod",
	}
	minimalOwn = []string{"PGHOST=h", "PGPORT=5432", "PGDATABASE=d", "PGUSER=u"}
	fullNames  = []string{"PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD", "PGSSLMODE", "PGSSLROOTCERT", "PGAPPNAME", "LAKEBASE_TOKEN_EXPIRES_AT", "LAKEBASE_PROFILE"}
)

func TestBuild_SetsAll(t *testing.T) {
	r := Build([]string{"HOME=/home/me", "PGHOST=old", "LAKEBASE_PROFILE=old", "PGAPPNAME="}, full, nil)
	want := Result{
		Environ: []string{
			"HOME=/home/me", "PGHOST=ep-1.database.us-east-1.cloud.databricks.com", "PGPORT=5433", "PGDATABASE=app db", "PGUSER=a@b.example",
			"PGPASSWORD=tok=en\n", "PGSSLMODE=verify-full", "PGSSLROOTCERT=/etc/ssl/cert.pem", "PGAPPNAME=psql",
			"LAKEBASE_TOKEN_EXPIRES_AT=2026-01-02T03:04:05Z", "LAKEBASE_PROFILE=prod",
		},
		Set: fullNames,
	}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Error(diff)
	}
}

func TestBuild_Inherited(t *testing.T) {
	for _, c := range []struct {
		name         string
		caller, keep []string
		windows      bool
		rest         []string // of Environ, before minimalOwn
		removed      []string
	}{
		{name: "nothing"},
		{name: "other variables stay, in order", caller: []string{"B=2", "A=1", "EMPTY=", "PGDATA=/x", "PGSUPERUSER=false", "pghost=x", "SP ACE=1"},
			rest: []string{"B=2", "A=1", "EMPTY=", "PGDATA=/x", "PGSUPERUSER=false", "pghost=x", "SP ACE=1"}},
		{name: "managed ones without a value are removed", caller: []string{"PGSSLROOTCERT=/old", "PGPASSWORD=old", "PGSSLMODE=disable", "LAKEBASE_PROFILE=", "LAKEBASE_TOKEN_EXPIRES_AT=x"},
			removed: []string{"LAKEBASE_PROFILE", "LAKEBASE_TOKEN_EXPIRES_AT", "PGPASSWORD", "PGSSLMODE", "PGSSLROOTCERT"}},
		{name: "unsafe ones are removed", caller: []string{"PGSERVICE=s", "A=1", "PGHOSTADDR=10.0.0.1"}, rest: []string{"A=1"}, removed: []string{"PGHOSTADDR", "PGSERVICE"}},
		{name: "allowed ones stay", caller: []string{"PGOPTIONS=-c a=b", "PGTZ=UTC"}, rest: []string{"PGOPTIONS=-c a=b", "PGTZ=UTC"}},
		{name: "but not if empty", caller: []string{"PGCONNECT_TIMEOUT=", "PGOPTIONS=x"}, rest: []string{"PGOPTIONS=x"}, removed: []string{"PGCONNECT_TIMEOUT"}},
		{name: "secrets are removed", caller: []string{"DATABRICKS_TOKEN=t", "DATABRICKS_HOST=h", "ARM_CLIENT_SECRET=s", "ARM_CLIENT_ID=i"},
			rest: []string{"DATABRICKS_HOST=h", "ARM_CLIENT_ID=i"}, removed: []string{"ARM_CLIENT_SECRET", "DATABRICKS_TOKEN"}},
		{name: "a kept secret stays", caller: []string{"DATABRICKS_TOKEN=t", "ARM_CLIENT_SECRET=s"}, keep: []string{"DATABRICKS_TOKEN", "NOT_THERE"},
			rest: []string{"DATABRICKS_TOKEN=t"}, removed: []string{"ARM_CLIENT_SECRET"}},
		{name: "a kept unsafe one stays", caller: []string{"PGSSLCERT=/c", "PGSSLKEY="}, keep: []string{"PGSSLCERT", "PGSSLKEY"},
			rest: []string{"PGSSLCERT=/c"}, removed: []string{"PGSSLKEY"}},
		{name: "the token's variable is removed", caller: []string{"MY_JWT=j", "DATABRICKS_OIDC_TOKEN_ENV=MY_JWT", "OTHER_JWT=o"},
			rest: []string{"DATABRICKS_OIDC_TOKEN_ENV=MY_JWT", "OTHER_JWT=o"}, removed: []string{"MY_JWT"}},
		{name: "with space around its name", caller: []string{"MY_JWT=j", "DATABRICKS_OIDC_TOKEN_ENV= MY_JWT\n"},
			rest: []string{"DATABRICKS_OIDC_TOKEN_ENV= MY_JWT\n"}, removed: []string{"MY_JWT"}},
		{name: "unless kept", caller: []string{"MY_JWT=j", "DATABRICKS_OIDC_TOKEN_ENV=MY_JWT"}, keep: []string{"MY_JWT"},
			rest: []string{"MY_JWT=j", "DATABRICKS_OIDC_TOKEN_ENV=MY_JWT"}},
		{name: "the caller's application name", caller: []string{"PGAPPNAME=mine"}, rest: []string{"PGAPPNAME=mine"}},
		{name: "the first of equal names", caller: []string{"A=1", "B=x", "A=2", "PGTZ=", "PGTZ=UTC"}, rest: []string{"A=1", "B=x"}, removed: []string{"PGTZ"}},
		{name: "without a name or =", caller: []string{"=x", "=", "nosign", "", "A==b"}, rest: []string{"A==b"}},
		{name: "windows", windows: true, caller: []string{"Path=1", "PATH=2", "=C:=C:\\w", "=C:=D:\\w", "=D:=x", "PgHost=old", "pgServiceFile=f", "databricks_token=t", "=x"},
			rest: []string{"Path=1", "=C:=C:\\w", "=D:=x"}, removed: []string{"databricks_token", "pgServiceFile"}},
		{name: "windows, keep", windows: true, caller: []string{"Databricks_Token=t", "Jwt=j", "databricks_oidc_token_env=JWT"}, keep: []string{"databricks_TOKEN"},
			rest: []string{"Databricks_Token=t", "databricks_oidc_token_env=JWT"}, removed: []string{"Jwt"}},
	} {
		if c.windows != foldNames { // a row of another system
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			r := Build(c.caller, minimal, c.keep)
			if diff := cmp.Diff(append(c.rest, minimalOwn...), r.Environ); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(c.removed, r.Removed); diff != "" {
				t.Errorf("removed: %s", diff)
			}
		})
	}
}

func TestBuild_HostAddrAppNameAndExtra(t *testing.T) {
	v := minimal
	v.HostAddr, v.AppName, v.Extra = "192.0.2.1", "psql", []Var{{"DATABASE_URL", "postgres://x"}, {"EMPTY", ""}}
	r := Build([]string{"DATABASE_URL=old", "PGAPPNAME=mine", "PGHOSTADDR=10.0.0.1"}, v, nil)
	want := []string{"PGAPPNAME=mine", "PGHOST=h", "PGHOSTADDR=192.0.2.1", "PGPORT=5432", "PGDATABASE=d", "PGUSER=u", "DATABASE_URL=postgres://x", "EMPTY="}
	if diff := cmp.Diff(want, r.Environ); diff != "" {
		t.Error(diff)
	}
}

func TestWithoutSecrets(t *testing.T) {
	got := WithoutSecrets([]string{"PATH=/bin", "DATABRICKS_CLIENT_SECRET=s", "DATABRICKS_CLIENT_SECRET_FILE=s", "DATABRICKS_TOKEN=s", "PGPASSWORD=s", "LAKEBASE_TOKEN_EXPIRES_AT=x",
		"DATABRICKS_OIDC_TOKEN_ENV=JOB ", "JOB=s", "PGHOSTADDR=1.2.3.4", "DISPLAY=:0", "PATH=/twice", "LAKEBASE_CACERT=/ca.pem"})
	want := []string{"PATH=/bin", "DATABRICKS_OIDC_TOKEN_ENV=JOB ", "DISPLAY=:0", "LAKEBASE_CACERT=/ca.pem"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if WithoutSecrets([]string{"DATABRICKS_TOKEN=s"}) == nil {
		t.Error("got nil, with which os/exec passes on the whole environment")
	}
}

// The variable that another one names is found as it is found to be read.
func TestSplitSecrets(t *testing.T) {
	for named, want := range map[string]bool{"": false, "MINE": true, " MINE\n": true, "OTHER": false} {
		environ := []string{"DATABRICKS_OIDC_TOKEN_ENV=" + named, "MINE=canary", "DATABRICKS_TOKEN=", "DATABRICKS_CLIENT_SECRET=s", "A=1"}
		secret, others := SplitSecrets(environ)
		if slices.Contains(secret, "MINE=canary") != want || !slices.Contains(secret, environ[3]) || len(secret)+len(others) != len(environ) || !slices.Contains(others, "A=1") {
			t.Errorf("%q: got %q and %q", named, secret, others)
		}
	}
}
