// Command lakebase-exec runs a command with a login to a Databricks Lakebase database in
// its environment, and without any secret that outlives the hour.
package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/credformat"
	"github.com/lakebase-exec/lakebase-exec/internal/lakebase"
	"github.com/lakebase-exec/lakebase-exec/internal/pgenv"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
	"github.com/lakebase-exec/lakebase-exec/internal/process"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

const program = "lakebase-exec"

func main() {
	os.Exit(run(context.Background(), os.Args, os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}

func run(ctx context.Context, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int {
	cli.EndBySignal()
	env := cli.NewEnvironment(program, args, environ, stdin, stdout, stderr)
	j, options := &job{Environment: env}, env.Args
	if cut := slices.Index(options, "--"); cut >= 0 && options[0] != cli.CompletionCommand {
		options, j.argv = options[:cut], options[cut+1:] // the command's arguments are never parsed
	}
	j.log = cli.NewLogger(program, stderr, config.LogNormal, cli.WantsJSON(options))
	if err := cli.Run(ctx, j.app(), program, options, stdout); err != nil {
		j.log.Error(cli.Describe(err, j.conf))
		return cli.ExitCode(err)
	}
	if j.status.Signal != 0 {
		return process.RaiseSignal(j.status.Signal)
	}
	return j.status.ExitCode
}

// job is one run of the program.
type job struct {
	*cli.Environment
	argv []string // the command
	log  *cli.Logger

	conf    config.Config
	vars    []variable
	signal  syscall.Signal // of --on-refresh; 0: none
	client  *cli.Client
	session lakebase.Session
	cmd     process.Command
	status  process.Status // of a command that ran as a child
}

const usage = "lakebase-exec [options] -- COMMAND [ARG...]"

func (j *job) app() *urfave.App {
	printEnv := config.Setting{Option: "print-env", Usage: "print the environment of the command, without secret values, and start nothing"}
	return &urfave.App{
		Usage:     "run a command with a working login to a Databricks Lakebase database",
		UsageText: usage,
		Description: `Takes a service principal's secret from the OS keychain, exchanges it for a
database token that is valid for one hour, waits for the compute to wake, and
replaces itself with COMMAND. The connection is in the environment of COMMAND:
PGHOST, PGPORT, PGDATABASE, PGUSER, PGPASSWORD, PGSSLMODE, PGSSLROOTCERT. The
secret is not.

Store the secret once with: lakebase-credential-helper login

Examples:
  lakebase-exec -p prod -- psql
  lakebase-exec -p prod -- migrate -database 'postgres:///' -path migrations up
  lakebase-exec -p prod --print-env`,
		HideHelpCommand: true,
		Flags:           cli.Flags([]config.Setting{printEnv}, func(config.Setting) bool { return true }),
		Commands:        []*urfave.Command{cli.CompleteCommand(j.Environment)},
		Action: func(c *urfave.Context) error {
			if c.NArg() > 0 {
				return &cli.UsageError{Problem: sanitize.Quote(c.Args().First()) + " is not an option; the command goes after --", Fix: "run: " + usage}
			}
			given, err := cli.Given(c)
			if err != nil {
				return err
			}
			return j.start(c.Context, given)
		},
	}
}

// start runs the command. On Unix it returns only if that was not started or is supervised.
func (j *job) start(ctx context.Context, given map[string][]string) error {
	printOnly := given["print-env"] != nil
	if len(j.argv) == 0 && !printOnly {
		return &cli.UsageError{Problem: "no command is given", Fix: "run: " + usage}
	}
	conf, err := j.Resolve(given, nil)
	if err != nil {
		return err
	}
	j.conf, j.log = conf, j.Logger(conf)
	supervised := j.conf.Refresh.Value != config.RefreshOff
	if supervised && !printOnly {
		if err := j.ReexecWithoutSecrets(); err != nil { // before anything is logged that would be logged twice
			j.log.Note("the secret stays in the supervisor's environment: %v", err)
		}
	}
	cli.LogConfig(j.log, j.conf, false)
	if err := pgenv.CheckKeep(j.conf.Keep.Value); err != nil {
		return &config.Error{Name: j.conf.Keep.Source.String(), Problem: err.Error(), Err: err}
	}
	if j.vars, err = variables(j.conf); err != nil {
		return err
	}
	if printOnly {
		return j.printEnv(ctx)
	}
	j.warn()
	progress := j.StartProgress(j.log)
	err = j.prepare(ctx, progress)
	progress.Stop()
	if err != nil {
		return err
	}
	if supervised {
		j.status, err = j.supervise(ctx)
		return err
	}
	j.status.ExitCode, err = process.Exec(j.cmd, j.environ(pgenv.Values{Password: j.session.Token.Value, ExpiresAt: j.session.Token.ExpiresAt}))
	return err
}

// warn warns of a command line that may not do what it seems to.
func (j *job) warn() {
	if len(j.vars) > 0 && slices.Contains(j.argv[1:], "") {
		j.log.Warn("an argument is empty: the calling shell has expanded $%s before it was set; write sh -c '… \"$%s\"'",
			j.vars[0].name, j.vars[0].name)
	}
	name := strings.TrimSuffix(filepath.Base(j.argv[0]), ".exe")
	if j.conf.Pooled.Value && (name == "pg_dump" || name == "pg_restore") {
		j.log.Warn("%s at a pooled host: %s", name, config.PooledLimits)
		j.log.Hint("leave --pooled out, or give --pooled=false")
	}
	// A parallel pg_restore connects again with its first password (src/bin/pg_dump/pg_backup_db.c).
	if j.conf.Refresh.Value == config.RefreshPassfile && name == "pg_restore" && slices.ContainsFunc(j.argv, isJobs) {
		j.log.Warn("pg_restore with several jobs connects again with the first password, which --refresh passfile cannot replace")
		j.log.Hint("use --refresh proxy if it may run for longer than a token is valid")
	}
}

func isJobs(arg string) bool { return strings.HasPrefix(arg, "-j") || strings.HasPrefix(arg, "--jobs") }

// prepare checks options, command and environment, and then opens the session.
func (j *job) prepare(ctx context.Context, progress *cli.Progress) (err error) {
	if j.conf.Refresh.Value != config.RefreshOff {
		if err := process.DisableCoreDumps(); err != nil {
			return err
		}
	}
	if j.signal, err = refreshSignal(j.conf); err != nil {
		return err
	}
	if err := j.makeClient(progress); err != nil {
		return err
	}
	if j.cmd, err = process.Find(j.argv, j.SearchPath()); err != nil {
		return err
	}
	if j.conf.SSLMode.Value == config.Require {
		j.log.Warn("--sslmode %s: the server's certificate is not checked", config.Require)
	}
	if j.session, err = j.client.Open(ctx); err == nil {
		j.conf.User.Value = j.session.Target.User
	}
	return err
}

// makeClient makes the client; progress may be nil.
func (j *job) makeClient(progress *cli.Progress) (err error) {
	if j.client, err = j.Client(j.conf, j.Keychain(j.conf), j.log, progress); err != nil {
		return err
	}
	if j.conf.Refresh.Value == config.RefreshProxy { // then the command verifies nothing
		return nil
	}
	return j.client.RootsErr
}

// environ returns the command's environment; see values.
func (j *job) environ(login pgenv.Values) []string {
	result := pgenv.Build(j.Environ, j.values(j.session.Target, login), j.conf.Keep.Value)
	j.log.Note("removed from the command's environment: %s", cmp.Or(strings.Join(result.Removed, " "), "nothing"))
	return result.Environ
}

// values completes how the command logs in: the password with its expiry, the password
// file, or the host, port and password of the proxy.
func (j *job) values(t pglogin.Target, login pgenv.Values) pgenv.Values {
	v := login
	v.Database, v.User, v.Profile = t.Database, t.User, j.conf.Profile.Value
	if v.Host != "" {
		v.SSLMode = "disable" // the proxy itself uses TLS
	} else {
		v.Host, v.HostAddr, v.Port, v.SSLMode, v.SSLRootCert = t.Host, t.HostAddr, t.Port, j.conf.ChildSSLMode.Value, t.SSLRootCert
	}
	answer := credformat.Answer{Host: v.Host, Port: v.Port, Database: v.Database, User: v.User,
		SSLMode: v.SSLMode, SSLRootCert: v.SSLRootCert, Password: v.Password, ExpiresAt: v.ExpiresAt}
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
	var vars []variable
	var names []string
	for _, s := range conf.Set {
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

// unusable returns why a template cannot be used with --refresh or --listen.
func unusable(conf config.Config, t credformat.Template) (problem, fix string) {
	if filepath.IsAbs(conf.Listen.Value) && t.HostInAddress() {
		return "{host} is a directory with " + conf.Listen.Source.String() + " " + sanitize.Quote(conf.Listen.Value),
			"use {url}, write the host as ?host={host:uri}, or give --listen 127.0.0.1:0"
	}
	mode := conf.Refresh.Value
	if t.Uses("expires_at") != "" && (conf.Native() || mode != config.RefreshOff) {
		return "{expires_at} cannot be used with --refresh or a native password", "leave it out of the template"
	}
	if name := t.Uses("password", "url", "jdbc_url", "node_url"); mode == config.RefreshPassfile && name != "" {
		return "{" + name + "} contains the password, which --refresh passfile updates only in its file",
			"use {url_nopassword}, or --refresh proxy"
	}
	return "", ""
}

// What --print-env prints in place of a value.
const (
	setAtStart = "<set at start>"
	notShown   = "<not shown>"
)

// printEnv prints NAME=VALUE for each variable that the command would get, and "unset
// NAME" for each that it would lose. It uses the cache but makes no request.
func (j *job) printEnv(ctx context.Context) error {
	if err := j.makeClient(nil); err != nil {
		return err
	}
	values := j.preview(ctx)
	result := pgenv.Build(j.Environ, values, j.conf.Keep.Value)
	var b strings.Builder
	for _, e := range result.Environ {
		name, value, _ := strings.Cut(e, "=")
		if name == "LAKEBASE_TOKEN_EXPIRES_AT" && values.Password.Reveal() == setAtStart {
			value = setAtStart
		}
		if slices.Contains(result.Set, name) {
			fmt.Fprintf(&b, "%s=%s\n", name, sanitize.Escape(value))
		}
	}
	for _, name := range result.Removed {
		fmt.Fprintf(&b, "unset %s\n", sanitize.Escape(name))
	}
	_, err := io.WriteString(j.Output(), b.String())
	return err
}

// preview returns what the command would connect with, as far as it is known without a request.
func (j *job) preview(ctx context.Context) pgenv.Values {
	conf := j.conf
	target := lakebase.Target(conf, j.client.Roots, setAtStart)
	if conf.PGHostTrusted() {
		target.Host = conf.PGHost.Value
	}
	e, _ := j.client.Cache.Lookup(ctx, auth.KnownIdentity(conf).Key(conf))
	if h := e.DatabaseHost; h != "" && (conf.PGHost.Value == "" || conf.PGHost.Value == h) {
		target.Host = h
	}
	target.User = cmp.Or(conf.User.Value, e.User, setAtStart)
	login := pgenv.Values{Password: credential.NewSecret(setAtStart)}
	switch {
	case conf.Refresh.Value == config.RefreshPassfile:
		login = pgenv.Values{PassFile: setAtStart}
	case conf.Refresh.Value == config.RefreshProxy:
		login.Host, login.Port = setAtStart, proxyPort
	case e.Token.Fresh(time.Now(), conf.MinTTL.Value):
		login = pgenv.Values{Password: credential.NewSecret(notShown), ExpiresAt: e.Token.ExpiresAt}
	case !conf.Native():
		login.ExpiresAt = time.Now() // its place is taken by setAtStart
	}
	return j.values(target, login)
}
