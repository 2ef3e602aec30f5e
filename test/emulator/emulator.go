package emulator

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Names of the one database and, without Options.Endpoints, the one endpoint.
const (
	Database = "databricks_postgres"
	Endpoint = "projects/shop/branches/production/endpoints/primary"
)

// Options say how to start. The zero value is a complete Lakebase on free
// loopback ports, with a compute that is up.
type Options struct {
	Dir        string   // existing directory for the CA's file; empty: a private one
	APIAddr    string   // "" is 127.0.0.1:0
	PGAddr     string   // "" is 127.0.0.1:0
	Endpoints  []string // full names; all share the one compute
	Instances  []string // names of Lakebase Provisioned; they share that compute too
	BinDir     string   // of the Postgres server; "" is found
	NoPostgres bool     // the API alone: nothing listens on PGPort
	Suspended  bool     // start asleep
	User       User     // who signs in at a browser, with a Postgres role too
	Settings   Settings
	// IdleTimeout suspends the compute when no client was joined to it for this
	// long; 0 never does.
	IdleTimeout time.Duration
}

// Lakebase is a running emulator. Its methods are safe for concurrent use.
type Lakebase struct {
	ClientID     string // of the service principal: a UUID
	ClientSecret string // "dose" and 32 hex digits
	User         string // the user name of Options.User
	Endpoint     string // the first one
	Instance     string // the first one; "" where there is none
	Database     string

	dir, caFile string
	settings    *settingsStore
	record      *recorder
	sign        *signer
	principals  *principals
	api         *api
	actions     *actions // not before api has started
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
		ClientID: newUUID(), ClientSecret: newSecret(), User: orDefault(o.User.UserName, defaultUser), Endpoint: Endpoint, Database: Database,
		dir: dir, caFile: filepath.Join(orDefault(o.Dir, dir), "ca.pem"),
		settings: &settingsStore{now: o.Settings}, record: &recorder{}, principals: &principals{}, cancel: cancel,
	}
	if len(o.Endpoints) > 0 {
		l.Endpoint = o.Endpoints[0]
	}
	if len(o.Instances) > 0 {
		l.Instance = o.Instances[0]
		l.Set(func(s *Settings) { s.WorkspacePassword = true })
	}
	l.principals.add(l.ClientID, l.ClientSecret)
	l.principals.addUser(l.User)
	if err := l.start(ctx, run, o); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *Lakebase) start(ctx, run context.Context, o Options) error {
	ca, err := newAuthority()
	if err != nil {
		return err
	}
	cert, err := ca.issue("localhost", "127.0.0.1", "::1")
	if err != nil {
		return err
	}
	if l.sign, err = newSigner(); err != nil {
		return err
	}
	if err := os.WriteFile(l.caFile, ca.pem, 0o644); err != nil {
		return err
	}
	if err := l.newAPI(o); err != nil {
		return err
	}
	addr := orDefault(o.PGAddr, "127.0.0.1:0")
	if o.NoPostgres {
		if l.pgAddr, l.release, err = holdPort(addr); err != nil {
			return err
		}
	} else if err := l.startCompute(ctx, run, o, addr, cert); err != nil {
		return err
	}
	if err := l.api.start(run, orDefault(o.APIAddr, "127.0.0.1:0"), cert); err != nil {
		return err
	}
	l.actions = &actions{api: l.api, cert: cert, ctx: run}
	return nil
}

// newAPI makes the workspace API, which does not listen yet.
func (l *Lakebase) newAPI(o Options) error {
	l.api = &api{
		settings: l.settings, record: l.record, sign: l.sign, principals: l.principals, user: l.User,
		sessions: &sessions{remember: l.principals.remember}, federation: newFederation(l.ClientID),
		catalog: &catalog{}, instances: o.Instances, awake: l.State,
		traceID: func() string { return fmt.Sprintf("%x", sha256.Sum256([]byte(newUUID())))[:32] },
	}
	if len(o.Endpoints) == 0 {
		return l.AddEndpoint("shop", "production", "primary")
	}
	for _, name := range o.Endpoints {
		if err := l.Put(Resource{Name: name}); err != nil {
			return err
		}
	}
	return nil
}

func (l *Lakebase) startCompute(ctx, run context.Context, o Options, addr string, cert tls.Certificate) error {
	bin := o.BinDir
	if bin == "" {
		var err error
		if bin, err = findServer(); err != nil {
			return err
		}
	}
	server, err := newServer(ctx, bin, l.dir)
	if err != nil {
		return err
	}
	l.compute = &compute{server: server, settings: l.settings, ctx: run, state: Suspended, idle: o.IdleTimeout}
	l.gateway = &gateway{compute: l.compute, settings: l.settings, record: l.record, sign: l.sign, catalog: l.api.catalog, label: label("ep", l.Endpoint), ctx: run,
		tls: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"postgresql"}}}
	l.compute.gateway = l.gateway
	if err := l.compute.resume(ctx); err != nil {
		return err
	}
	if err := server.createRoles(ctx, l.ClientID, l.User); err != nil {
		return err
	}
	if o.Suspended {
		if err := l.compute.suspend(ctx); err != nil {
			return err
		}
	}
	if err := l.gateway.start(addr); err != nil {
		return err
	}
	l.pgAddr = l.gateway.addr
	return nil
}

// Close stops Postgres and both servers, and removes the emulator's directory.
func (l *Lakebase) Close() error {
	l.closing.Do(func() {
		l.cancel()
		if l.compute != nil {
			l.closeErr = l.compute.close()
		}
		if l.gateway != nil {
			l.gateway.close()
		}
		if l.release != nil {
			l.release()
		}
		if l.actions != nil { // before the api, which waits for both
			l.closeErr = errors.Join(l.closeErr, l.actions.stop())
		}
		if l.api != nil {
			l.api.stop()
		}
		_ = os.Remove(l.caFile) // in Options.Dir, which stays
		l.closeErr = errors.Join(l.closeErr, l.forgetTokens())
		l.closeErr = errors.Join(l.closeErr, discard(l.dir))
	})
	return l.closeErr
}

// AddPrincipal makes one more service principal, with a Postgres role of the
// same name. A sleeping server is started for it, and stays up.
func (l *Lakebase) AddPrincipal(ctx context.Context, clientID, secret string) error {
	l.principals.add(clientID, secret)
	if l.compute == nil {
		return nil
	}
	if err := l.compute.resume(ctx); err != nil {
		return err
	}
	return l.compute.server.createRoles(ctx, clientID)
}

// AddPrincipalWithoutRole makes a service principal whose login Postgres itself
// refuses with 28000, as before databricks_create_role.
func (l *Lakebase) AddPrincipalWithoutRole(clientID, secret string) {
	l.principals.add(clientID, secret)
}

func orDefault(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

// port is the last part of an address that is known to have one.
func port(addr string) string {
	_, p, _ := net.SplitHostPort(addr)
	return p
}
