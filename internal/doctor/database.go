package doctor

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
)

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
	roots, _ := x.sslRootCert() // see checkTrust
	c := x.conf
	return pglogin.Target{Host: x.host, HostAddr: c.PGHostAddr.Value, Port: c.PGPort.Value, Database: c.Database.Value, User: c.User.Value, SSLMode: c.SSLMode.Value, SSLRootCert: roots}
}

// checkDatabase connects and completes the TLS handshake. It sends no password.
func (x *run) checkDatabase(ctx context.Context, r *Result) error {
	ctx, cancel := context.WithTimeout(ctx, x.conf.WaitTimeout.Value)
	defer cancel()
	t := x.target()
	t.User = cmp.Or(t.User, "unknown") // it is not sent
	peer, err := x.conn.Database.Probe(ctx, t)
	x.describePeer(r, peer, err)
	if err == nil {
		r.Text = fmt.Sprintf("%s:%d%s", x.host, x.conf.PGPort.Value, certificate(peer))
	}
	return err
}

func (x *run) checkCredential(ctx context.Context, r *Result) error {
	kind := "the workspace token itself"
	x.password = x.bearer
	if x.conf.Credential.Value != config.CredentialWorkspace {
		ctx, cancel := context.WithTimeout(ctx, x.conf.Timeout.Value)
		defer cancel()
		name := cmp.Or(x.endpoint.Name, x.conf.Target())
		kind = "a database token"
		var err error
		x.password, err = exchange.Retry(ctx, func(ctx context.Context) (credential.Token, error) {
			return x.conn.Workspace.DatabaseCredential(ctx, x.bearer.Value, name, x.conf.TTL.Value)
		})
		if err != nil {
			return err
		}
	}
	r.fact("token_expires", timestamp(x.password.ExpiresAt))
	r.Text = kind + ", valid until " + timestamp(x.password.ExpiresAt)
	return nil
}

func (x *run) checkLogin(ctx context.Context, r *Result) error {
	ctx, cancel := context.WithTimeout(ctx, x.conf.WaitTimeout.Value)
	defer cancel()
	begun := time.Now()
	err := x.conn.Database.Login(ctx, x.target(), x.password.Value)
	took := time.Since(begun)
	r.fact("seconds", fmt.Sprintf("%.1f", took.Seconds()))
	if err == nil {
		r.Text = fmt.Sprintf("%s logged in to %s in %s", x.conf.User.Value, x.conf.Database.Value, took.Round(10*time.Millisecond))
	}
	return err
}
