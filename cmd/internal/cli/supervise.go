package cli

import (
	"context"
	"errors"
	"net"
	"strings"
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
	*supervisor.Supervisor
	conf      config.Config
	log       *Logger
	refresher *supervisor.Refresher
	proxy     *pgproxy.Proxy // nil without one
	warned    atomic.Int64   // when a failed login was logged, in Unix nanoseconds
}

// NewServices prepares to refresh the token of a session. onToken is called with
// each new token and may be nil.
func (e *Environment) NewServices(conf config.Config, log *Logger, c *Client, s lakebase.Session, onToken func(context.Context, credential.Token) error) *Services {
	v := &Services{conf: conf, log: log}
	v.refresher = supervisor.NewRefresher(supervisor.RefresherConfig{First: s.Token, Mint: c.Refresh, OnToken: onToken, OnEvent: v.logOutage})
	return v
}

// UseProxy adds a proxy for clients that log in with password.
func (v *Services) UseProxy(t pglogin.Target, password credential.Secret, trustLocal bool) {
	v.proxy = pgproxy.New(pgproxy.Options{Target: t, Tokens: v.refresher, Password: password, TrustLocal: trustLocal,
		Describe: func(err error) (string, string) { return Describe(err, v.conf) },
		MaxConns: v.conf.MaxConnections.Value, MaxWaiting: v.conf.MaxWaiting.Value, LoginTimeout: v.conf.WaitTimeout.Value, Event: v.logClient})
}

// Start starts the services; listeners are the proxy's. extend adds to the state
// what concerns the command, and may be nil. Stop must be called afterwards.
func (v *Services) Start(ctx context.Context, extend func(*supervisor.State), listeners ...net.Listener) error {
	var probes net.Listener
	if addr := v.conf.HealthListen.Value; addr != "" {
		var err error
		if probes, err = net.Listen("tcp", addr); err != nil {
			return ListenError(v.conf.HealthListen.Source, err)
		}
	}
	var serve []func(context.Context) error
	if v.proxy != nil {
		serve = append(serve, func(ctx context.Context) error { return v.proxy.Serve(ctx, listeners...) })
	}
	v.Supervisor = supervisor.New(v.refresher, supervisor.Config{
		Version: Version(), Mode: v.conf.Refresh.Value, Probes: probes, StatusFile: v.conf.StatusFile.Value,
		OnStatusError: func(err error) { v.log.Warn("--status-file: %v", err) },
		Extend: func(s *supervisor.State) {
			if v.proxy != nil {
				n := v.proxy.Stats()
				s.Mode, s.Wakes = config.RefreshProxy, int(n.Wakes)
				s.OpenConnections, s.WaitingLogins, s.Logins, s.FailedLogins = int(n.Open), int(n.Waiting), int(n.Logins), int(n.FailedLogins)
			}
			if extend != nil {
				extend(s)
			}
		},
	})
	v.Supervisor.Start(ctx, serve...)
	return nil
}

// Drain has the proxy accept no more clients, and waits until their connections have
// ended or ctx ends.
func (v *Services) Drain(ctx context.Context) { v.proxy.Drain(ctx) }

// Stop ends all services and waits for them.
func (v *Services) Stop() {
	if v.Supervisor != nil {
		v.Supervisor.Stop()
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
		v.log.Progress("token refreshed again; valid until " + until)
	case e.Kind == supervisor.Expired:
		v.log.Warn("the token expired at %s and could not be refreshed; new logins fail: %s", until, why)
	case e.Rejected:
		v.log.Warn("the database rejects the token and it could not be refreshed; new logins may fail: %s", why)
	default:
		v.log.Warn("the token could not be refreshed; new logins work until %s: %s", until, why)
	}
}

// logClient logs a proxy event under --verbose; wrong passwords and users, and clients
// over a limit, always.
func (v *Services) logClient(e pgproxy.Event) {
	told, ok := errors.AsType[*pgproxy.ServerError](e.Err)
	switch {
	case e.Kind == pgproxy.LoggedIn:
		v.log.Note("proxy: client logged in after %s", e.Took.Round(time.Millisecond))
	case e.Kind == pgproxy.CancelFailed:
		v.log.Note("proxy: cancel request failed: %v", e.Err)
	case e.Kind == pgproxy.AcceptFailed:
		v.log.Note("proxy: accept failed: %v", e.Err)
	case e.Kind == pgproxy.Rejected && ok && (strings.HasPrefix(told.Code, "28") || told.Code == "53300"):
		v.warnFailedLogin(e.Peer, e.Err)
	default:
		v.log.Note("proxy: client rejected (%s): %v", e.Peer, e.Err)
	}
}

// failedLoginsInterval is the least time between two warnings about failed logins.
const failedLoginsInterval = time.Minute

// warnFailedLogin logs a login with a wrong password or user, or over a limit. It logs at
// most one in each interval; the status file counts all.
func (v *Services) warnFailedLogin(peer string, err error) {
	last, now := v.warned.Load(), time.Now().UnixNano()
	if now-last >= int64(failedLoginsInterval) && v.warned.CompareAndSwap(last, now) {
		v.log.Warn("proxy: login from %s failed: %v", peer, err)
	}
}
