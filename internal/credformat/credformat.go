// Package credformat renders a token as the document that another tool's credential
// hook reads, and expands templates into values for a child's environment. A value that
// a format's reader would misread is an error.
package credformat

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// margin is subtracted from the reported expiry: some callers use a token until the
// last second (client-go does).
const margin = time.Minute

// Answer is a token and how to connect with it. An answer with a workspace token has
// Password and ExpiresAt only.
type Answer struct {
	Host        string
	Port        int
	Database    string
	User        string
	SSLMode     string
	SSLRootCert string // may be empty
	Password    credential.Secret
	ExpiresAt   time.Time // the real one; zero: it does not expire
}

// Error is a value that a format cannot represent, or a variable that does not allow it.
type Error struct{ Problem, Fix string }

func (e *Error) Error() string { return e.Problem }

// Hint returns what to do about it.
func (e *Error) Hint() string { return e.Fix }

// cannotRepresent returns the error for a value of a libpq keyword.
func cannotRepresent(format, keyword, what string) error {
	return &Error{fmt.Sprintf("format %s cannot represent %s in %s", format, what, keyword), "choose another --format"}
}

// expiry returns RFC 3339 in UTC with whole seconds and a Z, which all callers read;
// empty for a token that does not expire.
func expiry(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Add(-margin).UTC().Truncate(time.Second).Format(time.RFC3339)
}

// expiresAt is the variable for the token's expiry.
const expiresAt = "LAKEBASE_TOKEN_EXPIRES_AT"

// field is a libpq keyword, its environment variable, and its value.
type field struct{ keyword, env, value string }

// fields returns the fields that are not empty.
func (a Answer) fields() []field {
	var out []field
	for _, f := range []field{
		{"host", "PGHOST", a.Host},
		{"port", "PGPORT", strconv.Itoa(a.Port)},
		{"dbname", "PGDATABASE", a.Database},
		{"user", "PGUSER", a.User},
		{"password", "PGPASSWORD", a.Password.Reveal()},
		{"sslmode", "PGSSLMODE", a.SSLMode},
		{"sslrootcert", "PGSSLROOTCERT", a.SSLRootCert},
	} {
		if f.value != "" {
			out = append(out, f)
		}
	}
	return out
}

// variables returns the fields and the variable for the token's expiry, if it expires.
func (a Answer) variables() []field {
	if a.ExpiresAt.IsZero() {
		return a.fields()
	}
	return append(a.fields(), field{"", expiresAt, expiry(a.ExpiresAt)})
}

// check returns an *Error if a field contains one of the characters.
func (a Answer) check(format, characters string) error {
	for _, f := range a.fields() {
		if i := strings.IndexAny(f.value, characters); i >= 0 {
			return cannotRepresent(format, f.keyword, characterNames[f.value[i]])
		}
	}
	return nil
}

// characterNames are those that formats cannot represent.
var characterNames = map[byte]string{0: "a NUL", '\n': "a line feed", '\r': "a carriage return"}

// url returns a connection URL as libpq reads it; user, password and database are
// percent-encoded (PostgreSQL manual, "Connection URIs").
func (a Answer) url(password bool, parameters ...string) string {
	user := escape(a.User)
	if password {
		user += ":" + escape(a.Password.Reveal())
	}
	return "postgresql://" + user + "@" + a.hostPort() + "/" + escape(a.Database) + a.query(parameters...)
}

// jdbc returns a URL as pgjdbc reads it, which takes user and password only as
// parameters and ignores PGPASSWORD.
func (a Answer) jdbc() string {
	return "jdbc:postgresql://" + a.hostPort() + "/" + escape(a.Database) + a.query("user", "password", "sslmode", "sslrootcert")
}

func (a Answer) hostPort() string { return net.JoinHostPort(a.Host, strconv.Itoa(a.Port)) }

// query encodes the fields with these keywords.
func (a Answer) query(keywords ...string) string {
	var parts []string
	for _, f := range a.fields() {
		if slices.Contains(keywords, f.keyword) {
			parts = append(parts, f.keyword+"="+escape(f.value))
		}
	}
	return "?" + strings.Join(parts, "&")
}

// escape percent-encodes all but unreserved characters. A space is %20, as libpq
// does not read '+' as a space.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
