package doctor

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http/httptrace"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/lakebase"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
	"github.com/lakebase-exec/lakebase-exec/internal/retry"
	"github.com/lakebase-exec/lakebase-exec/internal/rotate"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// checkSecret resolves who signs in, and reads their secret or login.
func (x *run) checkSecret(ctx context.Context, r *Result) error {
	conf := x.conf
	conf.Cache.Value = config.CacheOff
	chain, err := x.Local.Auth(conf)
	if err != nil {
		return err
	}
	var id auth.Identity
	err = chain.Do(ctx, func(s auth.Source, identity auth.Identity) error {
		x.source, id = s, identity
		return s.Check(ctx)
	})
	if id.Type != "" {
		x.conf.Auth.Value = id.Type
	}
	if x.conf.User.Value == "" {
		x.conf.User.Value = id.User
	}
	if e, ok := errors.AsType[*keychain.Error](err); ok && e.Err != keychain.ErrNotFound {
		// That the keychain cannot be read is the finding, not what it holds.
		locked := x.result(Keychain)
		locked.Text, locked.Fix = "", ""
		x.finish(locked, err)
		r.Status, r.Needs = NotTried, Keychain
		return nil
	}
	r.fact("user", x.conf.User.Value)
	if err != nil {
		return err
	}
	r.Text = x.conf.AuthType().Credential
	switch { // only the workspace knows the owner of other tokens
	case x.conf.ClientID.Value != "":
		r.Text += " of " + x.conf.ClientID.Value
	case id.Type == auth.AuthBrowser:
		r.Text += " of " + id.Principal
	case x.conf.Native():
		r.Text += " of " + x.conf.User.Value
	}
	if x.conf.Secret.Kind == config.SecretInKeychain {
		store, path, expires := x.Local.Stored(ctx, x.conf, id)
		r.fact("store", store)
		r.fact("path", path)
		r.Text += ", from the " + strings.TrimSpace(store+" "+path)
		x.describeExpiry(r, expires)
	}
	return nil
}

// describeExpiry adds when a secret expires; zero: unknown.
func (x *run) describeExpiry(r *Result, ends time.Time) {
	if ends.IsZero() {
		return
	}
	left := ends.Sub(x.Now())
	r.fact("ends", timestamp(ends))
	r.Text += "; it " + rotate.DescribeLifetime(left)
	if left < rotate.RenewBefore {
		r.Status, r.Fix = Warning, "make a new one with: lakebase-credential-helper rotate"
		if x.conf.Secret.Kind != config.SecretInKeychain { // which rotate does not replace
			r.Fix = "make a new one in the workspace's settings, and replace it where it is given"
		}
	}
}

// askExpiry adds to the result about a service principal's secret when it expires, if no
// rotate has recorded it. The workspace lists the secrets to some principals only, and
// not which of them is in use.
func (x *run) askExpiry(ctx context.Context, principal string) {
	r := x.result(Secret)
	if x.conf.Auth.Value != auth.AuthM2M || x.conf.Scope.Value != config.AllAPIs || r.Facts["ends"] != "" {
		return
	}
	list, err := x.api.ClientSecrets(ctx, x.bearer.Value, principal)
	switch {
	case err != nil:
		x.Observer.Note("the secrets of the service principal cannot be listed: " + err.Error())
		r.Text += "; its expiry is not known here"
	case len(list) == 1:
		x.describeExpiry(r, list[0].ExpiresAt)
	case len(list) > 1:
		first := slices.MinFunc(list, func(a, b exchange.ClientSecret) int { return a.ExpiresAt.Compare(b.ExpiresAt) }).ExpiresAt
		r.Text += fmt.Sprintf("; it is one of %d, the first of which %s", len(list), rotate.DescribeLifetime(first.Sub(x.Now())))
	}
}

// checkWorkspace sends one request without a credential, over the same proxy and
// with the same root certificates as the sign-in.
func (x *run) checkWorkspace(ctx context.Context, r *Result) error {
	var peer pglogin.Peer
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		peer = pglogin.PeerOf(info.Conn)
	}})
	var err error
	if x.skew, err = x.api.ServerTime(ctx); errors.Is(err, exchange.ErrNoDate) {
		x.noDate, err = true, nil
	}
	name := x.workspaceHost()
	if proxy := x.api.Proxy(); proxy != "" {
		r.fact("proxy", proxy)
		name += ", through the proxy " + proxy
	}
	x.describePeer(r, name, peer, err)
	return err
}

func (x *run) workspaceHost() string { return x.conf.Workspace.Value.HostPort() }

// describePeer adds the other end of a connection, called name, and its certificates. It
// warns about one that ends in 14 days, or in a third of its life if that is less. The
// text of an error names who signed the certificate.
func (x *run) describePeer(r *Result, name string, p pglogin.Peer, err error) {
	if refused, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		p.Chain = refused.UnverifiedCertificates
	}
	r.fact("address", p.Address)
	r.fact("tls", p.Version)
	if err == nil {
		r.Text = name + " at " + p.Address + ", " + p.Version
	}
	for i, c := range p.Chain {
		subject, issuer := sanitize.Line(c.Subject.String()), sanitize.Line(c.Issuer.String())
		shown, fact := "chain "+subject, fmt.Sprintf("chain_%d", i)
		if i == 0 {
			shown, fact = "certificate of "+issuer, "certificate"
			r.fact("subject", subject)
			r.fact("issuer", issuer)
		} else {
			r.fact(fact, subject)
		}
		r.fact(fact+"_ends", timestamp(c.NotAfter))
		if err != nil {
			continue
		}
		r.Text += ", " + shown + " until " + c.NotAfter.UTC().Format(time.DateOnly)
		if left := c.NotAfter.Sub(x.Now()); left < min(14*24*time.Hour, c.NotAfter.Sub(c.NotBefore)/3) && r.Status == "" {
			r.Status, r.Fix = Warning, fmt.Sprintf("have the certificate of %s renewed, which %s", subject, rotate.DescribeLifetime(left))
		}
	}
	if issuer := r.Facts["issuer"]; err != nil && issuer != "" {
		if text, _ := x.Observer.Explain(err, x.conf); !strings.Contains(text, issuer) {
			r.Text = text + " (signed by " + issuer + ")"
		}
	}
}

// How far the clocks may be apart. A token lives for at least 5 minutes: beyond that, a
// new one may seem to have expired.
const (
	maxSkew  = time.Minute
	failSkew = 5 * time.Minute
)

func (x *run) checkClock(_ context.Context, r *Result) error {
	if x.noDate {
		r.Status, r.Text = NotTried, x.workspaceHost()+" does not send its time"
		return nil
	}
	off := x.skew.Abs()
	r.fact("ahead_seconds", fmt.Sprint(int(-x.skew.Round(time.Second).Seconds())))
	if off <= maxSkew {
		r.Text = fmt.Sprintf("within %s of that of %s", (off + time.Second).Truncate(time.Second), x.workspaceHost())
		return nil
	}
	direction := "behind"
	if x.skew < 0 {
		direction = "ahead of"
	}
	r.Fix = "set this machine's clock and keep it synchronized (timedatectl set-ntp true; restart a VM or WSL): tokens are checked against it"
	err := fmt.Errorf("this machine's clock is %s %s that of %s", off.Round(time.Second), direction, x.workspaceHost())
	if off > failSkew {
		return err
	}
	return warning{err}
}

func (x *run) checkSignIn(ctx context.Context, r *Result) (err error) {
	if x.bearer, err = x.source.Token(ctx); err == nil {
		x.describeToken(r, "a workspace token", x.bearer)
	}
	return err
}

// describeToken adds a token and when it expires, unless it is a personal access token.
func (x *run) describeToken(r *Result, name string, t credential.Token) {
	if x.conf.Auth.Value == auth.AuthPAT && t.Value.Equal(x.bearer.Value) {
		r.Text = x.conf.AuthType().Credential + "; its expiry is not known"
		return
	}
	r.fact("token_expires", timestamp(t.ExpiresAt))
	r.Text = name + ", valid until " + timestamp(t.ExpiresAt)
}

// checkIdentity requests the identity from the workspace. A run with a configured user
// does not, so a failure is then only a warning.
func (x *run) checkIdentity(ctx context.Context, r *Result) error {
	user, name := x.conf.User.Value, ""
	if err := x.conf.CanAskUser(); err != nil {
		if user == "" {
			return err
		}
		r.Text = user + "; the workspace is not asked, with the scope " + x.conf.Scope.Value
		return nil
	}
	me, err := x.api.Me(ctx, x.bearer.Value)
	if err == nil {
		x.askExpiry(ctx, me.ID)
		name, err = config.CheckUser(me.UserName, "the user name from "+x.workspaceHost())
	}
	if err != nil && user != "" {
		return warning{err}
	}
	if err != nil {
		return err
	}
	x.conf.User.Value = cmp.Or(user, name)
	r.fact("user_name", name)
	r.Text = name
	if user != "" && user != name {
		r.Text += ", who logs in as " + user + " (" + userSource(x.conf) + ")"
	}
	return nil
}

// checkTarget looks up the endpoint or instance and its branch.
func (x *run) checkTarget(ctx context.Context, r *Result) error {
	x.targets = lakebase.NewResolver(x.conf, x.api, x.Observer)
	e, err := x.targets.Endpoint(ctx, x.bearer.Value)
	if err == nil {
		e, err = x.targets.Describe(ctx, x.bearer.Value, e)
	}
	if e.Name == "" {
		// A run with a trusted host does not look up the target, so that it works
		// without permission to.
		r.optional = x.conf.PGHostTrusted() && x.conf.EndpointWhole()
		return err
	}
	x.endpoint = e
	b := x.branch(ctx, e.Name)
	text := e.Name + " is " + e.State
	for _, part := range []struct{ fact, value, shown string }{
		{"name", e.Name, ""}, {"uid", e.UID, ""}, {"state", e.State, ""}, {"type", e.Type, ""}, {"disabled", fmt.Sprint(e.Disabled), ""},
		{"branch_state", b.State, "its branch"}, {"host", e.Host, "host"}, {"read_only_host", e.ReadOnlyHost, "read-only host"},
		{"pooled_host", e.PooledHost, "pooled host"}, {"read_only_pooled_host", e.ReadOnlyPooledHost, ""},
	} {
		r.fact(part.fact, part.value)
		if part.value != "" && part.shown != "" {
			text += ", " + part.shown + " " + part.value
		}
	}
	if err != nil {
		return err
	}
	if b.State == "ARCHIVED" { // the login restores it, in more time than a wake (Neon documentation, "Branch archiving")
		r.Fix = "allow the first login, which restores it, more time with --wait-timeout; if it stays archived, restore it in the console"
		return warning{fmt.Errorf("the branch of %s, %s, is archived", e.Name, b.Name)}
	}
	r.Text = text
	return nil
}

// branch returns the branch of an endpoint; zero if it cannot be listed.
func (x *run) branch(ctx context.Context, endpoint string) (b exchange.Resource) {
	project, branch, _ := config.SplitEndpoint(endpoint)
	if x.conf.Instance.Value != "" || branch == "" {
		return b
	}
	list, err := x.api.List(ctx, x.bearer.Value, "projects/"+project)
	if err != nil {
		x.Observer.Note("the branches of " + project + " cannot be listed: " + err.Error())
	}
	if i := slices.IndexFunc(list, func(b exchange.Resource) bool { return path.Base(b.Name) == branch }); i >= 0 {
		return list[i]
	}
	return b
}

// checkDatabaseHost compares the target's host with the configured one. An option
// may name any host, such as one of a private DNS.
func (x *run) checkDatabaseHost(_ context.Context, r *Result) error {
	configured, named := x.conf.PGHost, ""
	var err error
	if x.endpoint.Name != "" {
		named, err = x.targets.Host(x.endpoint)
	}
	x.host = cmp.Or(configured.Value, named)
	r.fact("host", x.host)
	if err != nil && configured.Source.Origin == config.FromOption {
		return warning{err}
	}
	if err != nil {
		return err
	}
	r.Text = x.host
	if config.IsPooled(x.host) {
		r.Status = Warning
		r.Fix = "connect without --pooled, or to a host without -pooler, for what a pooled host cannot do: " + config.PooledLimits
	}
	switch source := configured.Source.String(); {
	case configured.Value == "":
		r.Text += ", from the workspace"
	case x.endpoint.Host == "":
		r.Text += " (" + source + "), not checked against the workspace"
	default:
		r.Text += " (" + source + "), the target's host"
	}
	return nil
}

// target returns what to connect to.
func (x *run) target() pglogin.Target {
	roots, _ := x.Local.SSLRootCert(x.conf) // see checkTrust
	return lakebase.Target(x.conf, roots, x.host)
}

// checkDatabase connects and completes the TLS handshake. It sends no password.
func (x *run) checkDatabase(ctx context.Context, r *Result) error {
	t := x.target()
	t.User = cmp.Or(t.User, "unknown") // it is not sent
	var peer pglogin.Peer
	err := x.reach(ctx, func(ctx context.Context) (err error) {
		peer, err = x.Database.Probe(ctx, t)
		return err
	})
	x.describePeer(r, fmt.Sprintf("%s:%d", x.host, x.conf.PGPort.Value), peer, err)
	return err
}

// reach makes one attempt to connect. If it fails and the compute may be asleep, as the
// workspace or the failure says, it waits for the compute until ctx ends.
func (x *run) reach(ctx context.Context, connect func(context.Context) error) error {
	short, cancel := context.WithTimeout(retry.Once(ctx), 5*time.Second)
	defer cancel()
	err := connect(short)
	e, ok := errors.AsType[*pglogin.Error](err)
	asleep := !slices.Contains([]string{"", "ACTIVE", "DEGRADED", "AVAILABLE"}, x.endpoint.State)
	if !ok || ctx.Err() != nil || e.Dropped() || !e.Waking() && !(asleep && e.Retry) {
		return err
	}
	x.Observer.Note("the compute is asleep: waiting until it wakes")
	return connect(ctx)
}

func (x *run) checkCredential(ctx context.Context, r *Result) (err error) {
	if x.conf.Native() {
		if x.password, err = x.source.Token(ctx); err == nil {
			r.Text = "the password, which does not expire"
		}
		return err
	}
	if x.conf.Credential.Value == config.CredentialWorkspace {
		x.password = x.bearer
		x.describeToken(r, "the workspace token itself", x.password)
		return nil
	}
	x.password, err = x.api.DatabaseCredential(ctx, x.bearer.Value, cmp.Or(x.endpoint.Name, x.conf.Target().Value), x.conf.TTL.Value)
	if err == nil {
		x.describeToken(r, "a database token", x.password)
	}
	return err
}

func (x *run) checkLogin(ctx context.Context, r *Result) error {
	begun := time.Now()
	err := x.reach(ctx, func(ctx context.Context) error { return x.Database.Login(ctx, x.target(), x.password.Value) })
	took := time.Since(begun)
	r.fact("seconds", fmt.Sprintf("%.1f", took.Seconds()))
	if err == nil {
		r.Text = fmt.Sprintf("%s logged in to %s in %s", x.conf.User.Value, x.conf.Database.Value, took.Round(10*time.Millisecond))
	}
	return err
}
