package e2e

import (
	"context"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
	"github.com/lakebase-exec/lakebase-exec/test/emulator/control"
)

// authVariables are those that one way in sets and another must not find.
var authVariables = []string{"DATABRICKS_CLIENT_ID", "DATABRICKS_CLIENT_SECRET", "DATABRICKS_TOKEN", "DATABRICKS_OIDC_TOKEN", "DATABRICKS_OIDC_TOKEN_FILEPATH",
	"DATABRICKS_OIDC_TOKEN_ENV", "DATABRICKS_AUTH_TYPE", "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "PGUSER"}

// auth sets the variables of one way in, as "lakebase env" prints them, and
// removes those of every other.
func (s *scriptEnv) auth(ts *testscript.TestScript, neg bool, args []string) {
	l := s.lakebases["first"]
	if l == nil || len(args) == 0 || neg {
		ts.Fatalf("way WAY [WORD…], after lakebase start")
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	out, err := control.Do(ctx, l, append([]string{"env"}, args...))
	ts.Check(err)
	for _, name := range authVariables {
		ts.Setenv(name, "")
	}
	for _, line := range strings.Split(strings.TrimSuffix(out, "\n"), "\n") {
		name, value, _ := strings.Cut(line, "=")
		ts.Setenv(name, value)
	}
	if emulator.AuthType(args[0]) == emulator.AuthM2M {
		ts.Setenv("DATABRICKS_CLIENT_SECRET", "")
	}
}
