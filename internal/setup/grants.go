package setup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// Database runs statements and returns the rows of all of them as text;
// *pglogin.Conn implements it.
type Database interface {
	Query(ctx context.Context, sql string) ([][]string, error)
}

// Levels are how much can be granted. Each includes the one before.
func Levels() []string { return []string{"read", "write", "migrate"} }

// privileges are what a level adds, by the kind of object. TABLES and SEQUENCES are those
// that are created later.
var privileges = []struct{ level, kind, list string }{
	{"read", "DATABASE", "CONNECT"}, {"read", "SCHEMA", "USAGE"},
	{"read", "TABLE", "SELECT"}, {"read", "SEQUENCE", "SELECT"},
	{"read", "TABLES", "SELECT"}, {"read", "SEQUENCES", "SELECT"},
	{"write", "TABLE", "INSERT UPDATE DELETE"}, {"write", "SEQUENCE", "USAGE UPDATE"},
	{"write", "TABLES", "INSERT UPDATE DELETE"}, {"write", "SEQUENCES", "USAGE UPDATE"},
	{"migrate", "SCHEMA", "CREATE"}, {"migrate", "TABLE", "TRUNCATE REFERENCES TRIGGER"}, {"migrate", "TABLES", "TRUNCATE REFERENCES TRIGGER"},
}

// Denied are objects of one owner on which the session's role may not grant privileges.
type Denied struct{ Kind, Privileges, Names, Owner string }

// GrantError is what the session's role may not grant.
type GrantError struct {
	Role   string
	Denied []Denied
}

func (e *GrantError) Error() string {
	var parts []string
	for _, d := range e.Denied {
		parts = append(parts, fmt.Sprintf("%s on %s %s (owner %s)", d.Privileges, strings.ToLower(d.Kind), d.Names, d.Owner))
	}
	return "not allowed to grant " + strings.Join(parts, ", ")
}

// Hint returns what to do about the error.
func (e *GrantError) Hint() string {
	d := e.Denied[0]
	return "run the same command as the owner, " + d.Owner + ", or as a member of that role; or have the owner run: " + grant(d.Kind, d.Privileges, d.Names, e.Role)
}

// missing finds what a role lacks: one row for each statement that grants it, or for each
// owner who would have to. Objects of extensions are left out. Privileges by membership and
// of PUBLIC count; a role that does not exist has only the latter.
const missing = `WITH role AS (SELECT coalesce((SELECT oid FROM pg_roles WHERE rolname = %[1]s), 0) AS oid),
schema AS (SELECT oid, nspname AS name, coalesce((SELECT datdba FROM pg_database
	WHERE datname = current_database() AND pg_get_userbyid(nspowner) = 'pg_database_owner'), nspowner) AS owner
	FROM pg_namespace WHERE oid = %[2]s::regnamespace),
need AS (SELECT * FROM (VALUES %[3]s) AS n (kind, privilege, place)),
object AS (
	SELECT 'DATABASE' AS kind, oid, quote_ident(datname) AS name, datdba AS owner FROM pg_database WHERE datname = current_database()
	UNION ALL SELECT kind, oid, quote_ident(name), owner FROM schema, (VALUES ('SCHEMA'), ('TABLES'), ('SEQUENCES')) AS k (kind)
	UNION ALL SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.oid, format('%%I.%%I', schema.name, relname), relowner
		FROM pg_class c JOIN schema ON schema.oid = relnamespace WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
		AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')),
lacking AS (
	SELECT o.*, place, privilege, CASE kind
		WHEN 'DATABASE' THEN has_database_privilege(current_user, o.oid, privilege || ' WITH GRANT OPTION')
		WHEN 'SCHEMA' THEN has_schema_privilege(current_user, o.oid, privilege || ' WITH GRANT OPTION')
		WHEN 'TABLE' THEN has_table_privilege(current_user, o.oid, privilege || ' WITH GRANT OPTION')
		WHEN 'SEQUENCE' THEN has_sequence_privilege(current_user, o.oid, privilege || ' WITH GRANT OPTION')
		ELSE true END AS may
	FROM object o JOIN need USING (kind), role
	WHERE NOT CASE kind
		WHEN 'DATABASE' THEN has_database_privilege(role.oid, o.oid, privilege)
		WHEN 'SCHEMA' THEN has_schema_privilege(role.oid, o.oid, privilege)
		WHEN 'TABLE' THEN has_table_privilege(role.oid, o.oid, privilege)
		WHEN 'SEQUENCE' THEN has_sequence_privilege(role.oid, o.oid, privilege)
		ELSE EXISTS (SELECT FROM pg_default_acl d, aclexplode(d.defaclacl) a
			WHERE d.defaclrole = (SELECT oid FROM pg_roles WHERE rolname = current_user) AND d.defaclnamespace = o.oid
			AND d.defaclobjtype = CASE kind WHEN 'TABLES' THEN 'r' ELSE 'S' END AND a.grantee = role.oid AND a.privilege_type = privilege)
		END),
each AS (
	SELECT kind, name, owner, may, min(place) AS place, string_agg(privilege, ', ' ORDER BY place) AS list
	FROM lacking GROUP BY kind, oid, name, owner, may)
SELECT kind, list, string_agg(name, ', ' ORDER BY name), CASE WHEN may THEN '' ELSE pg_get_userbyid(owner) END AS of
FROM each GROUP BY kind, list, of ORDER BY min(place), kind, list, of`

// Missing returns the statements that grant a role what it lacks in a schema, as far as the
// session's role may. Errors: *GrantError for the rest, those of the Database.
func Missing(ctx context.Context, db Database, role, schema, level string) (statements []string, err error) {
	var need []string
	for _, p := range privileges {
		if slices.Index(Levels(), p.level) > slices.Index(Levels(), level) {
			continue
		}
		for _, privilege := range strings.Fields(p.list) {
			need = append(need, fmt.Sprintf("('%s', '%s', %d)", p.kind, privilege, len(need)))
		}
	}
	rows, err := db.Query(ctx, "SET LOCAL search_path = pg_catalog; "+fmt.Sprintf(missing, sanitize.SQLLiteral(role),
		sanitize.SQLLiteral(sanitize.SQLIdentifier(schema)), strings.Join(need, ", ")))
	rest := &GrantError{Role: role}
	for _, row := range rows {
		if len(row) != 4 {
			return nil, errors.New("the database answered with other columns than it was asked for")
		}
		if row[3] == "" {
			statements = append(statements, grant(row[0], row[1], row[2], role))
		} else {
			rest.Denied = append(rest.Denied, Denied{row[0], row[1], row[2], row[3]})
		}
	}
	if len(rest.Denied) > 0 {
		err = rest
	}
	return statements, err
}

// Apply runs the statements of Missing, all or none of them.
func Apply(ctx context.Context, db Database, statements []string) error {
	_, err := db.Query(ctx, "BEGIN; "+strings.Join(statements, " ")+" COMMIT")
	return err
}

// grant returns the statement that grants privileges on objects of a kind, whose names
// are quoted.
func grant(kind, privileges, names, role string) string {
	to := " TO " + sanitize.SQLIdentifier(role) + ";"
	if kind == "TABLES" || kind == "SEQUENCES" {
		return "ALTER DEFAULT PRIVILEGES IN SCHEMA " + names + " GRANT " + privileges + " ON " + kind + to
	}
	return "GRANT " + privileges + " ON " + kind + " " + names + to
}
