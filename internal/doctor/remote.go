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
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
	"github.com/lakebase-exec/lakebase-exec/internal/retry"
	"github.com/lakebase-exec/lakebase-exec/internal/rotate"
)

// checkSecret resolves who signs in, and reads their secret or login.
func (x *run) checkSecret(ctx context.Context, r *Result) error {
	conf := x.conf
	conf.Cache.Value = config.CacheOff
	var err error
	if x.conn, err = x.Local.Connect(conf); err != nil {
		return err
	}
	var id auth.Identity
	err = x.conn.Auth.Do(ctx, func(s auth.Source, identity auth.Identity) error {
		x.source, id = s, identity
		return s.Check(ctx)
	})
	if id.Type != "" {
		x.conf.Auth.Value = id.Type
	}
	if x.conf.User.Value == "" {
		x.conf.User.Value = id.User
	}
	r.fact("user", x.conf.User.Value)
	if e, ok := errors.AsType[*keychain.Error](err); ok && e.Err != keychain.ErrNotFound {
		// That the keychain cannot be read is the finding, not what it holds.
		locked := x.result(Keychain)
		locked.Text, locked.Fix = "", ""
		x.finish(locked, err)
		r.Status, r.Needs, r.Facts = NotTried, Keychain, nil
		return nil
	}
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
	x.describeStored(ctx, r, id)
	return nil
}

// describeStored adds where a stored secret or login is, and when it expires.
func (x *run) describeStored(ctx context.Context, r *Result, id auth.Identity) {
	if x.conf.Secret.Kind != config.SecretInKeychain || !slices.Contains([]string{auth.AuthBrowser, auth.AuthM2M, auth.AuthNative}, id.Type) {
		return
	}
	stored := x.Local.Stored(ctx, x.conf, id)
	r.fact("store", stored.Store)
	r.fact("path", stored.Path)
	r.Text += ", from the " + strings.TrimSpace(stored.Store+" "+stored.Path)
	if stored.Known { // only the workspace knows when a login ends
		x.describeExpiry(r, stored.Expires)
	}
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
	if wrong, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		peer.SetChain(wrong.UnverifiedCertificates)
	}
	proxy := x.api.Proxy()
	r.fact("proxy", proxy)
	x.describePeer(r, peer, err)
	if err == nil {
		r.Text = x.workspaceHost()
		if proxy != "" {
			r.Text += ", through the proxy " + proxy
		}
		x.describeConnection(r, peer)
	}
	return err
}

func (x *run) workspaceHost() string { return x.conf.Workspace.Value.HostPort() }

// describePeer adds whose certificates were received. The text of an error names the
// issuer.
func (x *run) describePeer(r *Result, p pglogin.Peer, err error) {
	r.fact("address", p.Address)
	r.fact("tls", p.Version)
	if len(p.Chain) == 0 {
		return
	}
	own := p.Chain[0]
	r.fact("subject", own.Subject)
	r.fact("issuer", own.Issuer)
	r.fact("certificate_ends", timestamp(own.NotAfter))
	for i, c := range p.Chain[1:] {
		r.fact(fmt.Sprintf("chain_%d", i+1), c.Subject)
		r.fact(fmt.Sprintf("chain_%d_ends", i+1), timestamp(c.NotAfter))
	}
	if err != nil {
		if text, _ := x.Observer.Explain(err, x.conf); !strings.Contains(text, own.Issuer) {
			r.Text = text + " (signed by " + own.Issuer + ")"
		}
	}
}

// describeConnection adds the peer and its chain to the text. It warns about a
// certificate that ends in 14 days, or in a third of its life if that is less.
func (x *run) describeConnection(r *Result, p pglogin.Peer) {
	if p.Address != "" {
		r.Text += " at " + p.Address
	}
	if p.Version != "" {
		r.Text += ", " + p.Version
	}
	for i, c := range p.Chain {
		name := []string{", certificate of " + c.Issuer, ", chain " + c.Subject, ", " + c.Subject}[min(i, 2)]
		r.Text += name + " until " + c.NotAfter.UTC().Format(time.DateOnly)
		if left := c.NotAfter.Sub(x.Now()); left < min(14*24*time.Hour, c.NotAfter.Sub(c.NotBefore)/3) && r.Status == "" {
			r.Status, r.Fix = Warning, fmt.Sprintf("have the certificate of %s renewed, which %s", c.Subject, rotate.DescribeLifetime(left))
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
	err := &problem{fmt.Sprintf("this machine's clock is %s %s that of %s", off.Round(time.Second), direction, x.workspaceHost()),
		"set this machine's clock and keep it synchronized (timedatectl set-ntp true; restart a VM or WSL): tokens are checked against it"}
	if off > failSkew {
		return err
	}
	return warning{err}
}

func (x *run) checkSignIn(ctx context.Context, r *Result) (err error) {
	if x.bearer, err = x.source.Token(ctx); err != nil {
		return err
	}
	if x.conf.Auth.Value == auth.AuthPAT {
		r.Text = "a personal access token; its expiry is not known"
		return nil
	}
	r.fact("token_expires", timestamp(x.bearer.ExpiresAt))
	r.Text = "a workspace token, valid until " + timestamp(x.bearer.ExpiresAt)
	return nil
}

// checkIdentity requests the identity from the workspace. A run with a configured user
// does not, so a failure is then only a warning.
func (x *run) checkIdentity(ctx context.Context, r *Result) error {
	user := x.conf.User.Value
	if user != "" && !x.conf.CanAskUser() {
		r.Text = user + "; the workspace is not asked, with the scope " + x.conf.Scope.Value
		return nil
	}
	name, me, err := "", exchange.Identity{}, x.conf.CheckUserKnown(false)
	if err == nil {
		me, err = x.api.Me(ctx, x.bearer.Value)
	}
	if err == nil {
		x.askExpiry(ctx, me.ID)
		name, err = config.CheckUser(me.UserName, "the user name from "+x.workspaceHost())
	}
	switch {
	case err != nil && user != "":
		return warning{err}
	case err != nil:
		return err
	case user == "":
		x.conf.User.Value = name
	}
	r.fact("user_name", name)
	r.Text = name
	if user != "" && user != name {
		r.Text += ", who logs in as " + user + " (" + userSource(x.conf) + ")"
	}
	return nil
}

// checkTarget looks up the endpoint or instance and its branch.
func (x *run) checkTarget(ctx context.Context, r *Result) error {
	e, err := x.conn.Targets.Endpoint(ctx, x.bearer.Value)
	if err == nil {
		e, err = x.conn.Targets.Describe(ctx, x.bearer.Value, e)
	}
	if e.Name == "" {
		// A run with a trusted host does not look up the target, so that it works
		// without permission to.
		r.optional = x.conf.PGHostTrusted() && x.conf.EndpointWhole()
		return err
	}
	x.endpoint = e
	b := x.branch(ctx, e.Name)
	for name, value := range map[string]string{"name": e.Name, "uid": e.UID, "state": e.State, "type": e.Type, "disabled": fmt.Sprint(e.Disabled),
		"host": e.Host, "read_only_host": e.ReadOnlyHost, "pooled_host": e.PooledHost, "read_only_pooled_host": e.ReadOnlyPooledHost, "branch_state": b.State} {
		r.fact(name, value)
	}
	if err != nil {
		return err
	}
	if b.Archived { // the login restores it, in more time than a wake (Neon documentation, "Branch archiving")
		return warning{&problem{fmt.Sprintf("the branch of %s, %s, is archived", e.Name, b.Name),
			"allow the first login, which restores it, more time with --wait-timeout; if it stays archived, restore it in the console"}}
	}
	r.Text = e.Name + " is " + e.State
	for _, part := range [][2]string{{"its branch", b.State}, {"host", e.Host}, {"read-only host", e.ReadOnlyHost}, {"pooled host", e.PooledHost}} {
		if part[1] != "" {
			r.Text += ", " + part[0] + " " + part[1]
		}
	}
	return nil
}

// branch returns the branch of an endpoint; zero if it cannot be listed.
func (x *run) branch(ctx context.Context, endpoint string) (b exchange.Branch) {
	project, branch, _ := config.SplitEndpoint(endpoint)
	if x.conf.Instance.Value != "" || branch == "" {
		return b
	}
	list, err := x.api.Branches(ctx, x.bearer.Value, "projects/"+project)
	if err != nil {
		x.Observer.Note("the branches of " + project + " cannot be listed: " + err.Error())
	}
	if i := slices.IndexFunc(list, func(b exchange.Branch) bool { return path.Base(b.Name) == branch }); i >= 0 {
		return list[i]
	}
	return b
}

// checkDatabaseHost compares the target's host with the configured one. An option
// may name any host, such as one of a private DNS.
func (x *run) checkDatabaseHost(_ context.Context, r *Result) error {
	configured := x.conf.PGHost
	x.host = configured.Value
	if x.endpoint.Name != "" {
		named, err := x.conn.Targets.Host(x.endpoint)
		x.host = cmp.Or(x.host, named)
		switch {
		case err != nil && configured.Source.Origin == config.FromOption:
			err = warning{err}
			fallthrough
		case err != nil:
			r.fact("host", x.host)
			return err
		}
	}
	r.fact("host", x.host)
	r.Text = x.host
	if config.IsPooled(x.host) {
		r.Status, r.Fix = Warning, "connect without --pooled, or to a host without -pooler, for what a pooled host cannot do: "+config.PooledLimits
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
	c := x.conf
	roots, _ := x.Local.SSLRootCert(c) // see checkTrust
	return pglogin.Target{Host: x.host, HostAddr: c.PGHostAddr.Value, Port: c.PGPort.Value, Database: c.Database.Value, User: c.User.Value, SSLMode: c.SSLMode.Value, SSLRootCert: roots}
}

// checkDatabase connects and completes the TLS handshake. It sends no password.
func (x *run) checkDatabase(ctx context.Context, r *Result) error {
	t := x.target()
	t.User = cmp.Or(t.User, "unknown") // it is not sent
	var peer pglogin.Peer
	err := x.reach(ctx, func(ctx context.Context) (err error) {
		peer, err = x.conn.Database.Probe(ctx, t)
		return err
	})
	x.describePeer(r, peer, err)
	if err == nil {
		r.Text = fmt.Sprintf("%s:%d", x.host, x.conf.PGPort.Value)
		x.describeConnection(r, peer)
	}
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
	kind := "the workspace token itself"
	x.password = x.bearer
	if x.conf.Credential.Value != config.CredentialWorkspace {
		kind = "a database token"
		x.password, err = x.api.DatabaseCredential(ctx, x.bearer.Value, cmp.Or(x.endpoint.Name, x.conf.Target()), x.conf.TTL.Value)
	}
	if err != nil {
		return err
	}
	if x.conf.Auth.Value == auth.AuthPAT && x.conf.Credential.Value == config.CredentialWorkspace {
		r.Text = kind + "; its expiry is not known"
		return nil
	}
	r.fact("token_expires", timestamp(x.password.ExpiresAt))
	r.Text = kind + ", valid until " + timestamp(x.password.ExpiresAt)
	return nil
}

func (x *run) checkLogin(ctx context.Context, r *Result) error {
	begun := time.Now()
	err := x.reach(ctx, func(ctx context.Context) error { return x.conn.Database.Login(ctx, x.target(), x.password.Value) })
	took := time.Since(begun)
	r.fact("seconds", fmt.Sprintf("%.1f", took.Seconds()))
	if err == nil {
		r.Text = fmt.Sprintf("%s logged in to %s in %s", x.conf.User.Value, x.conf.Database.Value, took.Round(10*time.Millisecond))
	}
	return err
}
