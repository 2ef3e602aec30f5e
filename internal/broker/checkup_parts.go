package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
)

// ClockError says that two clocks are far apart.
type ClockError struct {
	Host  string
	Ahead time.Duration // the host's clock; below zero, behind
}

func (e *ClockError) Error() string {
	return fmt.Sprintf("this machine's clock is %s that of %s", apart(-e.Ahead), e.Host)
}

// apart says how far a clock is from another one.
func apart(ahead time.Duration) string {
	if ahead < 0 {
		return (-ahead).Round(time.Second).String() + " behind"
	}
	return ahead.Round(time.Second).String() + " ahead of"
}

// ArchivedError says that a target's branch is archived. The first login brings
// it back, and takes longer than a usual wake (Neon documentation, "Branch
// archiving").
type ArchivedError struct{ Target, Branch string }

func (e *ArchivedError) Error() string {
	return fmt.Sprintf("the branch of %s, %s, is archived", e.Target, e.Branch)
}

// checkSecret looks for what the way in starts from.
func (c *Checkup) checkSecret(ctx context.Context) (Status, error) {
	err := c.decide(ctx)
	if err == nil {
		c.secret, err = c.Broker.secret(ctx)
	}
	if err == nil && c.Config.Auth.Value == credential.AuthBrowser {
		err = c.loggedIn(ctx)
	}
	if err != nil && c.otherWay(err) {
		err = nil
	}
	return outcome(err)
}

// loggedIn says whether a person's refresh token is there.
func (c *Checkup) loggedIn(ctx context.Context) error {
	host := c.Config.Workspace.Value.HostPort()
	if _, err := c.stored(ctx, config.RefreshAccount(host, c.person)); err != nil {
		return &NoPersonError{Host: host, User: c.person, Err: err}
	}
	return nil
}

// checkWorkspace has the workspace answer anything at all, over verified TLS and
// by the same way, proxy included, that the sign-in takes.
func (c *Checkup) checkWorkspace(ctx context.Context) (Status, error) {
	ctx, cancel := context.WithTimeout(ctx, min(c.Config.Timeout.Value, maxLook))
	defer cancel()
	c.tell(AtExchange, c.Config.Workspace.Value.HostPort())
	skew, err := attempt(ctx, c.Clock)
	var e *exchange.Error
	if errors.As(err, &e) && e.Kind == exchange.KindBadReply && e.Status != 0 { // it answered, and told no time
		c.clockErr, err = err, nil
	}
	c.seen.Skew = skew
	if c.Look != nil {
		c.seen.Workspace = c.Look(ctx)
	}
	return outcome(err)
}

func (c *Checkup) checkClock(context.Context) (Status, error) {
	skew := c.seen.Skew
	wrong := &ClockError{Host: c.Config.Workspace.Value.HostPort(), Ahead: skew}
	switch {
	case c.clockErr != nil:
		return StatusWarning, c.clockErr
	case skew.Abs() > skewFails:
		return StatusFailed, wrong
	case skew.Abs() > skewWarns:
		return StatusWarning, wrong
	}
	return StatusOK, nil
}

func (c *Checkup) checkSignIn(ctx context.Context) (Status, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Config.Timeout.Value)
	defer cancel()
	c.tell(AtExchange, c.Config.Workspace.Value.HostPort())
	t, err := c.signIn(ctx, c.Workspace, c.secret)
	if err == nil {
		c.bearer, c.seen.TokenEnds = t.Value, t.ExpiresAt
	}
	return outcome(err)
}

// checkIdentity asks who has signed in. Where the user is known by other means a
// run does not ask, so that it is no more than a warning that it cannot be asked.
func (c *Checkup) checkIdentity(ctx context.Context) (Status, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Config.Timeout.Value)
	defer cancel()
	me, err := attempt(ctx, func(ctx context.Context) (exchange.Identity, error) { return c.People.Me(ctx, c.bearer) })
	if err != nil {
		if c.Config.User.Value != "" {
			return StatusWarning, err
		}
		return StatusFailed, err
	}
	c.seen.Me = me
	if c.Config.User.Value == "" {
		c.Config.User.Value, err = config.CheckUser(me.UserName, "the user name that "+c.Config.Workspace.Value.HostPort()+" gives")
	}
	return outcome(err)
}

// checkTarget looks up what the name means, and whether a login can get there.
func (c *Checkup) checkTarget(ctx context.Context) (Status, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Config.Timeout.Value)
	defer cancel()
	e, err := c.resolve(ctx, c.bearer)
	if err != nil {
		return StatusFailed, err
	}
	if e.State == "" {
		e, err = attempt(ctx, func(ctx context.Context) (exchange.Endpoint, error) {
			return c.Workspace.Endpoint(ctx, c.bearer, e.Name)
		})
		if err != nil {
			return StatusFailed, err
		}
	}
	c.seen.Endpoint, c.found = e, true
	c.seen.Branch = c.branch(ctx, e.Name)
	if kind := e.UnusableKind(); kind != "" {
		return StatusFailed, unusable(c.Config, kind, e)
	}
	if c.seen.Branch.Archived {
		return StatusWarning, &ArchivedError{Target: e.Name, Branch: c.seen.Branch.Name}
	}
	return StatusOK, nil
}

// branch is an endpoint's, where the workspace tells. A run does not ask for it.
func (c *Checkup) branch(ctx context.Context, endpoint string) exchange.Branch {
	project, branch, _ := config.SplitEndpoint(endpoint)
	if c.Config.Instance.Value != "" || branch == "" {
		return exchange.Branch{}
	}
	list, err := c.Directory.Branches(ctx, c.bearer, "projects/"+project)
	if err != nil {
		c.tell(Note, "the branches of "+project+" cannot be listed: "+err.Error())
	}
	for _, b := range list {
		if lastPart(b.Name) == branch {
			return b
		}
	}
	return exchange.Branch{}
}

// checkHost holds the target's host against the configured one. An option takes
// any host, such as one of a private DNS.
func (c *Checkup) checkHost(ctx context.Context) (Status, error) {
	configured := c.Config.PGHost
	if !c.found {
		c.seen.Host = configured.Value
		return StatusOK, nil
	}
	named, err := c.askHost(ctx, c.Workspace, c.bearer, c.seen.Endpoint)
	c.seen.Host = named
	if configured.Value != "" {
		c.seen.Host = configured.Value
	}
	if err != nil && configured.Source.Origin == config.FromOption {
		return StatusWarning, err
	}
	return outcome(err)
}

func (c *Checkup) checkDatabase(ctx context.Context) (Status, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Config.WaitTimeout.Value)
	defer cancel()
	c.tell(AtWake, c.seen.Host)
	peer, err := c.Probe(ctx, c.probed())
	c.seen.Database = peer
	return outcome(err)
}

func (c *Checkup) checkCredential(ctx context.Context) (Status, error) {
	if c.Config.Credential.Value == config.CredentialWorkspace {
		c.password, c.seen.CredentialEnds = c.bearer, c.seen.TokenEnds
		return StatusOK, nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.Config.Timeout.Value)
	defer cancel()
	name := c.seen.Endpoint.Name
	if name == "" {
		name = c.Config.Target()
	}
	t, err := attempt(ctx, func(ctx context.Context) (credential.Token, error) {
		return c.Workspace.DatabaseCredential(ctx, c.bearer, name, c.Config.TTL.Value)
	})
	if err == nil {
		c.password, c.seen.CredentialEnds = t.Value, t.ExpiresAt
	}
	return outcome(err)
}

func (c *Checkup) checkLogin(ctx context.Context) (Status, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Config.WaitTimeout.Value)
	defer cancel()
	c.tell(AtWake, c.seen.Host)
	begun := time.Now()
	err := c.Waker.Login(ctx, c.Target(c.seen.Host), c.password)
	c.seen.LoginTook = time.Since(begun)
	return outcome(err)
}

// probed is the target of a connection without a login: its user may not be known.
func (c *Checkup) probed() pglogin.Target {
	t := c.Target(c.seen.Host)
	if t.User == "" {
		t.User = "nobody"
	}
	return t
}
