package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/credformat"
	"github.com/lakebase-exec/lakebase-exec/internal/lakebase"
	"github.com/lakebase-exec/lakebase-exec/internal/pgenv"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
	"github.com/lakebase-exec/lakebase-exec/internal/rootcerts"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// clientLogin is how a command that outlives its token logs in: with a password
// file or through the proxy. nil is the token itself.
type clientLogin struct {
	passFile string // --refresh passfile
	host     string // --refresh proxy, and what follows
	port     int
	password credential.Secret
}

// values returns what the command connects with.
func (j *job) values(t pglogin.Target, token credential.Token, login *clientLogin) pgenv.Values {
	v := pgenv.Values{Host: t.Host, HostAddr: t.HostAddr, Port: t.Port, Database: t.Database, User: t.User,
		SSLMode: j.conf.ChildSSLMode.Value, SSLRootCert: t.SSLRootCert, Profile: j.conf.Profile.Value}
	switch {
	case login == nil:
		v.Password, v.ExpiresAt = token.Value, token.ExpiresAt
	case login.passFile != "":
		v.PassFile = login.passFile
	default:
		v.Host, v.HostAddr, v.Port, v.Password, v.SSLMode, v.SSLRootCert = login.host, "", login.port, login.password, "disable", ""
	}
	answer := credformat.Answer{Host: v.Host, Port: v.Port, Database: v.Database, User: v.User,
		SSLMode: v.SSLMode, SSLRootCert: v.SSLRootCert, Password: v.Password, ExpiresAt: token.ExpiresAt}
	for _, x := range j.vars {
		v.Extra = append(v.Extra, pgenv.Var{Name: x.name, Value: x.template.Expand(answer)})
	}
	if len(j.argv) > 0 && j.argv[0] != "" {
		v.AppName = filepath.Base(j.argv[0])
	}
	return v
}

// variable is a variable of --url-var, --set or the profile.
type variable struct {
	name     string
	template credformat.Template
}

// variables returns the variables of conf, or why one cannot be set.
func variables(conf config.Config) ([]variable, error) {
	var settings []config.SetVar
	for _, name := range conf.URLVar.Value {
		settings = append(settings, config.SetVar{Name: name, Template: "{url}", Source: conf.URLVar.Source})
	}
	var vars []variable
	var names []string
	for _, s := range append(settings, conf.Set...) {
		template, err := credformat.ParseTemplate(s.Template)
		if err != nil {
			return nil, &config.Error{Name: s.Source.String(), Problem: s.Name + ": " + err.Error(), Fix: "see --set in: " + program + " --help"}
		}
		names = append(names, s.Name)
		if err := pgenv.CheckExtra(names); err != nil {
			return nil, &config.Error{Name: s.Source.String(), Problem: err.Error(), Err: err}
		}
		if problem, fix := unusable(conf, template); problem != "" {
			return nil, &config.Error{Name: s.Source.String(), Problem: s.Name + ": " + problem, Fix: fix}
		}
		vars = append(vars, variable{s.Name, template})
	}
	return vars, nil
}

// unusable returns why a template cannot be used with --refresh and --listen, as when
// its value changes while the command runs.
func unusable(conf config.Config, t credformat.Template) (problem, fix string) {
	if filepath.IsAbs(conf.Listen.Value) && t.HostInAddress() {
		return "{host} is a directory with " + conf.Listen.Source.String() + " " + sanitize.Quote(conf.Listen.Value),
			"use {url}, write the host as ?host={host:uri}, or give --listen 127.0.0.1:0"
	}
	mode := conf.Refresh.Value
	if mode != config.RefreshOff && t.Uses("expires_at") != "" {
		return "{expires_at} cannot be used with --refresh " + mode + ": the token is refreshed", "leave it out of the template"
	}
	if name := t.Uses("password", "url", "jdbc_url", "node_url"); mode == config.RefreshPassfile && name != "" {
		return "{" + name + "} contains the password, which --refresh passfile updates only in its file", "use {url_nopassword}, or --refresh proxy"
	}
	return "", ""
}

// What --print-env prints in place of a value.
const (
	setAtStart  = "<asked at start>"
	notShown    = "<not shown>"
	madeAtStart = "<made at start>"
)

// printEnv prints NAME=VALUE for each variable that the command would get, and "unset
// NAME" for each that it would lose. It uses the cache but makes no request.
func (j *job) printEnv(ctx context.Context) error {
	conf := j.conf
	roots, err := j.SSLRootCert(conf)
	_, unwritable := errors.AsType[*rootcerts.WriteError](err)
	if err != nil && !(unwritable && conf.Refresh.Value == config.RefreshProxy) { // then the command verifies nothing
		return err
	}
	target := lakebase.Target(conf, roots, setAtStart)
	if conf.PGHostTrusted() {
		target.Host = conf.PGHost.Value
	}
	target.User = cmp.Or(target.User, setAtStart)
	token, expires := credential.Token{Value: credential.NewSecret(setAtStart), ExpiresAt: time.Now()}, setAtStart
	if conf.Cache.Value != config.CacheOff {
		stores, err := j.TokenStores(conf, j.Keychain(conf))
		if err != nil {
			return err
		}
		if e, ok := stores.Cache(j.log, nil).Lookup(ctx, auth.KnownIdentity(conf).Key(conf)); ok {
			if h := e.DatabaseHost; h != "" && (conf.PGHost.Value == "" || conf.PGHost.Value == h) {
				target.Host = h
			}
			target.User = cmp.Or(conf.User.Value, e.User, setAtStart)
			if e.Token.Fresh(time.Now(), conf.MinTTL.Value) {
				token, expires = credential.Token{Value: credential.NewSecret(notShown), ExpiresAt: e.Token.ExpiresAt}, ""
			}
		}
	}
	var login *clientLogin
	switch conf.Refresh.Value {
	case config.RefreshPassfile:
		login = &clientLogin{passFile: madeAtStart}
	case config.RefreshProxy:
		login = &clientLogin{host: madeAtStart, port: proxyPort, password: credential.NewSecret(madeAtStart)}
	}
	result, err := pgenv.Build(j.Environ, j.values(target, token, login), conf.Keep.Value)
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, e := range result.Environ {
		name, value, _ := strings.Cut(e, "=")
		if name == "LAKEBASE_TOKEN_EXPIRES_AT" && expires != "" {
			value = expires
		}
		if slices.Contains(result.Set, name) {
			fmt.Fprintf(&b, "%s=%s\n", name, sanitize.Escape(value))
		}
	}
	for _, name := range result.Removed {
		fmt.Fprintf(&b, "unset %s\n", sanitize.Escape(name))
	}
	_, err = io.WriteString(j.Output(), b.String())
	return err
}
