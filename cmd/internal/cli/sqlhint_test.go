package cli

import (
	"strings"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
)

// endOf returns where a quoted text ends, as Postgres' scanner does (PostgreSQL
// manual, "Lexical Structure"); negative if it does not end.
func endOf(sql string) int {
	escapes := strings.HasPrefix(sql, "E")
	sql = strings.TrimPrefix(sql, "E")
	quote := sql[0]
	for i := 1; i < len(sql); i++ {
		switch {
		case escapes && sql[i] == '\\':
			i++
		case sql[i] == quote && i+1 < len(sql) && sql[i+1] == quote:
			i++
		case sql[i] == quote && escapes:
			return i + 2
		case sql[i] == quote:
			return i + 1
		}
	}
	return -1
}

// A name never ends its quotes, whatever standard_conforming_strings says.
func FuzzQuotes(f *testing.F) {
	for _, s := range []string{"", "a", `'`, `\`, `\'`, `''`, `"; --`, `x'); DROP TABLE t; --`, "E'", `\\'`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, quoted := range []string{literal(s), identifier(s)} {
			if got := endOf(quoted + " rest"); got != len(quoted) {
				t.Errorf("%q becomes %s, which ends at %d of %d", s, quoted, got, len(quoted))
			}
		}
		if lit := literal(s); strings.Contains(s, `\`) != strings.HasPrefix(lit, "E") {
			t.Errorf("%q becomes %s", s, lit)
		}
	})
}

// loginAs returns a configuration of a login.
func loginAs(user, database, auth string) config.Config {
	c := config.Config{}
	c.User.Value, c.Database.Value, c.Auth.Value, c.Credential.Value = user, database, auth, config.CredentialDatabase
	return c
}

func TestDatabaseHint_SQL(t *testing.T) {
	const id = "5f2b1c3d-0000-4000-8000-0123456789ab"
	const role = `as the project's owner, in db: CREATE EXTENSION IF NOT EXISTS databricks_auth; SELECT databricks_create_role('`
	for _, c := range []struct {
		kind pglogin.Kind
		conf config.Config
		want string
	}{
		{pglogin.RoleMissing, loginAs(id, "db", auth.AuthM2M), role + id + `', 'SERVICE_PRINCIPAL'); GRANT CONNECT ON DATABASE "db" TO "` + id + `";`},
		{pglogin.RoleMissing, loginAs(id, "db", auth.AuthPAT), role + id + `', 'SERVICE_PRINCIPAL'); GRANT CONNECT ON DATABASE "db" TO "` + id + `";`},
		{pglogin.Refused, loginAs("ada@example.com", "db", auth.AuthBrowser), role + `ada@example.com', 'USER'); GRANT CONNECT ON DATABASE "db" TO "ada@example.com";`},
		{pglogin.ConnectDenied, loginAs(`a"b`, `d"; DROP TABLE t`, auth.AuthM2M), `as the project's owner, in d"; DROP TABLE t: GRANT CONNECT ON DATABASE "d""; DROP TABLE t" TO "a""b";`},
	} {
		if got := databaseHint(&pglogin.Error{Kind: c.kind}, &c.conf); got != c.want {
			t.Errorf("%s: got %s\nwant %s", c.kind, got, c.want)
		}
	}
	c := loginAs(id, "db", auth.AuthM2M)
	c.Credential.Value = config.CredentialWorkspace
	if got := databaseHint(&pglogin.Error{Kind: pglogin.Refused}, &c); strings.Contains(got, "CREATE") {
		t.Errorf("wrong kind of token: got %s, want no SQL", got)
	}
}
