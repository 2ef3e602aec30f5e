// Package pgenv owns the child's environment: the caller's, less all that could
// send the token elsewhere or that is a secret, plus what the child connects
// with. It is a pure function of what it is given. It must never read the
// process's own environment, and never let a name stand twice.
package pgenv

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// Values are what the child connects with. A field that is empty or zero is not
// exported, and an inherited variable of that name is removed all the same;
// Host, Port, Database and User have to be there.
type Values struct {
	Host        string
	HostAddr    string // the address that the login was proven at, if one was named
	Port        int    // 1 to 65535
	Database    string
	User        string
	Password    credential.Secret
	PassFile    string // where the password stands that is not in Password
	SSLMode     string
	SSLRootCert string
	AppName     string // used only if the caller has none
	ExpiresAt   time.Time
	Profile     string
	Extra       []Var // asked for by name; see CheckExtra
}

// Var is one more variable for the child.
type Var struct{ Name, Value string }

func (v Values) extraNames() []string {
	var out []string
	for _, x := range v.Extra {
		out = append(out, x.Name)
	}
	return out
}

// Result is the child's environment and what was done to make it.
type Result struct {
	Environ []string // NAME=VALUE, in the caller's order, then ours; the password is among them
	Set     []string // the names that were set, in the order in which they stand
	Removed []string // the names that the caller had and the child has not, sorted
}

// ValueError says that a value cannot be handed to the child.
type ValueError struct{ Name, Reason string }

func (e *ValueError) Error() string { return fmt.Sprintf("%s: %s", e.Name, e.Reason) }

// KeepError says why a variable cannot be kept.
type KeepError struct{ Name, Reason string }

func (e *KeepError) Error() string { return fmt.Sprintf("%q cannot be kept: %s", e.Name, e.Reason) }

// ExtraError says why a variable cannot be set for the child.
type ExtraError struct{ Name, Reason string }

func (e *ExtraError) Error() string { return fmt.Sprintf("%q cannot be set: %s", e.Name, e.Reason) }

// CheckKeep refuses, with a *KeepError, names that are malformed, that the
// wrapper sets itself, or that name another server or password. Names that pass
// anyway are no error.
func CheckKeep(names []string) error { return checkKeep(names, foldNames) }

func checkKeep(names []string, fold bool) error {
	for _, n := range names {
		if !wellFormed(n) {
			return &KeepError{Name: n, Reason: "it is no name of a variable"}
		}
		if reason := neverKept(key(n, fold)); reason != "" {
			return &KeepError{Name: n, Reason: reason}
		}
	}
	return nil
}

// CheckExtra refuses, with an *ExtraError, names of further variables that are
// malformed, stand twice, or are set or removed by the wrapper itself.
func CheckExtra(names []string) error { return checkExtra(names, foldNames) }

func checkExtra(names []string, fold bool) error {
	seen := map[string]bool{}
	for _, n := range names {
		k := key(n, fold)
		switch {
		case !wellFormed(n):
			return &ExtraError{Name: n, Reason: "it is no name of a variable"}
		case ours[k], k == pgAppName:
			return &ExtraError{Name: n, Reason: "the wrapper sets it"}
		case steers[k], relatives[k], secrets[k]:
			return &ExtraError{Name: n, Reason: "the wrapper removes it"}
		case seen[k]:
			return &ExtraError{Name: n, Reason: "it is asked for twice"}
		}
		seen[k] = true
	}
	return nil
}

// foldNames: Windows does not tell PATH from Path.
const foldNames = runtime.GOOS == "windows"

// Build makes the child's environment from the caller's, given as os.Environ
// gives it. Of libpq's variables only the harmless ones pass; those, the secrets
// and the variable that DATABRICKS_OIDC_TOKEN_ENV names are removed, unless keep
// names them. Of entries with one name the first stays: it is what getenv, and
// so libpq, would have read. Empty variables of libpq, and entries that have no
// name or no "=", are dropped.
//
// Errors: *KeepError for keep, *ExtraError for the names of v.Extra, *ValueError
// for v's values, and for a NUL byte anywhere.
func Build(caller []string, v Values, keep []string) (Result, error) {
	return build(caller, v, keep, foldNames)
}

func build(caller []string, v Values, keep []string, fold bool) (Result, error) {
	if err := checkKeep(keep, fold); err != nil {
		return Result{}, err
	}
	if err := checkExtra(v.extraNames(), fold); err != nil {
		return Result{}, err
	}
	entries := parse(caller, fold)
	own, err := values(v, entries, fold)
	if err != nil {
		return Result{}, err
	}
	kept := map[string]bool{}
	for _, n := range keep {
		kept[key(n, fold)] = true
	}
	oidc := namedToken(entries, fold)

	r := Result{Environ: make([]string, 0, len(entries)+len(own))}
	for _, e := range entries {
		switch {
		case own.has(e.key): // replaced, below
			continue
		case drop(e, oidc, kept):
			r.Removed = append(r.Removed, e.name)
		case strings.ContainsRune(e.text, 0):
			return Result{}, &ValueError{Name: strconv.Quote(e.name), Reason: "holds a NUL byte"}
		default:
			r.Environ = append(r.Environ, e.text)
		}
	}
	for _, e := range own {
		r.Environ = append(r.Environ, e.name+"="+e.value)
		r.Set = append(r.Set, e.name)
	}
	slices.Sort(r.Removed)
	return r, nil
}

// drop says whether the child is not to have an inherited variable.
func drop(e entry, oidc string, kept map[string]bool) bool {
	switch {
	case ours[e.key]:
		return true
	case isLibpq(e.key) && e.value == "":
		return true
	case kept[e.key]:
		return false
	}
	return steers[e.key] || relatives[e.key] || secrets[e.key] || (oidc != "" && e.key == oidc)
}

// values lists what the wrapper sets, in order.
func values(v Values, caller entries, fold bool) (entries, error) {
	port := ""
	if 0 < v.Port && v.Port <= 65535 {
		port = strconv.Itoa(v.Port)
	}
	app, expires := v.AppName, ""
	if valueOf(caller, pgAppName) != "" {
		app = ""
	}
	if !v.ExpiresAt.IsZero() {
		expires = v.ExpiresAt.UTC().Format("2006-01-02T15:04:05Z")
	}
	var own entries
	for _, f := range []struct {
		name, value string
		required    bool
	}{
		{pgHost, v.Host, true},
		{pgHostAddr, v.HostAddr, false},
		{pgPort, port, true},
		{pgDatabase, v.Database, true},
		{pgUser, v.User, true},
		{pgPassword, v.Password.Reveal(), false},
		{pgPassFile, v.PassFile, false},
		{pgSSLMode, v.SSLMode, false},
		{pgSSLRootCert, v.SSLRootCert, false},
		{pgAppName, app, false},
		{expiresAt, expires, false},
		{profile, v.Profile, false},
	} {
		switch {
		case f.value == "" && f.required:
			return nil, &ValueError{Name: f.name, Reason: "no usable value"}
		case strings.ContainsRune(f.value, 0):
			return nil, &ValueError{Name: f.name, Reason: "holds a NUL byte"}
		case f.value != "":
			own = append(own, entry{key: f.name, name: f.name, value: f.value})
		}
	}
	for _, x := range v.Extra {
		if strings.ContainsRune(x.Value, 0) {
			return nil, &ValueError{Name: x.Name, Reason: "holds a NUL byte"}
		}
		own = append(own, entry{key: key(x.Name, fold), name: x.Name, value: x.Value})
	}
	return own, nil
}
