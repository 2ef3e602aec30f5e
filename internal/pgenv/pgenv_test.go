package pgenv

import (
	"errors"
	"strings"
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

func TestBuildSetsAll(t *testing.T) {
	r, err := build([]string{"HOME=/home/me", "PGHOST=old", "LAKEBASE_PROFILE=old", "PGAPPNAME="}, full, nil, false)
	if err != nil {
		t.Fatal(err)
	}
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

func TestBuildCaller(t *testing.T) {
	for _, c := range []struct {
		name         string
		caller, keep []string
		windows      bool
		rest         []string // of Environ, before minimalOwn
		removed      []string
	}{
		{name: "nothing"},
		{name: "the rest passes, in order", caller: []string{"B=2", "A=1", "EMPTY=", "PGDATA=/x", "PGSUPERUSER=false", "pghost=x", "SP ACE=1"},
			rest: []string{"B=2", "A=1", "EMPTY=", "PGDATA=/x", "PGSUPERUSER=false", "pghost=x", "SP ACE=1"}},
		{name: "not exported is removed", caller: []string{"PGSSLROOTCERT=/old", "PGPASSWORD=old", "PGSSLMODE=disable", "LAKEBASE_PROFILE=", "LAKEBASE_TOKEN_EXPIRES_AT=x"},
			removed: []string{"LAKEBASE_PROFILE", "LAKEBASE_TOKEN_EXPIRES_AT", "PGPASSWORD", "PGSSLMODE", "PGSSLROOTCERT"}},
		{name: "steering variables go", caller: []string{"PGSERVICE=s", "A=1", "PGHOSTADDR=10.0.0.1"}, rest: []string{"A=1"}, removed: []string{"PGHOSTADDR", "PGSERVICE"}},
		{name: "harmless ones stay", caller: []string{"PGOPTIONS=-c a=b", "PGTZ=UTC"}, rest: []string{"PGOPTIONS=-c a=b", "PGTZ=UTC"}},
		{name: "but not when empty", caller: []string{"PGCONNECT_TIMEOUT=", "PGOPTIONS=x"}, rest: []string{"PGOPTIONS=x"}, removed: []string{"PGCONNECT_TIMEOUT"}},
		{name: "secrets go", caller: []string{"DATABRICKS_TOKEN=t", "DATABRICKS_HOST=h", "ARM_CLIENT_SECRET=s", "ARM_CLIENT_ID=i"},
			rest: []string{"DATABRICKS_HOST=h", "ARM_CLIENT_ID=i"}, removed: []string{"ARM_CLIENT_SECRET", "DATABRICKS_TOKEN"}},
		{name: "a kept secret stays", caller: []string{"DATABRICKS_TOKEN=t", "ARM_CLIENT_SECRET=s"}, keep: []string{"DATABRICKS_TOKEN", "NOT_THERE"},
			rest: []string{"DATABRICKS_TOKEN=t"}, removed: []string{"ARM_CLIENT_SECRET"}},
		{name: "a kept steering variable stays", caller: []string{"PGSSLCERT=/c", "PGSSLKEY="}, keep: []string{"PGSSLCERT", "PGSSLKEY"},
			rest: []string{"PGSSLCERT=/c"}, removed: []string{"PGSSLKEY"}},
		{name: "the token's own variable goes", caller: []string{"MY_JWT=j", "DATABRICKS_OIDC_TOKEN_ENV=MY_JWT", "OTHER_JWT=o"},
			rest: []string{"DATABRICKS_OIDC_TOKEN_ENV=MY_JWT", "OTHER_JWT=o"}, removed: []string{"MY_JWT"}},
		{name: "with blanks around its name, too", caller: []string{"MY_JWT=j", "DATABRICKS_OIDC_TOKEN_ENV= MY_JWT\n"},
			rest: []string{"DATABRICKS_OIDC_TOKEN_ENV= MY_JWT\n"}, removed: []string{"MY_JWT"}},
		{name: "unless kept", caller: []string{"MY_JWT=j", "DATABRICKS_OIDC_TOKEN_ENV=MY_JWT"}, keep: []string{"MY_JWT"},
			rest: []string{"MY_JWT=j", "DATABRICKS_OIDC_TOKEN_ENV=MY_JWT"}},
		{name: "the first of equal names", caller: []string{"A=1", "B=x", "A=2", "PGTZ=", "PGTZ=UTC"}, rest: []string{"A=1", "B=x"}, removed: []string{"PGTZ"}},
		{name: "no name, no sign", caller: []string{"=x", "nosign", "", "=C:=C:\\w", "A==b"}, rest: []string{"A==b"}},
		{name: "windows", windows: true, caller: []string{"Path=1", "PATH=2", "=C:=C:\\w", "=C:=D:\\w", "=D:=x", "PgHost=old", "pgServiceFile=f", "databricks_token=t", "=x"},
			rest: []string{"Path=1", "=C:=C:\\w", "=D:=x"}, removed: []string{"databricks_token", "pgServiceFile"}},
		{name: "windows keeps", windows: true, caller: []string{"Databricks_Token=t", "Jwt=j", "databricks_oidc_token_env=JWT"}, keep: []string{"databricks_TOKEN"},
			rest: []string{"Databricks_Token=t", "databricks_oidc_token_env=JWT"}, removed: []string{"Jwt"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := build(c.caller, minimal, c.keep, c.windows)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(append(c.rest, minimalOwn...), r.Environ); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(c.removed, r.Removed); diff != "" {
				t.Errorf("removed: %s", diff)
			}
		})
	}
}

func TestAppNameOfCallerWins(t *testing.T) {
	r, err := build([]string{"PGAPPNAME=mine"}, full, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	if all := strings.Join(r.Environ, "\n"); !strings.HasPrefix(all, "PGAPPNAME=mine\n") || strings.Count(all, "PGAPPNAME=") != 1 {
		t.Errorf("PGAPPNAME: %q", r.Environ)
	}
}

func TestAddressIsOursOrNone(t *testing.T) {
	v := minimal
	v.HostAddr = "192.0.2.1"
	for want, v := range map[string]Values{"PGHOSTADDR=192.0.2.1": v, "": minimal} {
		r, err := build([]string{"PGHOSTADDR=10.0.0.1"}, v, nil, false)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range r.Environ {
			if strings.HasPrefix(e, "PGHOSTADDR=") {
				got = append(got, e)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestExtra(t *testing.T) {
	v := minimal
	v.Extra = []Var{{"DATABASE_URL", "postgres://x"}, {"EMPTY", ""}}
	r, err := build([]string{"DATABASE_URL=old", "A=1"}, v, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	want := append(append([]string{"A=1"}, minimalOwn...), "DATABASE_URL=postgres://x", "EMPTY=")
	if diff := cmp.Diff(want, r.Environ); diff != "" {
		t.Error(diff)
	}
	for name, reason := range map[string]string{
		"PGHOST": "sets it", "PGPASSWORD": "sets it", "PGAPPNAME": "sets it", "LAKEBASE_PROFILE": "sets it",
		"PGSERVICE": "removes it", "PGSSL": "removes it", "DATABRICKS_TOKEN": "removes it", "1A": "no name", "A B": "no name", "": "no name",
	} {
		var e *ExtraError
		if err := CheckExtra([]string{"DATABASE_URL", name}); !errors.As(err, &e) || e.Name != name || !strings.Contains(e.Reason, reason) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if err := CheckExtra([]string{"A", "A"}); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("twice: %v", err)
	}
	if err := checkExtra([]string{"Pghost"}, true); err == nil {
		t.Error("Windows does not tell Pghost from PGHOST")
	}
}

func TestEverySecretIsRemoved(t *testing.T) {
	for n := range secrets {
		r, err := Build([]string{n + "=s"}, minimal, nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{n}, r.Removed); diff != "" {
			t.Error(diff)
		}
		if r, err = Build([]string{n + "=s"}, minimal, []string{n}); err != nil || r.Environ[0] != n+"=s" {
			t.Errorf("%s kept: %q, %v", n, r.Environ, err)
		}
	}
}

func TestBadValues(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Values)
		caller []string
	}{
		{"PGHOST", func(v *Values) { v.Host = "" }, nil},
		{"PGPORT", func(v *Values) { v.Port = 0 }, nil},
		{"PGPORT", func(v *Values) { v.Port = 65536 }, nil},
		{"PGDATABASE", func(v *Values) { v.Database = "" }, nil},
		{"PGUSER", func(v *Values) { v.User = "" }, nil},
		{"PGPASSWORD", func(v *Values) { v.Password = credential.NewSecret("secret\x00") }, nil},
		{"LAKEBASE_PROFILE", func(v *Values) { v.Profile = "\x00" }, nil},
		{`"A"`, func(*Values) {}, []string{"A=1\x002"}},
		{`"A\x00B"`, func(*Values) {}, []string{"A\x00B=1"}},
	} {
		v := full
		c.change(&v)
		_, err := Build(c.caller, v, nil)
		var bad *ValueError
		if !errors.As(err, &bad) || bad.Name != c.name {
			t.Errorf("%s: got %v", c.name, err)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the value stands in %q", c.name, err)
		}
	}
}

func TestCheckKeep(t *testing.T) {
	for name, reason := range map[string]string{
		"PGHOSTADDR": "another server", "PGSERVICE": "another server", "PGSERVICEFILE": "another server", "PGSYSCONFDIR": "another server",
		"PGPASSFILE": "another password", "PGHOST": "wrapper sets", "PGPASSWORD": "wrapper sets", "PGSSLROOTCERT": "wrapper sets",
		"LAKEBASE_TOKEN_EXPIRES_AT": "wrapper sets", "LAKEBASE_PROFILE": "wrapper sets",
		"": "no name", "A=B": "no name", "A B": "no name", "1A": "no name", "Ä": "no name", "A,B": "no name",
	} {
		err := CheckKeep([]string{"FINE", name})
		var bad *KeepError
		if !errors.As(err, &bad) || bad.Name != name || !strings.Contains(bad.Reason, reason) {
			t.Errorf("%q: got %v", name, err)
		}
		if _, err2 := Build(nil, minimal, []string{name}); !errors.As(err2, &bad) {
			t.Errorf("Build keeps %q: %v", name, err2)
		}
	}
	if err := CheckKeep([]string{"PGSSLCERT", "DATABRICKS_TOKEN", "_x1", "PGREQUIREAUTH", "PGAPPNAME", "pgservice"}); err != nil && !foldNames {
		t.Error(err)
	}
	if err := checkKeep([]string{"pgService"}, true); err == nil {
		t.Error("on Windows pgService is PGSERVICE")
	}
}
