package cli

import (
	"context"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/lakebase"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
	"github.com/lakebase-exec/lakebase-exec/internal/pgproxy"
	"github.com/lakebase-exec/lakebase-exec/internal/supervisor"
)

// Services are what runs in the background of a command or of the proxy command.
type Services struct {
	conf      config.Config
	log       *Logger
	refresher *supervisor.Refresher
	proxy     *pgproxy.Proxy // nil without one
	listener  net.Listener   // of the proxy
	warned    atomic.Int64   // when a failed login was logged, in Unix nanoseconds

	extend    func(*supervisor.State)
	startedAt time.Time
	started   atomic.Bool
	cancel    context.CancelFunc
	running   sync.WaitGroup
}

// NewServices prepares to refresh a session's token. onToken, if not nil, gets each new one.
func (e *Environment) NewServices(conf config.Config, log *Logger, c *Client, s lakebase.Session,
	onToken func(context.Context, credential.Token) error) *Services {
	v := &Services{conf: conf, log: log, cancel: func() {}}
	v.refresher = supervisor.NewRefresher(supervisor.RefresherConfig{First: s.Token, Mint: c.Refresh, OnToken: onToken, OnEvent: v.logOutage})
	return v
}

// UseProxy adds a proxy on ln, which Stop closes, for clients that log in with password.
func (v *Services) UseProxy(ln net.Listener, t pglogin.Target, password credential.Secret, trustLocal bool) {
	v.listener = ln
	v.proxy = pgproxy.New(pgproxy.Options{Target: t, Tokens: v.refresher, Password: password, TrustLocal: trustLocal,
		Describe: func(err error) (string, string) { return Describe(err, v.conf) },
		MaxConns: v.conf.MaxConnections.Value, MaxWaiting: v.conf.MaxWaiting.Value, LoginTimeout: v.conf.WaitTimeout.Value, Observer: proxyLog{v}})
}

// Start starts the services. extend adds to the state what concerns the command, and
// may be nil. Stop must be called afterwards.
func (v *Services) Start(ctx context.Context, extend func(*supervisor.State)) error {
	var probes net.Listener
	if addr := v.conf.HealthListen.Value; addr != "" {
		var err error
		if probes, err = net.Listen("tcp", addr); err != nil {
			return ListenError(v.conf.HealthListen.Source, err)
		}
	}
	ctx, v.cancel = context.WithCancel(ctx)
	v.extend, v.startedAt = extend, time.Now()
	v.running.Go(func() { v.refresher.Run(ctx) })
	if path := v.conf.StatusFile.Value; path != "" {
		warn := func(err error) { v.log.Warn("--status-file: %v", err) }
		v.running.Go(func() { supervisor.WriteStatus(ctx, path, v.state, warn) })
	}
	if probes != nil {
		v.running.Go(func() {
			if err := supervisor.ServeProbes(ctx, probes, v.state); err != nil {
				v.log.Warn("--health-listen: %v", err)
			}
		})
	}
	if v.proxy != nil {
		v.running.Go(func() { v.proxy.Serve(ctx, v.listener) })
	}
	return nil
}

// SetStarted records that a login has succeeded and the command runs.
func (v *Services) SetStarted() { v.started.Store(true) }

// state returns the current state, for the status file and the probes.
func (v *Services) state() supervisor.State {
	s := v.refresher.Stats()
	s.Version, s.Mode, s.PID = Version(), v.conf.Refresh.Value, os.Getpid()
	s.StartedAt, s.Started = v.startedAt, v.started.Load()
	if v.proxy != nil {
		n := v.proxy.Stats()
		s.Mode, s.Wakes, s.WakeTime = config.RefreshProxy, int(n.Wakes), n.WakeTime
		s.BytesToDatabase, s.BytesToClient = n.BytesToDatabase, n.BytesToClient
		s.OpenConnections, s.WaitingLogins, s.Logins, s.FailedLogins = int(n.Open), int(n.Waiting), int(n.Logins), int(n.FailedLogins)
	}
	if v.extend != nil {
		v.extend(&s)
	}
	return s
}

// Drain closes the proxy to new clients, and waits for the end of the others or of ctx.
func (v *Services) Drain(ctx context.Context) { v.proxy.Drain(ctx) }

// Stop ends all services and waits for them.
func (v *Services) Stop() {
	v.cancel()
	v.running.Wait()
	if v.listener != nil {
		_ = v.listener.Close()
	}
}

// logOutage logs one warning when an outage begins, one when the token expires, and
// a line when it is over.
func (v *Services) logOutage(e supervisor.Event) {
	until, why := e.ExpiresAt.UTC().Format(time.RFC3339), ""
	if e.Err != nil {
		why, _ = Describe(e.Err, v.conf)
	}
	switch {
	case e.Kind == supervisor.Recovered:
		v.log.Progress("token refreshed again; " + ValidUntil(e.ExpiresAt))
	case e.Kind == supervisor.Expired:
		v.log.Warn("the token expired at %s and could not be refreshed; new logins fail: %s", until, why)
	case e.Rejected:
		v.log.Warn("the database rejects the token and it could not be refreshed; new logins may fail: %s", why)
	default:
		v.log.Warn("the token could not be refreshed; new logins work until %s: %s", until, why)
	}
}

// ValidUntil describes the expiry of a token; zero: it has none.
func ValidUntil(t time.Time) string {
	if t.IsZero() {
		return "it does not expire"
	}
	return "valid until " + t.UTC().Format(time.RFC3339)
}

// proxyLog logs what a proxy reports: notes, unless it may be an attack.
type proxyLog struct{ *Services }

func (l proxyLog) LoggedIn(took time.Duration) {
	l.log.Note("proxy: client logged in after %s", took.Round(time.Millisecond))
}

func (l proxyLog) Failed(err error) { l.log.Note("proxy: %v", err) }

func (l proxyLog) Rejected(peer string, err *pgproxy.ServerError, upstream bool) {
	if !upstream && (strings.HasPrefix(err.Code, "28") || err.Code == "53300") {
		l.warnFailedLogin(peer, err)
		return
	}
	l.log.Note("proxy: client rejected (%s): %v", peer, err)
}

// failedLoginsInterval is the least time between two warnings about failed logins.
const failedLoginsInterval = time.Minute

// warnFailedLogin logs at most one failed login in each interval; the status file counts all.
func (v *Services) warnFailedLogin(peer string, err error) {
	last, now := v.warned.Load(), time.Now().UnixNano()
	if now-last >= int64(failedLoginsInterval) && v.warned.CompareAndSwap(last, now) {
		v.log.Warn("proxy: login from %s failed: %v", peer, err)
	}
}
