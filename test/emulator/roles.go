package emulator

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// operation is one that makes a role. It is done at once, and is said to be done later.
type operation struct {
	name string
	role map[string]any
	done time.Time
}

func (o operation) document(now time.Time) map[string]any {
	out := map[string]any{"name": o.name, "metadata": map[string]string{"@type": "type.googleapis.com/databricks.postgres.v1.RoleOperationMetadata"}}
	if out["done"] = !now.Before(o.done); out["done"] == true {
		out["response"] = o.role
	}
	return out
}

// rolePage is how many roles a page of the list holds at most: few, as secretPage.
const rolePage = 2

// roleIDForm is what the API accepts (databricks/cli libs/testserver).
var roleIDForm = regexp.MustCompile(`^[a-z][a-z0-9-]{3,62}$`)

// branchOf returns the branch of a call about roles.
func branchOf(r *http.Request) string {
	branch, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, resourcesPath), "/roles")
	return branch
}

// roles lists the cluster's roles, which all branches share, but those of the system.
func (a *api) roles(ctx context.Context, branch string) (list []map[string]any, err error) {
	rows, err := a.sql(ctx, `SELECT r.rolname, r.rolcanlogin, EXISTS (SELECT FROM pg_auth_members m
		WHERE m.member = r.oid AND m.roleid = 'databricks_superuser'::regrole) FROM pg_roles r
		WHERE r.rolname !~ '^(pg_.*|`+superuser+`|databricks_superuser)$' ORDER BY r.oid`)
	for _, row := range rows {
		list = append(list, a.role(branch, row[0], row[1] == "t", row[2] == "t"))
	}
	return list, err
}

// role is the document of a role: status without spec, as a GET returns it.
func (a *api) role(branch, name string, login, member bool) map[string]any {
	identity, method := "IDENTITY_TYPE_UNSPECIFIED", "PG_PASSWORD_SCRAM_SHA_256"
	if who := a.principals[name]; who != nil {
		identity, method = "SERVICE_PRINCIPAL", "LAKEBASE_OAUTH_V1"
		if who.user {
			identity = "USER"
		}
	}
	if !login {
		method = "NO_LOGIN"
	}
	id := fmt.Sprintf("role-%x", sha256.Sum256([]byte(name)))[:13]
	status := map[string]any{"postgres_role": name, "role_id": id, "identity_type": identity, "auth_method": method}
	if member {
		status["membership_roles"] = []string{"DATABRICKS_SUPERUSER"}
	}
	return map[string]any{"name": branch + "/roles/" + id, "parent": branch, "role_id": id, "status": status}
}

func (a *api) listRoles(r *http.Request, _ Settings, _ string) reply {
	branch := branchOf(r)
	if a.find(branch) == nil {
		return notFound("branch id")
	}
	all, err := a.roles(r.Context(), branch)
	if err != nil {
		return apiError(http.StatusInternalServerError, "INTERNAL_ERROR", err.Error())
	}
	roles, next, err := page(r, all, rolePage)
	if err != nil {
		return invalidParameter(err.Error())
	}
	return jsonReply(http.StatusOK, map[string]any{"roles": append([]map[string]any{}, roles...), "next_page_token": next})
}

// createRole is POST …/roles, whose body is a role with its spec. The role exists in
// Postgres when the reply is sent.
func (a *api) createRole(r *http.Request, s Settings, _ string) reply {
	branch, query := branchOf(r), r.URL.Query()
	var in struct {
		Spec struct {
			PostgresRole string   `json:"postgres_role"`
			IdentityType string   `json:"identity_type"`
			AuthMethod   string   `json:"auth_method"`
			Memberships  []string `json:"membership_roles"`
		} `json:"spec"`
	}
	if json.NewDecoder(r.Body).Decode(&in) != nil {
		return malformed()
	}
	spec := in.Spec
	who := a.principals[spec.PostgresRole]
	switch id := query.Get("role_id"); {
	case s.RolesDenied:
		return apiError(http.StatusForbidden, "PERMISSION_DENIED", "User does not have CAN_MANAGE permission on the project.")
	case a.find(branch) == nil:
		return notFound("branch id")
	case spec.PostgresRole == "":
		return invalidParameter(`Field 'role.spec.postgres_role' is required, expected non-default value (not "")!`)
	case id != "" && !roleIDForm.MatchString(id):
		return invalidParameter("Field 'role_id' must be 4-63 characters, start with a lowercase letter, and contain only lowercase letters, numbers and hyphens (RFC 1123).")
	case query.Has("replace_existing"):
		return invalidParameter("the local Lakebase has no replace_existing")
	case spec.IdentityType != "" && (who == nil || who.user != (spec.IdentityType == "USER")):
		return invalidParameter("'postgres_role' names no identity of this workspace")
	}
	create := "CREATE ROLE " + quoteIdentifier(spec.PostgresRole) + " LOGIN"
	if spec.AuthMethod == "NO_LOGIN" {
		create = strings.Replace(create, " LOGIN", " NOLOGIN", 1)
	}
	if len(spec.Memberships) > 0 {
		create += " IN ROLE databricks_superuser"
	}
	if _, err := a.sql(r.Context(), create); err != nil && strings.Contains(err.Error(), "42710") {
		return apiError(http.StatusBadRequest, "BAD_REQUEST", "role with that name already exists")
	} else if err != nil {
		return apiError(http.StatusInternalServerError, "INTERNAL_ERROR", err.Error())
	}
	made := a.role(branch, spec.PostgresRole, spec.AuthMethod != "NO_LOGIN", len(spec.Memberships) > 0)
	op := operation{name: made["name"].(string) + "/operations/" + newUUID(), role: made, done: s.clock().Add(s.RoleDelay)}
	a.operations[op.name] = op
	return jsonReply(http.StatusOK, op.document(s.clock()))
}

func (a *api) operation(r *http.Request, s Settings, _ string) reply {
	op, ok := a.operations[strings.TrimPrefix(r.URL.Path, resourcesPath)]
	if !ok {
		return notFound("operation id")
	}
	return jsonReply(http.StatusOK, op.document(s.clock()))
}

// listPrincipals is SCIM's list of service principals, for the filter on the client ID.
func (a *api) listPrincipals(r *http.Request, _ Settings, _ string) reply {
	id, ok := strings.CutPrefix(r.URL.Query().Get("filter"), `applicationId eq "`)
	if !ok {
		return jsonReply(http.StatusBadRequest, map[string]string{"scimType": "invalidFilter", "detail": "the local Lakebase has applicationId eq only", "status": "400"})
	}
	found := []map[string]any{}
	if who := a.principals[strings.TrimSuffix(id, `"`)]; who != nil && !who.user {
		found = append(found, map[string]any{"id": who.id, "applicationId": strings.TrimSuffix(id, `"`), "active": true})
	}
	return jsonReply(http.StatusOK, map[string]any{"schemas": []string{"urn:ietf:params:scim:api:messages:2.0:ListResponse"}, "totalResults": len(found), "Resources": found})
}
