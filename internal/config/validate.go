package config

import (
	"errors"
	"net"
	"net/netip"
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
	if ip, err := netip.ParseAddr(unbracket(s)); err == nil {
		if ip.Zone() != "" {
			return "", errorf(from, "%s: addresses with a zone are not supported", sanitize.Quote(s)).withFix("leave out the % and what follows it")
		}
		return ip.String(), nil
	}
	name := strings.TrimSuffix(strings.ToLower(s), ".")
	if name == "" || len(name) > 253 {
		return "", errorf(from, "%s is not a host name", sanitize.Quote(s)).withFix("give one DNS name or IP address")
	}
	for _, label := range strings.Split(name, ".") {
		if !isLabel(label) {
			return "", errorf(from, "%s is not a host name", sanitize.Quote(s)).withFix("give one DNS name or IP address")
		}
	}
	if digitsOnly(name[strings.LastIndexByte(name, '.')+1:]) {
		return "", errorf(from, "%s is neither a host name nor an IP address", sanitize.Quote(s)).withFix("give one DNS name or IP address")
	}
	return name, nil
}

// unbracket removes the brackets of an IPv6 address.
func unbracket(s string) string {
	if in, ok := strings.CutPrefix(s, "["); ok && strings.Contains(in, ":") {
		if in, ok = strings.CutSuffix(in, "]"); ok {
			return in
		}
	}
	return s
}

func isLabel(l string) bool {
	if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
		return false
	}
	for i := 0; i < len(l); i++ {
		if c := l[i]; !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

func digitsOnly(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// databaseHost validates PGHOST.
func databaseHost(s string, from Source) (string, error) {
	if strings.Contains(s, ",") {
		return "", errorf(from, "%s: a list of hosts is not supported", sanitize.Quote(s)).withFix("give one host, that of the endpoint")
	}
	if strings.HasPrefix(s, "/") || strings.HasPrefix(s, "@") {
		return "", errorf(from, "%s: a Unix socket is not a Lakebase host", sanitize.Quote(s)).withFix("give the host of the endpoint, or leave it out to ask the workspace")
	}
	host, err := hostName(s, from)
	if err != nil {
		return "", err
	}
	if isPooler(host) {
		return "", &Error{Name: from.String(), Problem: sanitize.Quote(s) + " is a pooled host, which takes no OAuth roles",
			Fix: "use the host without -pooler"}
	}
	return host, nil
}

func databaseHostAddr(s string, from Source) (string, error) {
	ip, err := netip.ParseAddr(s)
	if err != nil || ip.Zone() != "" {
		return "", errorf(from, "%s is not an IP address", sanitize.Quote(s)).withFix("give one IPv4 or IPv6 address, or leave it out")
	}
	return ip.String(), nil
}

func port(s string, from Source) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 65535 || !digitsOnly(s) {
		return 0, errorf(from, "%s is not one port between 1 and 65535", sanitize.Quote(s)).withFix("give one number from 1 to 65535; Lakebase listens on 5432")
	}
	return n, nil
}

// database rejects what libpq's tools read as a connection string: pgbench, vacuumdb and
// others expand PGDATABASE. Such strings may contain a password and are not shown.
func database(s string, from Source) (string, error) {
	lower := strings.ToLower(s)
	switch {
	case strings.HasPrefix(lower, "postgres:") || strings.HasPrefix(lower, "postgresql:"):
		return "", &Error{Name: from.String(), Problem: sanitize.Quote(redactURL(s)) + " is a connection URL, not a database's name", Fix: "give the name alone, as in databricks_postgres"}
	case strings.Contains(s, "="):
		return "", &Error{Name: from.String(), Problem: "contains '=': libpq would read it as a connection string", Fix: "give the database's name alone, as in databricks_postgres"}
	case hasControl(s):
		return "", errorf(from, "%s contains a control character", sanitize.Quote(s)).withFix("give the name alone, as in databricks_postgres")
	case !utf8.ValidString(s) || len(s) > 63:
		return "", errorf(from, "%s is not a database's name (at most 63 bytes of UTF-8)", sanitize.Quote(s)).withFix("give the name alone, as in databricks_postgres")
	}
	return s, nil
}

// redactURL keeps only the scheme of a URL, which may contain a password.
func redactURL(s string) string {
	scheme, _, _ := strings.Cut(s, ":")
	return scheme + ":..."
}

func user(s string, from Source) (string, error) {
	switch {
	case hasControl(s):
		return "", errorf(from, "%s contains a control character", sanitize.Quote(s)).withFix("give the name of a database role")
	case !utf8.ValidString(s):
		return "", errorf(from, "%s is not UTF-8", sanitize.Quote(s)).withFix("give the name of a database role")
	}
	return s, nil
}

// clientID validates a client ID for HTTP Basic, where a colon would end it (RFC 7617).
func clientID(s string, from Source) (string, error) {
	const fix = "copy the application ID, a UUID, from the service principal's page in the workspace's settings"
	if err := credential.CheckCharacters(s); err != nil {
		return "", errorf(from, "%s is not a client ID: it %v", sanitize.Quote(s), err).withFix(fix)
	}
	if i := strings.IndexByte(s, ':'); i >= 0 {
		return "", errorf(from, "%s is not a client ID: it contains a colon at position %d", sanitize.Quote(s), i+1).withFix(fix)
	}
	return s, nil
}

// instance validates the name of a Provisioned instance: up to 63 letters, digits and
// hyphens (Databricks documentation, "Create and manage a database instance").
func instance(s string, from Source) (string, error) {
	if strings.HasPrefix(s, "projects/") {
		return "", &Error{Name: from.String(), Problem: sanitize.Quote(s) + " is not an instance's name", Fix: "an endpoint is named by --endpoint, LAKEBASE_ENDPOINT or the profile's key endpoint"}
	}
	if !isLabel(strings.ToLower(s)) {
		return "", &Error{Name: from.String(), Problem: sanitize.Quote(s) + " is not an instance's name", Fix: "give the name that the console shows: letters, digits and hyphens"}
	}
	return s, nil
}

// duration parses a Go duration ("90s", "1h30m") between min and max.
func duration(s string, from Source, min, max time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, errorf(from, "%s is not a duration, such as 30s or 5m", sanitize.Quote(s)).withFix("give a number with a unit, as in 30s or 5m")
	}
	if d < min || d > max {
		return 0, errorf(from, "%s is not between %s and %s", s, short(min), short(max)).withFix("give a duration from " + short(min) + " to " + short(max))
	}
	return d, nil
}

func short(d time.Duration) string {
	s := d.String()
	s = strings.TrimSuffix(s, "m0s") + map[bool]string{true: "m"}[strings.HasSuffix(s, "m0s")]
	return strings.TrimSuffix(s, "h0m") + map[bool]string{true: "h"}[strings.HasSuffix(s, "h0m")]
}

func oneOf(words []string) func(string, Source) (string, error) {
	return func(s string, from Source) (string, error) {
		if !slices.Contains(words, s) {
			return "", errorf(from, "%s is not one of %s", sanitize.Quote(s), strings.Join(words, ", ")).withFix("give one of " + strings.Join(words, ", "))
		}
		return s, nil
	}
}

func hasControl(s string) bool { return strings.ContainsFunc(s, unicode.IsControl) }

// joinHostPort is net.JoinHostPort, without the port where it is empty.
func joinHostPort(host, port string) string {
	if port == "" {
		if strings.Contains(host, ":") {
			return "[" + host + "]"
		}
		return host
	}
	return net.JoinHostPort(host, port)
}

// CheckDatabaseHost validates a database host that is not from the configuration by the
// same rules. source names it in the error.
func CheckDatabaseHost(host, source string) (string, error) {
	named, err := databaseHost(host, Source{FromEnvironment, source})
	var wrong *Error
	if errors.As(err, &wrong) && !isPooler(host) { // there is no configured value to correct
		wrong.Fix = "name the host with --pghost"
	}
	return named, err
}

// CheckUser validates a user name that is not from the configuration by the same rules.
// source names it in the error.
func CheckUser(name, source string) (string, error) {
	from := Source{FromEnvironment, source}
	if name == "" {
		return "", errorf(from, "is empty").withFix("name the database role with --user")
	}
	// In a keychain account it would read as the host's port.
	if port, _, found := strings.Cut(name, ":"); found && digitsOnly(port) {
		return "", errorf(from, "%s begins like a port", sanitize.Quote(name)).withFix("name the database role with --user")
	}
	return user(name, from)
}

// ParseDuration parses the duration of an option that is not in Settings.
func ParseDuration(text, option string, min, max time.Duration) (time.Duration, error) {
	return duration(text, Source{FromOption, option}, min, max)
}
