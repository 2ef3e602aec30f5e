package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// hostName validates a DNS name, which it lower-cases, or an IP address.
func hostName(s string, from Source) (string, error) {
	const fix = "give one DNS name or IP address, not a list or the directory of a socket"
	if ip, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")); err == nil && ip.Zone() == "" {
		return ip.String(), nil
	}
	name := strings.TrimSuffix(strings.ToLower(s), ".")
	labels := strings.Split(name, ".")
	notLabel := func(l string) bool { return !isLabel(l) }
	if len(name) > 253 || slices.ContainsFunc(labels, notLabel) || digitsOnly(labels[len(labels)-1]) {
		return "", rejected(s, from, fix, "is not a host name or an IP address")
	}
	return name, nil
}

func isLabel(l string) bool {
	return l != "" && len(l) <= 63 && l[0] != '-' && l[len(l)-1] != '-' && strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

func digitsOnly(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

func hasControl(s string) bool { return strings.ContainsFunc(s, unicode.IsControl) }

// PooledLimits is what a pooled host cannot do, for warnings.
const PooledLimits = "pg_dump, migrations and session state need a direct host"

// IsPooled reports whether host is that of a connection pooler (Databricks documentation,
// "Connection pooling").
func IsPooled(host string) bool {
	label, _, _ := strings.Cut(host, ".")
	return strings.HasSuffix(label, "-pooler")
}

// CheckDatabaseHost validates a database host that comes from source, as an error names it.
func CheckDatabaseHost(host, source string) (string, error) {
	named, err := hostName(host, Source{FromEnvironment, source})
	var wrong *Error
	if errors.As(err, &wrong) { // there is no configured value to correct
		wrong.Fix = "name the host with --pghost"
	}
	return named, err
}

func databaseHostAddr(s string, from Source) (string, error) {
	ip, err := netip.ParseAddr(s)
	if err != nil || ip.Zone() != "" {
		return "", rejected(s, from, "give one IPv4 or IPv6 address, or leave it out", "is not an IP address")
	}
	return ip.String(), nil
}

// numberTo returns a parser of decimal numbers from 1 to max.
func numberTo(max int) func(string, Source) (int, error) {
	return func(s string, from Source) (int, error) {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > max || !digitsOnly(s) {
			return 0, invalid(from, fmt.Sprintf("give one number from 1 to %d", max), "%s is not a number from 1 to %d", sanitize.Quote(s), max)
		}
		return n, nil
	}
}

// database rejects what libpq's tools read as a connection string: pgbench, vacuumdb and
// others expand PGDATABASE. Such strings may contain a password and are not shown.
func database(s string, from Source) (string, error) {
	const fix = "give the database's name alone, as in databricks_postgres"
	lower := strings.ToLower(s)
	switch {
	case strings.Contains(s, "="), strings.HasPrefix(lower, "postgres:"), strings.HasPrefix(lower, "postgresql:"):
		return "", invalid(from, fix, "libpq would read it as a connection string")
	case hasControl(s) || !utf8.ValidString(s) || len(s) > 63:
		return "", rejected(s, from, fix, "is not a database's name: at most 63 bytes of UTF-8 without control characters")
	}
	return s, nil
}

func user(s string, from Source) (string, error) {
	if hasControl(s) || !utf8.ValidString(s) {
		return "", rejected(s, from, "give the name of a database role", "contains a control character or is not UTF-8")
	}
	return s, nil
}

// maxLine bounds a value that has no other rule, in bytes.
const maxLine = 512

// oneLine validates a value that has no other rule.
func oneLine(s string, from Source) (string, error) {
	if s = strings.TrimSpace(s); s == "" || hasControl(s) || len(s) > maxLine {
		return "", invalid(from, "give a value, or leave it out", "is blank, contains a control character or is longer than %d bytes", maxLine)
	}
	return s, nil
}

// CheckUser validates a user name that comes from source, as an error names it.
func CheckUser(name, source string) (string, error) {
	const fix = "name the database role with --user"
	from := Source{FromEnvironment, source}
	if name == "" {
		return "", invalid(from, fix, "is empty")
	}
	// In a keychain account it would read as the host's port.
	if port, _, found := strings.Cut(name, ":"); found && digitsOnly(port) {
		return "", rejected(name, from, fix, "begins like a port")
	}
	return user(name, from)
}

// clientID validates a client ID for HTTP Basic, where a colon would end it (RFC 7617).
func clientID(s string, from Source) (string, error) {
	const fix = "copy the application ID, a UUID, from the service principal's page in the workspace's settings"
	err := credential.CheckCharacters(s)
	if i := strings.IndexByte(s, ':'); err == nil && i >= 0 {
		err = &credential.CharacterError{Character: ':', Position: i + 1}
	}
	if err != nil {
		return "", invalid(from, fix, "%s is not a client ID: it %v", sanitize.Quote(s), err)
	}
	return s, nil
}

// instance validates the name of a Provisioned instance: up to 63 letters, digits and
// hyphens (Databricks documentation, "Create and manage a database instance").
func instance(s string, from Source) (string, error) {
	if !isLabel(strings.ToLower(s)) {
		return "", rejected(s, from, "give the name that the console shows: letters, digits and hyphens; --endpoint names an endpoint",
			"is not an instance's name")
	}
	return s, nil
}

// Bounds of settings.
const (
	maxPort = 65535
	// Each connection takes up to three descriptors, of which a process has at most
	// about a million.
	maxConnections = 100_000

	minTTL     = 5 * time.Minute // databricks-sdk-go, service/postgres: ttl is 300 s to 3600 s
	maxTTL     = time.Hour
	maxWait    = time.Hour
	minTimeout = time.Millisecond
)

// between returns a parser of durations ("90s", "1h30m", "90d") between min and max.
func between(min, max time.Duration) func(string, Source) (time.Duration, error) {
	return func(s string, from Source) (time.Duration, error) {
		d, err := time.ParseDuration(s)
		if days, ok := strings.CutSuffix(s, "d"); ok {
			var n uint64
			n, err = strconv.ParseUint(days, 10, 16)
			d = time.Duration(n) * day
		}
		if limits := short(min) + " to " + short(max); err != nil || d < min || d > max {
			return 0, rejected(s, from, "give a number with a unit, such as 30s or 5m, from "+limits, "is not a duration from "+limits)
		}
		return d, nil
	}
}

// ParseDuration parses the duration of an option that is not in Settings.
func ParseDuration(text, option string, min, max time.Duration) (time.Duration, error) {
	return between(min, max)(text, Source{FromOption, option})
}

const day = 24 * time.Hour

// short returns 1h for 1h0m0s, 5m for 5m0s, and 90d for 2160h0m0s.
func short(d time.Duration) string {
	if d >= day && d%day == 0 {
		return strconv.Itoa(int(d/day)) + "d"
	}
	return strings.NewReplacer("h0m0s", "h", "m0s", "m").Replace(d.String())
}

func yesOrNo(s string, from Source) (bool, error) {
	if s != "true" && s != "false" {
		return false, rejected(s, from, "write true or false", "is neither true nor false")
	}
	return s == "true", nil
}

// scope validates words of a scope, separated by spaces or, as in a .databrickscfg, by
// commas (RFC 6749 3.3). It returns them sorted, with a space in between.
func scope(s string, from Source) (string, error) {
	line, err := oneLine(s, from)
	words := strings.FieldsFunc(line, func(c rune) bool { return c == ',' || c == ' ' })
	unusable := func(word string) bool { return credential.CheckCharacters(word) != nil }
	if err == nil && (len(words) == 0 || slices.ContainsFunc(words, unusable)) {
		err = rejected(s, from, "name scopes of the workspace's API, such as postgres or "+AllAPIs, "is not a scope")
	}
	slices.Sort(words)
	return strings.Join(slices.Compact(words), " "), err
}

func oneOf(words []string) func(string, Source) (string, error) {
	return func(s string, from Source) (string, error) {
		if !slices.Contains(words, s) {
			list := strings.Join(words, ", ")
			return "", invalid(from, "give one of "+list, "%s is not one of %s", sanitize.Quote(s), list)
		}
		return s, nil
	}
}

func onRefresh(s string, from Source) (string, error) {
	if s == onRefreshNone || s == OnRefreshRestart {
		return s, nil
	}
	name, ok := strings.CutPrefix(s, OnRefreshSignal)
	name = strings.TrimPrefix(strings.ToUpper(name), "SIG")
	if !ok || name == "" || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-") != "" {
		return "", rejected(s, from, "write it as --on-refresh signal:HUP, or restart", "is not one of none, restart, signal:NAME")
	}
	return OnRefreshSignal + name, nil
}

// listen validates HOST:PORT or the path of a directory.
func (r *resolver) listen(s string, from Source) (string, error) {
	switch {
	case !filepath.IsAbs(s):
		return listenAddress(s, from)
	case !IsSocketDir(s):
		return "", rejected(s, from, "choose another directory, or give --listen 127.0.0.1:0",
			"contains a comma or a control character, which no PGHOST can contain")
	}
	return r.path(s, from)
}

// IsSocketDir reports whether PGHOST can name the directory of a Unix socket: libpq takes
// a comma as the end of a host (PostgreSQL manual, "Specifying Multiple Hosts").
func IsSocketDir(path string) bool {
	return !strings.ContainsFunc(path, func(c rune) bool { return c == ',' || unicode.IsControl(c) || c == unicode.ReplacementChar })
}

// listenAddress validates HOST:PORT with an IP address or localhost; port 0 is any.
func listenAddress(s string, from Source) (string, error) {
	host, port, err := net.SplitHostPort(s)
	n, err2 := strconv.ParseUint(port, 10, 16)
	if err != nil || err2 != nil {
		return "", rejected(s, from, "write it as HOST:PORT, for example 127.0.0.1:5432", "is not HOST:PORT")
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	if net.ParseIP(host) == nil {
		return "", rejected(host, from, "give an IP address or localhost, as in 127.0.0.1:5432", "is not an IP address")
	}
	return net.JoinHostPort(host, strconv.FormatUint(n, 10)), nil
}
