package exchange

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// Values of a Role.
const (
	RoleServicePrincipal = "SERVICE_PRINCIPAL"
	RoleOAuth            = "LAKEBASE_OAUTH_V1"
)

// Role is a Postgres role (databricks-sdk-go service/postgres, RoleRoleSpec and
// RoleRoleStatus).
type Role struct {
	PostgresRole string `json:"postgres_role"`
	IdentityType string `json:"identity_type"`
	AuthMethod   string `json:"auth_method"`
}

// RolesPath returns the path of the roles of a branch, projects/P/branches/B.
func RolesPath(branch string) string { return postgresPath + branch + "/roles" }

// Roles lists the Postgres roles of a branch.
func (c *Client) Roles(ctx context.Context, bearer credential.Secret, branch string) ([]Role, error) {
	r := c.apiRequest(CallRoles, http.MethodGet, RolesPath(branch), bearer, nil)
	r.URL.RawQuery = "page_size=100"
	type wireRole struct{ Status Role }
	return list(ctx, c, r, "roles", func(w wireRole) (Role, bool) { return w.Status, true })
}

// CreateRole starts to create a role, and returns the name of the operation; empty if it
// is done. A role that exists is KindRoleExists, and is left as it is. The workspace
// chooses the role's ID.
func (c *Client) CreateRole(ctx context.Context, bearer credential.Secret, branch string, role Role) (operation string, err error) {
	r := c.apiRequest(CallCreateRole, http.MethodPost, RolesPath(branch), bearer, map[string]Role{"spec": role})
	return c.roleOperation(ctx, r)
}

// RoleOperation requests the state of an operation of CreateRole. One that is not done is
// KindRolePending, which is worth another request; one that has failed is KindRoleFailed.
func (c *Client) RoleOperation(ctx context.Context, bearer credential.Secret, operation string) error {
	r := c.apiRequest(CallRoleOperation, http.MethodGet, postgresPath+operation, bearer, nil)
	name, err := c.roleOperation(ctx, r)
	if err == nil && name != "" {
		err = c.fail(r, &Error{Kind: KindRolePending})
	}
	return err
}

// roleOperation makes a call that returns an Operation (databricks-sdk-go service/postgres).
func (c *Client) roleOperation(ctx context.Context, r request) (string, error) {
	var w struct {
		Name  string
		Done  bool
		Error *wireError
	}
	if _, failed := c.do(ctx, r, &w); failed != nil {
		return "", failed
	}
	switch {
	case w.Error != nil:
		said := w.Error.refusal()
		return "", c.fail(r, &Error{Kind: KindRoleFailed, Code: said.code, Message: said.message, RequestID: said.requestID})
	case w.Done:
		return "", nil
	case !isName(w.Name, "projects", "branches", "roles", "operations"):
		return "", c.badReply(r, "it has no valid name")
	}
	return w.Name, nil
}

// ServicePrincipal returns the numeric ID of the service principal with a client ID, by
// SCIM (databricks-sdk-go service/iam). One that the workspace does not have is
// KindPrincipalNotFound.
func (c *Client) ServicePrincipal(ctx context.Context, bearer credential.Secret, clientID string) (string, error) {
	r := c.apiRequest(CallServicePrincipal, http.MethodGet, "/api/2.0/preview/scim/v2/ServicePrincipals", bearer, nil)
	r.URL.RawQuery = url.Values{"filter": {`applicationId eq "` + clientID + `"`}}.Encode()
	var w struct {
		Resources []struct{ ID, ApplicationID flexString }
	}
	if _, failed := c.do(ctx, r, &w); failed != nil {
		return "", failed
	}
	for _, p := range w.Resources {
		if strings.EqualFold(string(p.ApplicationID), clientID) && isSegment(string(p.ID)) {
			return string(p.ID), nil
		}
	}
	return "", c.fail(r, &Error{Kind: KindPrincipalNotFound, Message: sanitize.Quote(clientID)})
}
