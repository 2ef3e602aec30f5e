package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/broker"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/pgenv"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
)

// checkup wires what the broker walks with. Where trust has failed, it is made
// without what it has failed for, and that part of the road is not walked.
func (x *examination) checkup(progress *cli.Progress, chain *keychain.Keychain) (*broker.Checkup, error) {
	conf := x.conf
	conf.Cache.Value, conf.RuntimeDir = config.CacheOff, x.usableRuntimeDir()
	if x.blocked[broker.PartWorkspace] != "" {
		conf.CACert = config.Value[string]{}
	}
	if x.blocked[broker.PartDatabase] != "" {
		conf.SSLMode.Value = config.Require
	}
	checkup := &broker.Checkup{Broker: &broker.Broker{Config: x.conf}}
	if x.conf.Workspace.Value.IsZero() { // there is no road
		return checkup, nil
	}
	b, err := x.Broker(conf, x.say, progress)
	var proxy *config.Error
	switch {
	case err != nil && x.blocked[broker.PartWorkspace] == partTrust && errors.As(err, &proxy):
		x.blocked[broker.PartSecret] = partTrust
		return checkup, nil
	case err != nil:
		return nil, err
	}
	b.Config = x.conf
	b.Secrets, b.QuietSecrets = x.Secrets(chain.NonInteractive()), nil
	if checkup.Clock, err = x.clock(); err != nil && x.blocked[broker.PartWorkspace] == "" {
		return nil, err
	}
	checkup.Broker, checkup.Look = b, x.look
	waker, ok := b.Waker.(*pglogin.Connector)
	if !ok {
		return nil, errors.New("the waker is of another kind")
	}
	checkup.Probe = waker.Probe
	return checkup, nil
}

// usableRuntimeDir leaves out a folder that cannot be used, which was told of.
func (x *examination) usableRuntimeDir() config.Value[string] {
	dir, err := x.RuntimeDir(x.conf)
	if err != nil {
		return config.Value[string]{}
	}
	_ = dir.Close()
	return x.conf.RuntimeDir
}

// client is a client of the workspace that goes the way of all others, and tells
// whether that leads through a proxy.
func (x *examination) client() (*exchange.Client, error) {
	either := func(a, b string) string {
		if v := x.Env(a); v != "" {
			return v
		}
		return x.Env(b)
	}
	own := net.JoinHostPort(x.conf.Workspace.Value.Hostname(), x.port())
	client, err := exchange.New(exchange.Options{
		Host: x.conf.Workspace.Value.URL(), WorkspaceID: x.conf.Workspace.Value.WorkspaceID, UserAgent: program + "/" + cli.Version(),
		LoadRoots: x.roots,
		Proxy:     exchange.ProxySettings{HTTPSProxy: either("HTTPS_PROXY", "https_proxy"), NoProxy: either("NO_PROXY", "no_proxy")},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if address != own {
				x.proxied.Store(address)
			}
			return dial(ctx, network, address)
		},
	})
	if err != nil {
		return nil, &config.Error{Name: "HTTPS_PROXY", Problem: err.Error(), Fix: "give it as http://HOST:PORT, or unset it"}
	}
	return client, nil
}

func dial(ctx context.Context, network, address string) (net.Conn, error) {
	return (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, network, address)
}

func (x *examination) roots() (*x509.CertPool, error) {
	return x.Roots().Workspace(x.conf.CACert.Value)
}

func (x *examination) port() string {
	if _, port, err := net.SplitHostPort(x.conf.Workspace.Value.HostPort()); err == nil {
		return port
	}
	return "443"
}

func (x *examination) clock() (func(context.Context) (time.Duration, error), error) {
	client, err := x.client()
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (time.Duration, error) {
		defer client.Close()
		return client.ServerTime(ctx)
	}, nil
}

// look sees the workspace's certificate. What stands behind a proxy is seen by
// the client alone.
func (x *examination) look(ctx context.Context) pglogin.Peer {
	if x.proxy() != "" {
		return pglogin.Peer{}
	}
	roots, err := x.roots()
	if err != nil {
		return pglogin.Peer{}
	}
	host := x.conf.Workspace.Value.Hostname()
	c, err := dial(ctx, "tcp", net.JoinHostPort(host, x.port()))
	if err != nil {
		return pglogin.Peer{}
	}
	defer c.Close()
	_, p, _ := pglogin.Handshake(ctx, c, &tls.Config{ServerName: host, RootCAs: roots, MinVersion: tls.VersionTLS12})
	return p
}

// child says what a command would get, by names and values that are not secret.
func (x *examination) child() {
	if !x.known {
		x.add(notTried(partChild, partConfiguration))
		return
	}
	conf, seen := x.conf, x.seen
	const asked, hidden = "<asked at start>", "<not shown>"
	or := func(s string) string {
		if s == "" {
			return asked
		}
		return s
	}
	roots, _ := x.SSLRootCert(conf) // looked at before
	values := pgenv.Values{Host: or(seen.Host), HostAddr: conf.PGHostAddr.Value, Port: conf.PGPort.Value, Database: conf.Database.Value, User: or(conf.User.Value),
		SSLMode: conf.ChildSSLMode.Value, SSLRootCert: roots, Profile: conf.Profile.Value,
		Password: credential.NewSecret(hidden), ExpiresAt: seen.CredentialEnds}
	result, err := pgenv.Build(x.Environ, values, conf.Keep.Value)
	if err != nil {
		x.add(failed(partChild, err, &conf))
		return
	}
	s := step{Name: partChild, Status: broker.StatusOK, Facts: map[string]string{}}
	s.Text = childText(result, s.Facts)
	if len(result.Removed) > 0 {
		s.Text += "; removed: " + strings.Join(result.Removed, " ")
	}
	for _, v := range conf.URLVar.Value {
		s.Text += "; " + v + " (--url-var)"
	}
	for _, v := range conf.Set {
		s.Text += fmt.Sprintf("; %s (%s)", v.Name, v.Source)
	}
	x.add(s)
}
