package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/broker"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/pgenv"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
)

// told puts what the broker has found into words.
func (x *examination) told(f broker.Finding) step {
	s := step{Name: f.Part, Status: f.Status, Needs: f.Needs, Facts: map[string]string{}, err: f.Err}
	switch f.Status {
	case broker.StatusFailed, broker.StatusWarning:
		s.Text, s.Cure = explain(f.Err, x.described())
		if s.Cure == "" {
			s.Cure = "try again; --verbose tells more"
		}
	}
	x.describe(&s)
	return s
}

// describe adds what was seen of a step.
func (x *examination) describe(s *step) {
	seen, conf, ok := x.seen, x.conf, s.Status == broker.StatusOK
	put := func(name, value string) {
		if value != "" {
			s.Facts[name] = value
		}
	}
	say := func(format string, args ...any) {
		if ok {
			s.Text = fmt.Sprintf(format, args...)
		}
	}
	switch s.Name {
	case broker.PartSecret:
		put("user", conf.User.Value)
		say("%s of %s", secretName(conf.Auth.Value), whose(x))
	case broker.PartWorkspace:
		peer := seen.Workspace
		if wrong := new(tls.CertificateVerificationError); peer.Issuer == "" && errors.As(s.err, &wrong) && len(wrong.UnverifiedCertificates) > 0 {
			peer.AddCertificate(wrong.UnverifiedCertificates[0])
		}
		x.peer(s, peer)
		put("proxy", x.proxy())
		say("%s", conf.Workspace.Value.HostPort()+through(x.proxy())+certificate(peer))
	case broker.PartClock:
		if s.Status != broker.StatusNotTried {
			put("ahead_seconds", fmt.Sprintf("%.0f", -seen.Skew.Seconds()))
		}
		say("within %s of %s's", (seen.Skew.Abs() + time.Second).Truncate(time.Second), conf.Workspace.Value.HostPort())
	case broker.PartSignIn:
		put("token_expires", stamp(seen.TokenEnds))
		say("a workspace token, good until %s", stamp(seen.TokenEnds))
	case broker.PartIdentity:
		put("user_name", seen.Me.UserName)
		say("%s%s", seen.Me.UserName, x.roleOf())
	case broker.PartTarget:
		x.target(s, say)
	case broker.PartHost:
		put("host", seen.Host)
		say("%s", seen.Host+hostSource(x))
	case broker.PartDatabase:
		x.peer(s, seen.Database)
		say("%s:%d%s", seen.Host, conf.PGPort.Value, certificate(seen.Database))
	case broker.PartCredential:
		put("token_expires", stamp(seen.CredentialEnds))
		kind := "a database token"
		if conf.Credential.Value == config.CredentialWorkspace {
			kind = "the workspace token itself"
		}
		say("%s, good until %s", kind, stamp(seen.CredentialEnds))
	case broker.PartLogin:
		put("seconds", fmt.Sprintf("%.1f", seen.LoginTook.Seconds()))
		say("%s logged in to %s in %s", conf.User.Value, conf.Database.Value, seen.LoginTook.Round(10*time.Millisecond))
	}
	if s.Status == broker.StatusNotTried {
		s.Facts = nil
	}
}

func (x *examination) target(s *step, say func(string, ...any)) {
	e, b := x.seen.Endpoint, x.seen.Branch
	for name, value := range map[string]string{"name": e.Name, "uid": e.UID, "state": e.State, "type": e.Type, "host": e.Host, "read_only_host": e.ReadOnlyHost,
		"pooled_host": e.PooledHost, "branch_state": b.State} {
		if value != "" {
			s.Facts[name] = value
		}
	}
	if e.Name != "" {
		s.Facts["disabled"] = fmt.Sprint(e.Disabled)
	}
	text := fmt.Sprintf("%s is %s", e.Name, e.State)
	if b.State != "" {
		text += ", its branch " + b.State
	}
	for _, h := range [][2]string{{"host", e.Host}, {"read-only host", e.ReadOnlyHost}, {"pooled host", e.PooledHost}} {
		if h[1] != "" {
			text += ", " + h[0] + " " + h[1]
		}
	}
	say("%s", text)
}

// peer adds whose certificate was seen.
func (x *examination) peer(s *step, p pglogin.Peer) {
	for name, value := range map[string]string{"address": p.Address, "tls": p.Version, "subject": p.Subject, "issuer": p.Issuer, "certificate_ends": stamp(p.NotAfter)} {
		if value != "" {
			s.Facts[name] = value
		}
	}
	if s.Status == broker.StatusFailed && p.Issuer != "" && !strings.Contains(s.Text, p.Issuer) {
		s.Text += " (signed by " + p.Issuer + ")"
	}
}

func certificate(p pglogin.Peer) string {
	text := ""
	if p.Address != "" {
		text += " at " + p.Address
	}
	if p.Version != "" {
		text += ", " + p.Version
	}
	if p.Issuer != "" {
		text += ", certificate of " + p.Issuer + " until " + p.NotAfter.UTC().Format(time.DateOnly)
	}
	return text
}

func through(proxy string) string {
	if proxy == "" {
		return ""
	}
	return ", through the proxy " + proxy
}

// stamp is a time as JSON has it; empty for none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func secretName(auth string) string {
	switch {
	case auth == credential.AuthBrowser:
		return "the login"
	case auth == credential.AuthPAT:
		return "a personal access token"
	case auth == credential.AuthCLI:
		return "the Databricks CLI's token"
	case credential.IsWorkload(auth):
		return "a workload's token"
	}
	return "the secret"
}

func whose(x *examination) string {
	switch {
	case x.conf.ClientID.Value != "":
		return x.conf.ClientID.Value
	case x.conf.User.Value != "":
		return x.conf.User.Value
	}
	return "whoever it belongs to"
}

// roleOf says whose role it is that logs in, where it has another name.
func (x *examination) roleOf() string {
	if user := x.conf.User.Value; user != x.seen.Me.UserName {
		return ", who logs in as " + user + " (" + userFrom(x.conf) + ")"
	}
	return ""
}

func hostSource(x *examination) string {
	switch {
	case x.conf.PGHost.Value == "":
		return ", as the workspace says"
	case x.seen.Endpoint.Host == "":
		return " (" + x.conf.PGHost.Source.String() + "), which the workspace was not asked for"
	}
	return " (" + x.conf.PGHost.Source.String() + "), which is the target's"
}

// childText lists what is set.
func childText(r pgenv.Result, facts map[string]string) string {
	var set []string
	for _, e := range r.Environ {
		if name, value, _ := strings.Cut(e, "="); slices.Contains(r.Set, name) {
			set = append(set, e)
			facts[name] = value
		}
	}
	return strings.Join(set, " ")
}

// explain is cli.Describe with what only doctor speaks of, and the SQL to run.
func explain(err error, conf *config.Config) (text, cure string) {
	text, cure = cli.Describe(err, conf)
	var (
		clock    *broker.ClockError
		archived *broker.ArchivedError
		host     *broker.HostError
		login    *pglogin.Error
	)
	switch {
	case errors.As(err, &clock):
		cure = "set this machine's clock, and keep it right (timedatectl set-ntp true; in a VM or WSL, restart it): tokens are judged by time"
	case errors.As(err, &archived):
		cure = "the first login brings it back and takes longer: allow it more with --wait-timeout; if it stays archived, restore it in the console"
	case errors.As(err, &host):
		text += otherRegion(host)
	case errors.As(err, &login) && conf != nil:
		if sql := grantSQL(login.Kind, *conf); sql != "" {
			cure = "as the project's owner, in " + conf.Database.Value + ": " + sql
		}
	}
	return text, cure
}
