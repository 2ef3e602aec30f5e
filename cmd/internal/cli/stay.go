package cli

import (
	"context"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/broker"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/health"
	"github.com/lakebase-exec/lakebase-exec/internal/lakebase"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
	"github.com/lakebase-exec/lakebase-exec/internal/pgproxy"
	"github.com/lakebase-exec/lakebase-exec/internal/refresh"
)

// Stay is what goes on beside a command that outlives its token, or without one:
// the token is kept fresh, the proxy serves, and others may look how it fares.
type Stay struct {
	Keeper *refresh.Keeper
	Proxy  *pgproxy.Proxy // nil without one
	Door   *broker.Door   // nil without one

	// Child and Restarts tell of the command; they may be nil.
	Child    func() int
	Restarts func() int

	conf    config.Config
	say     *Logger
	first   credential.Token
	started atomic.Bool
	since   time.Time
	pulse   health.Pulse
	lost    chan error // holds the first part that ended by itself
	cancel  context.CancelFunc
	parts   sync.WaitGroup
}

// NewStay prepares to keep the token of a session fresh. deliver is called with
// each new token; it may be nil.
func (p *Environment) NewStay(conf config.Config, say *Logger, c *Client, s lakebase.Session, deliver func(context.Context, credential.Token) error) *Stay {
	st := &Stay{conf: conf, say: say, first: s.Token, since: time.Now(), lost: make(chan error, 1)}
	st.Keeper = &refresh.Keeper{Mint: hurried(c.Refresh), OnToken: deliver, Event: st.tell, Beat: st.pulse.Beat}
	return st
}

// firstTry bounds the first attempt at a renewal, which may retry within itself
// for all of --timeout: people shall hear of an outage while they can still act.
const firstTry = 15 * time.Second

type mint = func(ctx context.Context, old credential.Secret) (credential.Token, error)

// hurried gives up early where the last attempt worked, and takes its time after
// a failure: a slow workspace is one that works.
func hurried(m mint) mint {
	failed := false
	return func(ctx context.Context, old credential.Secret) (t credential.Token, err error) {
		if !failed {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, firstTry)
			defer cancel()
		}
		t, err = m(ctx, old)
		failed = err != nil
		return t, err
	}
}

// UseProxy has the stay serve clients that log in as user.
func (st *Stay) UseProxy(t pglogin.Target, password credential.Secret, trustLocal bool) {
	st.Door = broker.NewDoor(t, st.Keeper, func(err error) (string, string) { return Describe(err, &st.conf) })
	st.Proxy = pgproxy.New(pgproxy.Options{User: st.conf.User.Value, Password: password, TrustLocal: trustLocal, Upstream: st.Door,
		LoginTimeout: st.conf.WaitTimeout.Value, Event: st.note})
}

// Start lets all parts run. Stop must be called afterwards.
func (st *Stay) Start(ctx context.Context, listeners ...net.Listener) error {
	var probes net.Listener
	if addr := st.conf.HealthListen.Value; addr != "" {
		var err error
		if probes, err = net.Listen("tcp", addr); err != nil {
			return &config.Error{Name: st.conf.HealthListen.Source.String(), Problem: err.Error()}
		}
	}
	ctx, st.cancel = context.WithCancel(ctx)
	st.part(func() error { return st.Keeper.Run(ctx, st.first) })
	if st.Proxy != nil {
		st.part(func() error { return st.Proxy.Serve(ctx, listeners...) })
	}
	if probes != nil {
		st.part(func() error { return health.Serve(ctx, probes, st.State) })
	}
	if path := st.conf.StatusFile.Value; path != "" {
		f := &health.File{Path: path, Warn: func(err error) { st.say.Warn("--status-file: %v", err) }}
		st.part(func() error { f.Run(ctx, st.State); return nil })
	}
	return nil
}

func (st *Stay) part(run func() error) {
	st.parts.Go(func() {
		if err := run(); err != nil {
			select {
			case st.lost <- err:
			default:
			}
		}
	})
}

// Lost gives the error of a part that ended before Stop.
func (st *Stay) Lost() <-chan error { return st.lost }

// Started says that a login has worked and the command runs.
func (st *Stay) Started() { st.started.Store(true) }

// Stop ends all parts and waits for their end.
func (st *Stay) Stop() {
	if st.cancel != nil {
		st.cancel()
	}
	st.parts.Wait()
}

// State is what others may know.
func (st *Stay) State() health.State {
	k := st.Keeper.Stats()
	s := health.State{Version: Version(), Mode: st.conf.Refresh.Value, PID: os.Getpid(), StartedAt: st.since, TokenExpiresAt: k.ExpiresAt,
		Refreshes: k.Minted, FailedRefreshes: k.Failed, LastError: k.LastError, Started: st.started.Load(), Beat: st.pulse.Last()}
	if st.Proxy != nil {
		n := st.Proxy.Stats()
		s.Mode = config.RefreshProxy
		s.OpenConnections, s.WaitingLogins, s.Logins, s.FailedLogins = int(n.Open), int(n.Waiting), int(n.Logins), int(n.FailedLogins)
		s.Wakes = int(st.Door.Wakes())
	}
	if st.Child != nil {
		s.ChildPID = st.Child()
	}
	if st.Restarts != nil {
		s.Restarts = st.Restarts()
	}
	return s
}

// tell speaks of an outage: one warning when it begins, one when it bites, and a
// line when it is over.
func (st *Stay) tell(e refresh.Event) {
	until := e.ExpiresAt.UTC().Format(time.RFC3339)
	why := ""
	if e.Err != nil {
		why, _ = Describe(e.Err, &st.conf)
	}
	switch {
	case e.Kind == refresh.Recovered:
		st.say.Progress("the token is renewed again, and good until " + until)
	case e.Kind == refresh.Expired:
		st.say.Warn("the token expired at %s and could not be renewed; new logins fail: %s", until, why)
	case e.Refused:
		st.say.Warn("the database refuses the token and it could not be renewed; new logins may fail: %s", why)
	default:
		st.say.Warn("the token could not be renewed; new logins work until %s: %s", until, why)
	}
}

// note is for --verbose.
func (st *Stay) note(e pgproxy.Event) {
	switch e.Kind {
	case pgproxy.LoggedIn:
		st.say.Note("a client has logged in, after %s", e.Took.Round(time.Millisecond))
	case pgproxy.LoginFailed, pgproxy.Rejected:
		st.say.Note("a client was sent away: %v", e.Err)
	case pgproxy.CancelFailed:
		st.say.Note("a cancel request was not carried: %v", e.Err)
	case pgproxy.AcceptFailed:
		st.say.Note("accepting connections: %v", e.Err)
	}
}
