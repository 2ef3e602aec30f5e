// Package emulator is a local Lakebase for tests, the quickstart and benchmarks,
// and for application developers who want to run offline: a workspace API over
// TLS that mints tokens, and a TLS gateway in front of a real Postgres that
// sleeps and wakes.
//
// It speaks the wire forms of the public clients (databricks-sdk-go
// service/postgres, databricks/cli libs/testserver, neondatabase/neon proxy);
// if a live workspace may differ, a setting selects.
//
// It must never be linked into a program of this project, and never hold a real
// credential: its secrets are random, and die with it.
package emulator

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/tokencache"
)

// Names of the one database and, without Options.Endpoints, the one endpoint.
const (
	Database = "databricks_postgres"
	Endpoint = "projects/shop/branches/production/endpoints/primary"
)

// Options say how to start. The zero value is a complete Lakebase on free
// loopback ports, with a compute that is up.
type Options struct {
	Endpoints  []string // full names; all share the one compute
	Instances  []string // names of Lakebase Provisioned; they share that compute too
	NoPostgres bool     // the API alone: nothing listens on PGPort
	Suspended  bool     // start asleep
	UserName   string   // who signs in at a browser, with a Postgres role too; "" is ada@example.com
	Settings   Settings
}

// Lakebase is a running emulator. Its methods are safe for concurrent use.
type Lakebase struct {
	ClientID     string // of the service principal: a UUID
	ClientSecret string // "dose" and 32 hex digits
	User         string // the name of the user
	Endpoint     string // the first one
	Instance     string // the first one; "" if there is none
	Database     string

	dir, caFile string
	certs       [2]tls.Certificate // see newCertificates
	settings    *settingsStore
	record      *recorder
	sign        *signer
	api         *api
	gateway     *gateway // nil with NoPostgres, as is compute
	compute     *compute
	pgAddr      string
	release     func()
	cancel      context.CancelFunc
	closing     sync.Once
	closeErr    error
}

// Start brings everything up; ctx bounds the start alone. Close must be called.
func Start(ctx context.Context, o Options) (*Lakebase, error) {
	dir, err := privateDir()
	if err != nil {
		return nil, err
	}
	run, cancel := context.WithCancel(context.Background())
	l := &Lakebase{
		ClientID: newUUID(), ClientSecret: newSecret(), User: cmp.Or(o.UserName, defaultUser), Endpoint: Endpoint, Database: Database,
		dir: dir, caFile: filepath.Join(dir, "ca.pem"), cancel: cancel,
		settings: &settingsStore{now: o.Settings}, record: newRecorder(), sign: newSigner(),
	}
	if len(o.Endpoints) > 0 {
		l.Endpoint = o.Endpoints[0]
	}
	if len(o.Instances) > 0 {
		l.Instance = o.Instances[0]
		l.Set(func(s *Settings) { s.WorkspacePassword = true })
	}
	l.api = &api{
		state: newState(), settings: l.settings, record: l.record, sign: l.sign, issuer: newSigner(), actionsToken: newOpaque(),
		clientID: l.ClientID, user: l.User, instances: o.Instances, awake: l.State, sql: l.SQL,
	}
	l.api.addPrincipal(l.ClientID, l.ClientSecret)
	l.api.addPrincipal(l.User, "")
	l.api.remember(l.api.actionsToken)
	if err := l.start(ctx, run, o); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *Lakebase) start(ctx, run context.Context, o Options) error {
	ca, certs, err := newCertificates("localhost", "127.0.0.1", "::1", PooledHost, ReadOnlyPooledHost,
		"*.database.cloud.databricks.com", "*.database.azuredatabricks.net", "*.database.gcp.databricks.com", "*.database.us-central1.gcp.databricks.com")
	if err != nil {
		return err
	}
	l.certs = certs
	if err := os.WriteFile(l.caFile, ca, 0o644); err != nil {
		return err
	}
	for _, name := range append(o.Endpoints, l.Endpoint) {
		if err := l.Put(Resource{Name: name}); err != nil {
			return err
		}
	}
	if o.NoPostgres {
		l.pgAddr, l.release, err = holdPort()
	} else {
		err = l.startCompute(ctx, run, o.Suspended)
	}
	if err != nil {
		return err
	}
	return l.api.start(run, l.serverCertificate)
}

// anyPort is the address of both servers before they have a port.
const anyPort = "127.0.0.1:0"

func (l *Lakebase) startCompute(ctx, run context.Context, suspended bool) error {
	bin, err := findServer()
	if err != nil {
		return err
	}
	server, err := newServer(ctx, bin, l.dir)
	if err != nil {
		return err
	}
	l.compute = &compute{server: server, settings: l.settings, ctx: run, state: Suspended}
	l.gateway = &gateway{compute: l.compute, settings: l.settings, record: l.record, sign: l.sign, state: l.api.state,
		label: UID(l.Endpoint), ctx: run, conns: map[net.Conn]struct{}{},
		tls: &tls.Config{GetCertificate: l.serverCertificate, MinVersion: tls.VersionTLS12, NextProtos: []string{"postgresql"}}}
	l.compute.gateway = l.gateway
	if err := l.compute.resume(ctx); err != nil {
		return err
	}
	if err := server.createRoles(ctx, l.ClientID, l.User); err != nil {
		return err
	}
	// The user owns the project, and so the database and its schema public.
	if _, err := server.query(ctx, Database, "ALTER DATABASE "+Database+" OWNER TO "+quoteIdentifier(l.User)); err != nil {
		return err
	}
	if suspended {
		if err := l.compute.suspend(ctx); err != nil {
			return err
		}
	}
	err = l.gateway.start()
	l.pgAddr = l.gateway.addr
	return err
}

// Close stops Postgres and both servers, and removes the emulator's directory.
func (l *Lakebase) Close() error {
	l.closing.Do(func() {
		l.cancel()
		if l.compute != nil {
			l.closeErr = l.compute.close()
			l.gateway.close()
		}
		if l.release != nil {
			l.release()
		}
		l.api.stop()
		l.closeErr = errors.Join(l.closeErr, l.forgetTokens(), discard(l.dir))
	})
	return l.closeErr
}

// forgetTokens deletes the tokens of this workspace from the kernel's keyring,
// where programs that used it have left them: they would count towards the user's
// quota for an hour.
func (l *Lakebase) forgetTokens() error {
	kernel, err := tokencache.OpenKernel()
	if err != nil {
		return nil
	}
	u, err := url.Parse(l.api.url)
	if err != nil || u.Port() == "" {
		return err
	}
	ctx := context.Background()
	ids, err := kernel.List(ctx)
	for _, id := range ids {
		if d, gone := tokencache.Describe(ctx, kernel, id); gone == nil && strings.HasSuffix(d.Host, ":"+u.Port()) {
			err = errors.Join(err, kernel.Delete(ctx, id))
		}
	}
	return err
}

// errNoCompute answers what an API-only emulator cannot do.
var errNoCompute = errors.New("emulator: started with NoPostgres")

// WorkspaceURL is https://localhost and the API's port.
func (l *Lakebase) WorkspaceURL() string { return l.api.url }

// CAFile is the PEM file of the CA that signed both servers' certificates.
func (l *Lakebase) CAFile() string { return l.caFile }

// Dir is the emulator's directory, which Close removes.
func (l *Lakebase) Dir() string { return l.dir }

// PGPort is the port of the gateway at localhost, which the API does not return.
func (l *Lakebase) PGPort() string { return port(l.pgAddr) }

// Set changes settings; f must not block.
func (l *Lakebase) Set(f func(*Settings)) { l.settings.set(f) }

// Settings returns a copy of what is set.
func (l *Lakebase) Settings() Settings { return l.settings.get() }

// SetWake sets what a client sees while the compute wakes, and how long that
// takes at least (Postgres itself takes some 50 ms). It holds from the next wake on.
func (l *Lakebase) SetWake(mode WakeMode, takes time.Duration) {
	l.Set(func(s *Settings) { s.Wake, s.WakeTime = mode, takes })
}

// Suspend stops Postgres, closes all connections, and ends a wake in progress. At the
// end of ctx, or after 10 s, Postgres is killed.
func (l *Lakebase) Suspend(ctx context.Context) error {
	if l.compute == nil {
		return errNoCompute
	}
	return l.compute.suspend(ctx)
}

// Resume brings the compute up at once, without a login.
func (l *Lakebase) Resume(ctx context.Context) error {
	if l.compute == nil {
		return errNoCompute
	}
	return l.compute.resume(ctx)
}

// SetPort sets how the gateway's port answers; PortOpen is the start's.
func (l *Lakebase) SetPort(mode PortMode) error {
	if l.gateway == nil {
		return errNoCompute
	}
	return l.gateway.setPort(mode)
}

// State describes what the compute is doing; an API-only emulator is Up.
func (l *Lakebase) State() State {
	if l.compute == nil {
		return Up
	}
	state, _ := l.compute.status()
	return state
}

// UpAt is the moment from which a login goes through, zero while there is none.
func (l *Lakebase) UpAt() (at time.Time) {
	if l.compute != nil {
		_, at = l.compute.times()
	}
	return at
}

// WokenAt is the moment at which a login triggered the last wake, zero when none
// has since the last Suspend.
func (l *Lakebase) WokenAt() (at time.Time) {
	if l.compute != nil {
		at, _ = l.compute.times()
	}
	return at
}

// SQL runs statements as superuser over the local socket and returns the rows of
// the last. A sleeping server is started; no client's login is recorded.
func (l *Lakebase) SQL(ctx context.Context, statements ...string) ([][]string, error) {
	if err := l.Resume(ctx); err != nil {
		return nil, err
	}
	return l.compute.server.query(ctx, Database, statements...)
}

// Clients counts the connections to the gateway that are open, and those beyond
// it to Postgres.
func (l *Lakebase) Clients() int {
	if l.gateway == nil {
		return 0
	}
	l.gateway.mu.Lock()
	defer l.gateway.mu.Unlock()
	return len(l.gateway.conns)
}

// Requests returns what the API was asked (the last 10,000 at most).
func (l *Lakebase) Requests() []Request { r, _, _ := l.record.read(); return r }

// Logins returns the gateway's logins (the last 10,000 at most).
func (l *Lakebase) Logins() []Login { _, n, _ := l.record.read(); return n }

// Counters returns the counts since the start or the last ResetCounters.
func (l *Lakebase) Counters() Counters { _, _, n := l.record.read(); return n }

// ResetCounters forgets requests, logins and counts.
func (l *Lakebase) ResetCounters() { l.record.reset() }

// TokenSpec describes a token for a test.
type TokenSpec struct {
	Kind     Kind          // "" is DatabaseToken
	Subject  string        // "" is ClientID
	Life     time.Duration // from now; 0 is one hour, below 0 has expired
	Foreign  bool          // signed by another key
	Endpoint string        // of a database token: the one it opens; "" leaves it out
}

// MintToken makes a token without a request.
func (l *Lakebase) MintToken(spec TokenSpec) string {
	sign := l.sign
	if spec.Foreign {
		sign = newSigner()
		sign.issuer = l.sign.issuer
	}
	c := claims{Kind: cmp.Or(spec.Kind, DatabaseToken), Subject: cmp.Or(spec.Subject, l.ClientID), Endpoint: spec.Endpoint}
	return sign.mint(c, l.Settings().clock(), cmp.Or(spec.Life, time.Hour))
}

// port is the last part of an address that is known to have one.
func port(addr string) string {
	_, p, _ := net.SplitHostPort(addr)
	return p
}
