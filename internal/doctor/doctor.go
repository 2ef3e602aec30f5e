// Package doctor checks each step from the configuration to a database login, and
// suggests a fix for what is wrong. It uses no cached token, shows no dialog and
// stores nothing, except for a refresh token that the workspace replaced.
package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/lakebase"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
	"github.com/lakebase-exec/lakebase-exec/internal/retry"
)

// CheckID names a check, in the output and in JSON.
type CheckID string

const (
	Configuration CheckID = "configuration"
	AuthType      CheckID = "way in"
	Variables     CheckID = "variables"
	Trust         CheckID = "trust"
	RuntimeDir    CheckID = "runtime folder"
	Cache         CheckID = "cache"
	Keychain      CheckID = "keychain"
	Secret        CheckID = "secret"
	Workspace     CheckID = "workspace"
	Clock         CheckID = "clock"
	SignIn        CheckID = "sign-in"
	Identity      CheckID = "identity"
	Target        CheckID = "target"
	DatabaseHost  CheckID = "database host"
	Database      CheckID = "database"
	Credential    CheckID = "credential"
	Login         CheckID = "login"
	Child         CheckID = "child"
	Libpq         CheckID = "libpq"
)

// check is one row of the table. It does not run if a check that it needs has
// failed or did not run. run returns nil if all is well, a warning, or an error.
type check struct {
	id    CheckID
	group string
	needs []CheckID
	limit func(context.Context, config.Config) (context.Context, context.CancelFunc) // nil: one attempt at each request
	run   func(*run, context.Context, *Result) error
}

// oneAttempt allows one short attempt, which is enough to find a fault. The start of a
// command repeats it for up to --timeout.
func oneAttempt(ctx context.Context, c config.Config) (context.Context, context.CancelFunc) {
	return context.WithTimeout(retry.Once(ctx), min(c.Timeout.Value, 10*time.Second))
}

func untilAwake(ctx context.Context, c config.Config) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, c.WaitTimeout.Value)
}

var checks = []check{
	{Configuration, "configuration", nil, nil, (*run).checkConfiguration},
	{AuthType, "configuration", nil, nil, (*run).checkAuthType},
	{Variables, "configuration", nil, nil, (*run).checkVariables},
	{Trust, "configuration", nil, nil, (*run).checkTrust},
	{RuntimeDir, "this machine", nil, nil, (*run).checkRuntimeDir},
	{Cache, "this machine", nil, nil, (*run).checkCache},
	{Keychain, "this machine", nil, nil, (*run).checkKeychain},
	{Secret, "this machine", nil, nil, (*run).checkSecret},
	{Workspace, "workspace", nil, oneAttempt, (*run).checkWorkspace},
	{Clock, "workspace", []CheckID{Workspace}, nil, (*run).checkClock},
	{SignIn, "workspace", []CheckID{Secret, Workspace}, oneAttempt, (*run).checkSignIn},
	{Identity, "workspace", []CheckID{SignIn}, oneAttempt, (*run).checkIdentity},
	{Target, "workspace", []CheckID{SignIn}, oneAttempt, (*run).checkTarget},
	{DatabaseHost, "database", []CheckID{Target}, nil, (*run).checkDatabaseHost},
	{Database, "database", []CheckID{DatabaseHost}, untilAwake, (*run).checkDatabase},
	{Credential, "database", []CheckID{Target}, oneAttempt, (*run).checkCredential},
	{Login, "database", []CheckID{Database, Credential, Identity}, untilAwake, (*run).checkLogin},
	{Child, "command", nil, nil, (*run).checkChild},
	{Libpq, "command", nil, oneAttempt, (*run).checkLibpq},
}

// Status is the outcome of a check.
type Status string

const (
	OK       Status = "ok"
	Warning  Status = "warning"
	Failed   Status = "failed"
	NotTried Status = "not tried"
)

// Result is what a check found. It holds no secret, except for those that a server
// repeats in an error.
type Result struct {
	ID     CheckID           `json:"name"`
	Group  string            `json:"group"` // what it is about
	Status Status            `json:"status"`
	Text   string            `json:"text"`
	Fix    string            `json:"cure,omitempty"`
	Needs  CheckID           `json:"needs,omitempty"` // why it was not tried
	Facts  map[string]string `json:"facts,omitempty"`

	Err error `json:"-"` // of a failed check

	optional bool // the others can do without it
}

// warning is an error that does not keep a run from working.
type warning struct{ error }

func (w warning) Unwrap() error { return w.error }

// Report is the outcome of all checks.
type Report struct {
	Results []Result
	Config  config.Config // as far as it could be resolved
}

// Err returns the error of the first check that failed; nil if none did.
func (r Report) Err() error {
	for _, result := range r.Results {
		if result.Status == Failed {
			return result.Err
		}
	}
	return nil
}

// Summary counts the results and names what to do first.
type Summary struct {
	Counts map[Status]int `json:"counts"`
	First  CheckID        `json:"first,omitempty"` // the first check that failed, else the first with a warning
	Fix    string         `json:"cure,omitempty"`  // for it
}

// Summary returns the summary.
func (r Report) Summary() Summary {
	s := Summary{Counts: map[Status]int{OK: 0, Warning: 0, Failed: 0, NotTried: 0}}
	for _, result := range r.Results {
		s.Counts[result.Status]++
		if result.Status == Failed && s.Counts[Failed] == 1 || result.Status == Warning && s.First == "" {
			s.First, s.Fix = result.ID, result.Fix
		}
	}
	return s
}

// Local is this machine: its environment, what is stored on it, and its clients.
type Local interface {
	Resolve(options map[string][]string, change func(*config.Input) error) (config.Config, error)
	Env(name string) string
	// SSLRootCert returns the file with the database's root certificates; empty with
	// sslmode=require.
	SSLRootCert(conf config.Config) (string, error)
	RuntimeDir(conf config.Config) (path string, err error)
	// TokenStore returns the token store in use, by its --cache name, and why others
	// are not used.
	TokenStore(conf config.Config) (name string, notes []string, err error)
	// KeychainState returns an error if the keychain does not answer. It shows no dialog.
	KeychainState(ctx context.Context, conf config.Config) error
	// Stored returns whether a secret or login is in the keychain or in a file, the path of
	// that file, and when the secret expires if that is known.
	Stored(ctx context.Context, conf config.Config, id auth.Identity) (store, path string, expires time.Time)
	// Workspace returns the client of the workspace. It fails for a bad proxy setting.
	Workspace(conf config.Config) (WorkspaceAPI, error)
	Auth(conf config.Config) (Auth, error)
	// RunTool runs a program without secrets in its environment.
	RunTool(ctx context.Context, argv ...string) ([]byte, error)
}

// Auth finds out who signs in; *auth.Chain implements it.
type Auth interface {
	Do(ctx context.Context, use func(auth.Source, auth.Identity) error) error
}

// WorkspaceAPI makes one attempt at each call; *exchange.Client implements it.
type WorkspaceAPI interface {
	lakebase.API
	// ServerTime returns how far the workspace's clock is ahead. It needs no credential.
	ServerTime(ctx context.Context) (time.Duration, error)
	// Proxy returns the address of the proxy in use; empty for none.
	Proxy() string
	ClientSecrets(ctx context.Context, bearer credential.Secret, principal string) ([]exchange.ClientSecret, error)
}

// DatabaseLogin connects to the database until ctx ends, or once with a context of
// retry.Once; *pglogin.Connector implements it.
type DatabaseLogin interface {
	Probe(ctx context.Context, t pglogin.Target) (pglogin.Peer, error)
	Login(ctx context.Context, t pglogin.Target, password credential.Secret) error
}

// Observer follows the run, and puts errors into words.
type Observer interface {
	auth.Observer
	Checking(id CheckID, conf config.Config) // called before each check
	// Explain returns one line about an error, and one about its fix, which may be empty.
	Explain(err error, conf config.Config) (text, fix string)
}

// Doctor runs the checks. All fields are required.
type Doctor struct {
	Options  map[string][]string // of the command line
	Environ  []string
	Local    Local
	Database DatabaseLogin
	Observer Observer
	ToolPath string // a list as in PATH, for libpq's programs
	Now      func() time.Time
}

// run is one run of a Doctor.
type run struct {
	Doctor
	conf    config.Config
	results []Result
	blocked map[CheckID]CheckID // checks that must not run, and why

	api      WorkspaceAPI
	source   auth.Source
	skew     time.Duration
	noDate   bool             // the workspace does not send its time
	bearer   credential.Token // of the workspace
	targets  *lakebase.Resolver
	endpoint exchange.Resource
	host     string           // of the database
	password credential.Token // of the database
}

// Run runs all checks.
func (d Doctor) Run(ctx context.Context) Report {
	x := &run{Doctor: d, blocked: map[CheckID]CheckID{}}
	for _, c := range checks {
		r := Result{ID: c.id, Group: c.group, Facts: map[string]string{}}
		if needs := x.missing(c); needs != "" {
			r.Status, r.Needs = NotTried, needs
		} else if x.conf.Native() && c.group == "workspace" {
			r.Status, r.Text, r.optional = NotTried, "not used: a native password is for the database", true
		} else {
			x.Observer.Checking(c.id, x.conf)
			limited, cancel := context.WithCancel(retry.Once(ctx))
			if c.limit != nil {
				limited, cancel = c.limit(ctx, x.conf)
			}
			x.finish(&r, c.run(x, limited, &r))
			cancel()
		}
		x.results = append(x.results, r)
	}
	return Report{Results: x.results, Config: x.conf}
}

// missing returns the check that keeps c from running; empty for none.
func (x *run) missing(c check) CheckID {
	if by, ok := x.blocked[c.id]; ok {
		return by
	}
	for _, id := range c.needs {
		if r := x.result(id); (r.Status == NotTried || r.Status == Failed) && !r.optional {
			return id
		}
	}
	return ""
}

// block keeps checks from running.
func (x *run) block(by CheckID, ids ...CheckID) {
	for _, id := range ids {
		x.blocked[id] = by
	}
}

// result returns the result of an earlier check.
func (x *run) result(id CheckID) *Result {
	return &x.results[slices.IndexFunc(x.results, func(r Result) bool { return r.ID == id })]
}

// finish sets what the check has not set itself.
func (x *run) finish(r *Result, err error) {
	if err == nil {
		r.Status = cmp.Or(r.Status, OK)
		return
	}
	r.Status, r.Err = Failed, err
	if errors.As(err, new(warning)) {
		r.Status, r.Err = Warning, nil
	}
	text, fix := x.Observer.Explain(err, x.conf)
	r.Text, r.Fix = cmp.Or(r.Text, text), cmp.Or(r.Fix, fix, "try again with --verbose")
}

// fact records a fact unless it is empty.
func (r *Result) fact(name, value string) {
	if value != "" {
		r.Facts[name] = value
	}
}

// add appends a value with its source to the text, unless it is empty, and records both.
func (r *Result) add(name, value, source string) {
	if value == "" {
		return
	}
	if r.Text != "" {
		r.Text += ", "
	}
	r.Text += fmt.Sprintf("%s %s (%s)", name, value, source)
	r.Facts[name], r.Facts[name+"_from"] = value, source
}

// addSetting adds a setting unless it is empty, or false by default.
func addSetting[T comparable](r *Result, name string, v config.Value[T]) {
	if v.Given() || v.Value != *new(T) {
		r.add(name, fmt.Sprint(v.Value), v.Source.String())
	}
}

// timestamp formats a time for JSON; empty for zero.
func timestamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
