package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/lakebase"
	"github.com/lakebase-exec/lakebase-exec/internal/pgenv"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
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

// values are what the command connects with.
func values(conf *config.Config, t pglogin.Target, token credential.Token, login *clientLogin, vars []variable, argv []string) pgenv.Values {
	v := pgenv.Values{Host: t.Host, HostAddr: t.HostAddr, Port: t.Port, Database: t.Database, User: t.User,
		SSLMode: conf.ChildSSLMode.Value, SSLRootCert: t.SSLRootCert, Profile: conf.Profile.Value}
	switch {
	case login == nil:
		v.Password, v.ExpiresAt = token.Value, token.ExpiresAt
	case login.passFile != "":
		v.PassFile = login.passFile
	default:
		v.Host, v.HostAddr, v.Port, v.Password, v.SSLMode, v.SSLRootCert = login.host, "", login.port, login.password, "disable", ""
	}
	v.Extra = extra(vars, answer(v, token.ExpiresAt))
	if len(argv) > 0 && argv[0] != "" {
		v.AppName = filepath.Base(argv[0])
	}
	return v
}

// What --print-env shows in place of a value.
const (
	askedAtStart = "<asked at start>"
	notShown     = "<not shown>"
	madeAtStart  = "<made at start>"
)

// printEnv tells what the command would get, of the names that we set or
// remove. It asks nobody but the cache.
func printEnv(ctx context.Context, p *cli.Process, conf config.Config, vars []variable, say *cli.Logger, argv []string) error {
	roots, err := p.SSLRootCert(conf)
	if err != nil {
		return err
	}
	target, token := lakebase.Target(conf, roots, conf.PGHost.Value), credential.Token{}
	target.Host = askedAtStart
	if conf.PGHostTrusted() {
		target.Host = conf.PGHost.Value
	}
	if conf.User.Value == "" {
		target.User = askedAtStart
	}
	shown := map[string]string{"PGPASSWORD": askedAtStart, "LAKEBASE_TOKEN_EXPIRES_AT": askedAtStart}
	if conf.Cache.Value != config.CacheOff {
		stores, err := p.TokenStores(conf, p.Keychain(conf))
		if err != nil {
			return err
		}
		if e, ok := stores.Cache(say, nil).Lookup(ctx, auth.KnownIdentity(conf).Key(conf)); ok {
			if h := e.DatabaseHost; h != "" && (conf.PGHost.Value == "" || conf.PGHost.Value == h) {
				target.Host = h
			}
			if conf.User.Value == "" && e.User != "" {
				target.User = e.User
			}
			if e.Token.Fresh(time.Now(), conf.MinTTL.Value) {
				// The token itself stays out of all that is shown, templates too.
				token = credential.Token{Value: credential.NewSecret(notShown), ExpiresAt: e.Token.ExpiresAt}
				shown = map[string]string{"PGPASSWORD": notShown}
			}
		}
	}
	if token.Value.IsZero() {
		token = credential.Token{Value: credential.NewSecret(askedAtStart), ExpiresAt: time.Now()}
	}
	var login *clientLogin
	switch conf.Refresh.Value {
	case config.RefreshPassfile:
		login = &clientLogin{passFile: madeAtStart}
		shown = map[string]string{}
	case config.RefreshProxy:
		login = &clientLogin{host: madeAtStart, port: proxyPort, password: credential.NewSecret(madeAtStart)}
		shown = map[string]string{}
	}
	result, err := pgenv.Build(p.Environ, values(&conf, target, token, login, vars, argv), conf.Keep.Value)
	if err != nil {
		return err
	}
	return show(p.Stdout, result, shown)
}

// show writes NAME=VALUE for each name that we set and "unset NAME" for each
// that we remove.
func show(out io.Writer, r pgenv.Result, instead map[string]string) error {
	var b strings.Builder
	for _, e := range r.Environ {
		name, value, _ := strings.Cut(e, "=")
		if !slices.Contains(r.Set, name) {
			continue
		}
		if v, ok := instead[name]; ok {
			value = v
		}
		fmt.Fprintf(&b, "%s=%s\n", name, sanitize.Escape(value))
	}
	for _, name := range r.Removed {
		fmt.Fprintf(&b, "unset %s\n", sanitize.Escape(name))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func list(names []string) string {
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, " ")
}
