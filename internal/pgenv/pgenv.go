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

// Values are what the child connects with. An empty or zero field is not exported,
// and an inherited variable of that name is still removed. Host, Port, Database and
// User are required.
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
	Extra       []Var // see CheckExtra
}

// Var is a further variable for the child.
type Var struct{ Name, Value string }

// Result is the child's environment, and how it differs from the caller's.
type Result struct {
	Environ []string // NAME=VALUE, the caller's in their order, then those set; the password is among them
	Set     []string // the names that were set, in order
	Removed []string // the names that only the caller has, sorted
}

func valueError(name, problem string) *Error {
	return &Error{name, name + ": " + problem, "correct the value of " + name}
}

// foldNames: on Windows, names that differ in case only are equal.
const foldNames = runtime.GOOS == "windows"

// Build returns the child's environment. caller has entries of the form NAME=value. It
// removes libpq's variables but those that are allowed, secrets, and the variable
// that DATABRICKS_OIDC_TOKEN_ENV names, unless keep names them. Of several entries
// with one name the first stays: getenv, and so libpq, reads that one. Empty
// variables of libpq are removed, and entries without a name or "=" are dropped.
//
// Errors: *Error for keep and v, and for a NUL byte anywhere.
func Build(caller []string, v Values, keep []string) (Result, error) {
	return build(caller, v, keep, foldNames)
}

func build(caller []string, v Values, keep []string, fold bool) (Result, error) {
	if err := checkKeep(keep, fold); err != nil {
		return Result{}, err
	}
	inherited := parse(caller, fold)
	own, err := v.environ(inherited.value(pgAppName) != "", fold)
	if err != nil {
		return Result{}, err
	}
	r := inherit(inherited, own, keep, fold)
	for _, e := range own {
		r.Environ = append(r.Environ, e.String())
		r.Set = append(r.Set, e.name)
	}
	for _, s := range r.Environ {
		if name, _, _ := split(s, fold); strings.ContainsRune(s, 0) {
			return Result{}, valueError(strings.Trim(strconv.Quote(name), `"`), "contains a NUL byte")
		}
	}
	return r, nil
}

// WithoutSecrets returns the environment for a program that gets no token, such as a
// browser: the caller's, without secrets and without what Build removes.
func WithoutSecrets(caller []string) []string {
	return inherit(parse(caller, foldNames), nil, nil, foldNames).Environ
}

// inherit returns the inherited variables that the child gets, without its own.
func inherit(inherited, own environ, keep []string, fold bool) Result {
	kept := map[string]bool{}
	for _, n := range keep {
		kept[key(n, fold)] = true
	}
	// Space around the name is ignored, as when the token is read.
	tokenVar := key(strings.TrimSpace(inherited.value(oidcTokenEnv)), fold)
	r := Result{Environ: []string{}} // nil would be the whole environment for os/exec
	for _, e := range inherited {
		switch k := e.key; {
		case own.has(k): // replaced
		case managed[k], isLibpq(k) && e.value == "", !kept[k] && (unsafe[k] || unsafeOther[k] || secrets[k] || k == tokenVar):
			r.Removed = append(r.Removed, e.name)
		default:
			r.Environ = append(r.Environ, e.String())
		}
	}
	slices.Sort(r.Removed)
	return r
}

// environ returns the variables to set, in order.
func (v Values) environ(callerHasAppName, fold bool) (environ, error) {
	port, app, expires := "", v.AppName, ""
	if 0 < v.Port && v.Port <= 65535 {
		port = strconv.Itoa(v.Port)
	}
	if callerHasAppName {
		app = ""
	}
	if !v.ExpiresAt.IsZero() {
		expires = v.ExpiresAt.UTC().Format("2006-01-02T15:04:05Z")
	}
	own := environ{}
	for _, e := range []Var{
		{pgHost, v.Host}, {pgHostAddr, v.HostAddr}, {pgPort, port}, {pgDatabase, v.Database}, {pgUser, v.User},
		{pgPassword, v.Password.Reveal()}, {pgPassFile, v.PassFile}, {pgSSLMode, v.SSLMode}, {pgSSLRootCert, v.SSLRootCert},
		{pgAppName, app}, {expiresAt, expires}, {profile, v.Profile},
	} {
		switch required := e.Name == pgHost || e.Name == pgPort || e.Name == pgDatabase || e.Name == pgUser; {
		case e.Value != "":
			own = append(own, entry{e.Name, e.Name, e.Value})
		case required:
			return nil, valueError(e.Name, "missing or invalid")
		}
	}
	var names []string
	for _, e := range v.Extra {
		names = append(names, e.Name)
		own = append(own, entry{key(e.Name, fold), e.Name, e.Value})
	}
	if err := checkExtra(names, fold); err != nil {
		return nil, err
	}
	return own, nil
}

// entry is one variable. Names are compared by key.
type entry struct{ key, name, value string }

func (e entry) String() string { return e.name + "=" + e.value }

type environ []entry

func (es environ) has(key string) bool {
	return slices.ContainsFunc(es, func(e entry) bool { return e.key == key })
}

// value returns the value of the variable with an upper-case name; "" if there is
// none.
func (es environ) value(name string) string {
	for _, e := range es {
		if e.key == name {
			return e.value
		}
	}
	return ""
}

// key returns the form of name in which names are compared.
func key(name string, fold bool) string {
	if fold {
		return strings.ToUpper(name)
	}
	return name
}

// parse splits an environment and keeps the first of equal names.
func parse(list []string, fold bool) environ {
	es := make(environ, 0, len(list))
	seen := make(map[string]bool, len(list))
	for _, s := range list {
		name, value, ok := split(s, fold)
		if k := key(name, fold); ok && !seen[k] {
			seen[k] = true
			es = append(es, entry{k, name, value})
		}
	}
	return es
}

// split splits NAME=VALUE. On Windows, cmd.exe keeps each drive's directory in an
// entry such as "=C:=C:\work", whose name begins with "=".
func split(s string, windows bool) (name, value string, ok bool) {
	from := 0
	if windows && strings.HasPrefix(s, "=") {
		from = 1
	}
	i := strings.IndexByte(s[from:], '=')
	if i <= 0 {
		return "", "", false
	}
	return s[:from+i], s[from+i+1:], true
}
