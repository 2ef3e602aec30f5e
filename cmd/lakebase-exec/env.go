package main

import (
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
	from     config.Source
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
		var extra *pgenv.Error
		if err := pgenv.CheckExtra(names); errors.As(err, &extra) {
			return nil, &config.Error{Name: s.Source.String(), Problem: extra.Error(), Fix: extra.Hint()}
		}
		vars = append(vars, variable{s.Name, template, s.Source})
	}
	return vars, checkRefreshed(conf, vars)
}

// checkRefreshed rejects templates with values that change while the command runs.
func checkRefreshed(conf config.Config, vars []variable) error {
	var changing []string
	switch conf.Refresh.Value {
	case config.RefreshPassfile:
		changing = []string{"password", "url", "jdbc_url", "expires_at"}
	case config.RefreshProxy:
		changing = []string{"expires_at"}
	}
	for _, v := range vars {
		if filepath.IsAbs(conf.Listen.Value) && v.template.HostInAddress() {
			return &config.Error{Name: v.from.String(), Problem: v.name + ": {host} is a directory with " + conf.Listen.Source.String() + " " + sanitize.Quote(conf.Listen.Value),
				Fix: "use {url}, write the host as ?host={host:uri}, or give --listen 127.0.0.1:0"}
		}
		switch name := v.template.Uses(changing...); name {
		case "":
		case "expires_at":
			return &config.Error{Name: v.from.String(), Problem: v.name + ": {expires_at} cannot be used with --refresh " + conf.Refresh.Value + ": the token is refreshed", Fix: "leave it out of the template"}
		default:
			return &config.Error{Name: v.from.String(), Problem: v.name + ": {" + name + "} contains the password, which --refresh passfile updates only in its file",
				Fix: "use {url_nopassword}, or --refresh proxy"}
		}
	}
	return nil
}

// What --print-env prints in place of a value.
const (
	setAtStart  = "<asked at start>"
	notShown    = "<not shown>"
	madeAtStart = "<made at start>"
)

// printEnv prints the variables that the command would get or lose. It uses the cache
// but makes no request.
func (j *job) printEnv(ctx context.Context) error {
	conf := j.conf
	roots, err := j.SSLRootCert(conf)
	var unwritable *rootcerts.WriteError
	if errors.As(err, &unwritable) && conf.Refresh.Value == config.RefreshProxy {
		err = nil // the command verifies nothing
	}
	if err != nil {
		return err
	}
	target, token := lakebase.Target(conf, roots, conf.PGHost.Value), credential.Token{}
	target.Host = setAtStart
	if conf.PGHostTrusted() {
		target.Host = conf.PGHost.Value
	}
	if conf.User.Value == "" {
		target.User = setAtStart
	}
	shown := map[string]string{"PGPASSWORD": setAtStart, "LAKEBASE_TOKEN_EXPIRES_AT": setAtStart}
	if conf.Cache.Value != config.CacheOff {
		stores, err := j.TokenStores(conf, j.Keychain(conf))
		if err != nil {
			return err
		}
		if e, ok := stores.Cache(j.log, nil).Lookup(ctx, auth.KnownIdentity(conf).Key(conf)); ok {
			if h := e.DatabaseHost; h != "" && (conf.PGHost.Value == "" || conf.PGHost.Value == h) {
				target.Host = h
			}
			if conf.User.Value == "" && e.User != "" {
				target.User = e.User
			}
			if e.Token.Fresh(time.Now(), conf.MinTTL.Value) {
				// The token is not shown, in templates either.
				token = credential.Token{Value: credential.NewSecret(notShown), ExpiresAt: e.Token.ExpiresAt}
				shown = map[string]string{"PGPASSWORD": notShown}
			}
		}
	}
	if token.Value.IsZero() {
		token = credential.Token{Value: credential.NewSecret(setAtStart), ExpiresAt: time.Now()}
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
	result, err := pgenv.Build(j.Environ, j.values(target, token, login), conf.Keep.Value)
	if err != nil {
		return err
	}
	return printResult(j.Output(), result, shown)
}

// printResult prints NAME=VALUE for each variable that is set, and "unset NAME" for
// each that is removed.
func printResult(out io.Writer, r pgenv.Result, instead map[string]string) error {
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
