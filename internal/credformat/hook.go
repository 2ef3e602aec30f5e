// Package credformat turns a token into the bytes that another tool's credential hook
// expects, and templates into values for a child's environment. It is made of
// pure functions. It must never read, write or log, nor give out a value that its
// reader would take for another one: what a format cannot hold is refused.
package credformat

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// Margin is how much earlier than it does a token is said to expire: some
// callers keep it to the very second that they were told (client-go does).
const Margin = time.Minute

// Answer is a token and all that a caller needs beside it.
type Answer struct {
	Host        string
	Port        int
	Database    string
	User        string
	SSLMode     string
	SSLRootCert string // may be empty
	Password    credential.Secret
	ExpiresAt   time.Time // the real one
}

// Error is a value that a format cannot hold.
type Error struct {
	Format string
	Field  string // a libpq keyword
	What   string
}

func (e *Error) Error() string {
	return fmt.Sprintf("format %s cannot hold %s in %s", e.Format, e.What, e.Field)
}

// expiry is RFC 3339 in UTC with whole seconds and a Z, which every caller reads.
func expiry(t time.Time) string {
	return t.Add(-Margin).UTC().Truncate(time.Second).Format(time.RFC3339)
}

// field is a libpq keyword, its environment variable, and its value here.
type field struct{ keyword, env, value string }

// fields lists what there is of an answer, the password last but for its expiry.
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

// check refuses an answer whose fields hold one of the characters.
func (a Answer) check(format, characters string) error {
	for _, f := range a.fields() {
		if i := strings.IndexAny(f.value, characters); i >= 0 {
			return &Error{format, f.keyword, name(f.value[i])}
		}
	}
	return nil
}

// name says a character in words.
func name(c byte) string {
	switch c {
	case 0:
		return "a NUL"
	case '\n':
		return "a line feed"
	case '\r':
		return "a carriage return"
	}
	return strconv.QuoteRuneToASCII(rune(c))
}

// URL is a connection URL as libpq reads it; user, password and database are
// percent-encoded (PostgreSQL manual, "Connection URIs").
func (a Answer) URL(withPassword bool) string {
	user := escape(a.User)
	if withPassword {
		user += ":" + escape(a.Password.Reveal())
	}
	return "postgresql://" + user + "@" + a.hostPort() + "/" + escape(a.Database) + query(a.tls())
}

// JDBC is a URL as pgjdbc reads it: it takes user and password as parameters
// only, and PGPASSWORD not at all.
func (a Answer) JDBC() string {
	return "jdbc:postgresql://" + a.hostPort() + "/" + escape(a.Database) +
		query(append([][2]string{{"user", a.User}, {"password", a.Password.Reveal()}}, a.tls()...))
}

func (a Answer) hostPort() string { return net.JoinHostPort(a.Host, strconv.Itoa(a.Port)) }

func (a Answer) tls() [][2]string {
	out := [][2]string{{"sslmode", a.SSLMode}}
	if a.SSLRootCert != "" {
		out = append(out, [2]string{"sslrootcert", a.SSLRootCert})
	}
	return out
}

func query(pairs [][2]string) string {
	var parts []string
	for _, p := range pairs {
		parts = append(parts, p[0]+"="+escape(p[1]))
	}
	return "?" + strings.Join(parts, "&")
}

// escape percent-encodes all but unreserved characters: libpq does not read '+'
// as a space, and pgjdbc does.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
