package emulator

import (
	"context"
	"errors"
	"time"
)

// errNoCompute answers what an API-only emulator cannot do.
var errNoCompute = errors.New("emulator: started with NoPostgres")

// WorkspaceURL is https://localhost and the API's port.
func (l *Lakebase) WorkspaceURL() string { return l.api.url }

// CAFile is the PEM file of the CA that signed both servers' certificates.
func (l *Lakebase) CAFile() string { return l.caFile }

// Dir is the emulator's directory, which Close removes.
func (l *Lakebase) Dir() string { return l.dir }

// PGHost is the gateway's name in its certificate.
func (l *Lakebase) PGHost() string { return "localhost" }

// PGPort is the gateway's port, which the API does not return.
func (l *Lakebase) PGPort() string { return port(l.pgAddr) }

// Env returns the variables of the Databricks guide for this emulator, and those
// that name its CA, as NAME=VALUE with the client secret. An instance, if there is
// one, replaces the endpoint. LOCAL_LAKEBASE_USER is the user of the browser login.
func (l *Lakebase) Env() []string {
	return append(l.target(), "DATABRICKS_CLIENT_ID="+l.ClientID, "DATABRICKS_CLIENT_SECRET="+l.ClientSecret, "PGUSER="+l.ClientID)
}

// target is what every authentication type needs.
func (l *Lakebase) target() []string {
	target := "ENDPOINT_NAME=" + l.Endpoint
	if l.Instance != "" {
		target = "LAKEBASE_INSTANCE=" + l.Instance
	}
	return []string{
		"DATABRICKS_HOST=" + l.WorkspaceURL(),
		target,
		"PGHOST=" + l.PGHost(),
		"PGPORT=" + l.PGPort(),
		"PGDATABASE=" + l.Database,
		"PGSSLROOTCERT=" + l.CAFile(),
		"LAKEBASE_CACERT=" + l.CAFile(),
		"LOCAL_LAKEBASE_USER=" + l.User,
	}
}

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

// FinishWake ends a wake in progress as soon as Postgres accepts connections, before
// the time of SetWake.
func (l *Lakebase) FinishWake() {
	if l.compute != nil {
		l.compute.finishWake()
	}
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
func (l *Lakebase) UpAt() time.Time {
	if l.compute == nil {
		return time.Time{}
	}
	_, up := l.compute.times()
	return up
}

// WokenAt is the moment at which a login triggered the last wake, zero when none
// has since the last Suspend.
func (l *Lakebase) WokenAt() time.Time {
	if l.compute == nil {
		return time.Time{}
	}
	woken, _ := l.compute.times()
	return woken
}

// SQL runs statements as superuser over the local socket and returns the rows of
// the last. A sleeping server is started; no client's login is recorded.
func (l *Lakebase) SQL(ctx context.Context, statements ...string) ([][]string, error) {
	if l.compute == nil {
		return nil, errNoCompute
	}
	if err := l.compute.resume(ctx); err != nil {
		return nil, err
	}
	return l.compute.server.query(ctx, Database, statements...)
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
	Kind    Kind          // "" is DatabaseToken
	Subject string        // "" is ClientID
	Life    time.Duration // from now; 0 is one hour, below 0 has expired
	Foreign bool          // signed by another key

	Endpoint string // of a database token: the one it opens; "" leaves it out
}

// MintToken makes a token without a request.
func (l *Lakebase) MintToken(spec TokenSpec) (string, error) {
	sign := l.sign
	if spec.Foreign {
		var err error
		if sign, err = newSigner(); err != nil {
			return "", err
		}
		sign.issuer = l.sign.issuer
	}
	now := l.settings.get().clock()
	expires := now.Add(lifeOr(spec.Life, time.Hour))
	return sign.mint(ticket{kind: Kind(orDefault(string(spec.Kind), string(DatabaseToken))), subject: orDefault(spec.Subject, l.ClientID),
		endpoint: spec.Endpoint, issued: minTime(now, expires.Add(-time.Second)), expires: expires})
}

func minTime(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
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
