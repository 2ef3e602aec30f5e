// Package setup makes a service principal ready to use a database: it creates its
// Postgres role and grants it what is missing. What exists is left as it is, so that
// another run changes nothing. It never prints and never reads the process environment.
package setup

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// Role is the Postgres role of a service principal.
type Role struct {
	API      *exchange.Client
	Bearer   credential.Secret // the workspace token of who may create it
	Branch   string            // projects/P/branches/B
	ClientID string            // of the service principal, and the role's name
}

func (r Role) role() exchange.Role {
	return exchange.Role{PostgresRole: r.ClientID, IdentityType: exchange.RoleServicePrincipal, AuthMethod: exchange.RoleOAuth}
}

// Call returns the call of Create as a line.
func (r Role) Call() string {
	body, _ := json.Marshal(map[string]exchange.Role{"spec": r.role()}) // strings: it cannot fail
	return "POST " + exchange.RolesPath(r.Branch) + " " + string(body)
}

// Exists reports whether the branch has the role. Errors: *config.Error, *exchange.Error
// (inside a *retry.Error after several attempts). ctx must have a deadline.
func (r Role) Exists(ctx context.Context) (bool, error) {
	roles, err := exchange.RetryCall(ctx, r.API.Roles, r.Bearer, r.Branch)
	i := slices.IndexFunc(roles, func(o exchange.Role) bool { return o.PostgresRole == r.ClientID })
	if err != nil || i < 0 {
		return false, err
	}
	if method := roles[i].AuthMethod; method != "" && method != exchange.RoleOAuth {
		return true, &config.Error{Name: "--for", Problem: "the role " + r.ClientID + " exists with the authentication method " + sanitize.Line(method) + ", which accepts no token",
			Fix: "change that method in the console, or drop the role if it owns nothing, and run the command again"}
	}
	return true, nil
}

// Create creates the role and waits until it exists. A role that exists already keeps
// its memberships. Errors: *exchange.Error. ctx must have a deadline.
func (r Role) Create(ctx context.Context) error {
	operation, err := exchange.Retry(ctx, func(ctx context.Context) (string, error) { return r.API.CreateRole(ctx, r.Bearer, r.Branch, r.role()) })
	if exchange.IsKind(err, exchange.KindRoleExists) { // the reply to an earlier attempt was lost, or Roles does not list it
		return nil
	}
	if err == nil && operation != "" {
		_, err = exchange.Retry(ctx, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, r.API.RoleOperation(ctx, r.Bearer, operation)
		})
	}
	return err
}
