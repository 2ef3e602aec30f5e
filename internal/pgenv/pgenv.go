// Package pgenv builds the child's environment: the caller's, without variables that
// could send the token elsewhere and without secrets, plus what the child connects
// with. It depends on its arguments only; it never reads the process's environment.
package pgenv

import (
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// Values are what the child connects with. An empty field is not exported, and an
// inherited variable of that name is still removed. Host, Port, Database and User are
// required.
type Values struct {
	Host        string
	HostAddr    string // the address that the login used, if one was configured
	Port        int    // 1 to 65535
	Database    string
	User        string
	Password    credential.Secret
	PassFile    string // a password file, in place of Password
	SSLMode     string
	SSLRootCert string
	AppName     string // used only if the caller has none
	ExpiresAt   time.Time
	Profile     string
	Extra       []Var // that CheckExtra accepts
}

// Var is a variable.
type Var struct{ Name, Value string }

func (v Var) String() string { return v.Name + "=" + v.Value }

// Result is the child's environment, and how it differs from the caller's.
type Result struct {
	Environ []string // NAME=VALUE, the caller's in their order, then those set; the password is among them
	Set     []string // the names that were set, in order
	Removed []string // the names that only the caller has, sorted
}

// foldNames: on Windows, names that differ in case only are equal.
const foldNames = runtime.GOOS == "windows"

// Build returns the child's environment. It removes libpq's variables but those that are
// allowed, secrets, and the variable that DATABRICKS_OIDC_TOKEN_ENV names, unless keep,
// which CheckKeep accepts, names them. Of several entries of caller with one name the
// first stays, as in getenv.
func Build(caller []string, v Values, keep []string) Result {
	inherited := parse(caller)
	if value(inherited, pgAppName) != "" {
		v.AppName = ""
	}
	own := v.environ()
	var names []string
	for _, e := range own {
		names = append(names, e.Name)
	}
	r := inherit(inherited, names, keep)
	for _, e := range own {
		r.Environ = append(r.Environ, e.String())
	}
	return r
}

// WithoutSecrets returns the environment for a program that gets no token: the caller's,
// without what Build removes.
func WithoutSecrets(caller []string) []string {
	return inherit(parse(caller), nil, nil).Environ
}

// SplitSecrets returns the variables that Build removes as secrets, and the others.
func SplitSecrets(environ []string) (secret, others []string) {
	vars := parse(environ)
	for _, v := range vars {
		if k := key(v.Name); v.Value != "" && (contains(secrets, k) || k == tokenVariable(vars)) {
			secret = append(secret, v.String())
		} else {
			others = append(others, v.String())
		}
	}
	return secret, others
}

// tokenVariable returns the name of the variable with a workload's token. Space around it is
// ignored, as when the token is read.
func tokenVariable(vars []Var) string { return key(strings.TrimSpace(value(vars, oidcTokenEnv))) }

// inherit returns the inherited variables that the child gets, without the replaced ones.
func inherit(inherited []Var, replaced, keep []string) Result {
	tokenVar := tokenVariable(inherited)
	r := Result{Environ: []string{}, Set: replaced} // nil would be the whole environment for os/exec
	for _, e := range inherited {
		k := key(e.Name)
		// Some drivers fail on PGPORT= or PGCONNECT_TIMEOUT=, which libpq ignores.
		empty := e.Value == "" && (contains(allowed, k) || contains(unsafe, k))
		secret := contains(unsafe, k) || contains(secrets, k) || k == tokenVar
		switch {
		case contains(replaced, k):
		case contains(managed, k), empty, secret && !contains(keep, k):
			r.Removed = append(r.Removed, e.Name)
		default:
			r.Environ = append(r.Environ, e.String())
		}
	}
	slices.Sort(r.Removed)
	return r
}

// environ returns the variables to set, in order.
func (v Values) environ() (own []Var) {
	expires := ""
	if !v.ExpiresAt.IsZero() {
		expires = v.ExpiresAt.UTC().Format("2006-01-02T15:04:05Z")
	}
	for _, e := range []Var{
		{pgHost, v.Host}, {pgHostAddr, v.HostAddr}, {pgPort, strconv.Itoa(v.Port)}, {pgDatabase, v.Database}, {pgUser, v.User},
		{pgPassword, v.Password.Reveal()}, {pgPassFile, v.PassFile}, {pgSSLMode, v.SSLMode}, {pgSSLRootCert, v.SSLRootCert},
		{pgAppName, v.AppName}, {expiresAt, expires}, {profile, v.Profile},
	} {
		if e.Value != "" {
			own = append(own, e)
		}
	}
	return append(own, v.Extra...)
}

// value returns the value of the variable with an upper-case name; "" if there is none.
func value(vars []Var, name string) string {
	for _, v := range vars {
		if key(v.Name) == name {
			return v.Value
		}
	}
	return ""
}

// key returns the form of name in which names are compared.
func key(name string) string {
	if foldNames {
		return strings.ToUpper(name)
	}
	return name
}

// contains reports whether one of names has this key.
func contains(names []string, k string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return key(n) == k })
}

// parse splits an environment and keeps the first of equal names. On Windows, cmd.exe keeps
// each drive's directory in an entry such as "=C:=C:\work", whose name begins with "=".
func parse(list []string) (vars []Var) {
	seen := make(map[string]bool, len(list))
	for _, s := range list {
		end := 1 + strings.IndexByte(s[min(1, len(s)):], '=')
		if name := s[:end]; name != "" && !seen[key(name)] {
			seen[key(name)] = true
			vars = append(vars, Var{name, s[end+1:]})
		}
	}
	return vars
}
