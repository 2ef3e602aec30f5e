// Command lakebase-exec runs a command with a working connection to a Databricks
// Lakebase database in its environment, and without any secret that outlives
// the hour.
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"

	urfave "github.com/urfave/cli/v2"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/lakebase"
	"github.com/lakebase-exec/lakebase-exec/internal/pgenv"
	"github.com/lakebase-exec/lakebase-exec/internal/process"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

const program = "lakebase-exec"

func main() {
	os.Exit(run(context.Background(), os.Args, os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}

func run(ctx context.Context, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int {
	cli.ResetSIGQUIT()
	p := cli.NewEnvironment(program, args, environ, stdin, stdout, stderr)
	r := &execution{Process: p, say: cli.NewLogger(program, stderr, config.LogNormal, cli.WantsJSON(p.Args))}
	options := p.Args
	if cut := slices.Index(p.Args, "--"); cut >= 0 && p.Args[0] != cli.CompletionCommand {
		// The command's words are never parsed.
		options, r.argv = p.Args[:cut], p.Args[cut+1:]
	}
	err := cli.Run(ctx, r.app(), program, options, stdout)
	var died *signalError
	if errors.As(err, &died) {
		return process.RaiseSignal(died.signal)
	}
	if err != nil {
		r.say.Error(cli.Describe(err, r.conf))
		return cli.ExitCode(err)
	}
	return r.code
}

// execution is one run of the program.
type execution struct {
	*cli.Process
	argv []string // the command
	say  *cli.Logger
	conf *config.Config // nil until it is resolved
	code int            // exit code of a supervised command
}

const usage = "lakebase-exec [options] -- COMMAND [ARG...]"

func (r *execution) app() *urfave.App {
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
		Commands:        []*urfave.Command{cli.CompleteCommand(r.Process)},
		Action: func(c *urfave.Context) error {
			if c.NArg() > 0 {
				return &cli.UsageError{Problem: sanitize.Quote(c.Args().First()) + " is not an option; the command goes after --", Fix: usage}
			}
			given, err := cli.Given(c)
			if err != nil {
				return err
			}
			r.code, err = r.start(c.Context, given)
			return err
		},
	}
}

// start runs the command; on Unix it returns only if the command was not started
// or is supervised.
func (r *execution) start(ctx context.Context, given map[string][]string) (int, error) {
	if len(r.argv) == 0 && given["print-env"] == nil {
		return 0, &cli.UsageError{Problem: "no command is given", Fix: usage}
	}
	conf, err := r.Resolve(given, nil)
	if err != nil {
		return 0, err
	}
	say := r.Voice(*conf)
	r.conf, r.say = conf, say
	if conf.Refresh.Value != config.RefreshOff && given["print-env"] == nil {
		if err := r.ReexecWithoutSecrets(); err != nil { // before anything is said that would be said twice
			say.Note("the secret stays in the supervisor's environment: %v", err)
		}
	}
	cli.TellWarnings(say, *conf)
	cli.TellNotes(say, *conf)
	var keep *pgenv.KeepError
	if err := pgenv.CheckKeep(conf.Keep.Value); errors.As(err, &keep) {
		return 0, &config.Error{Name: conf.Keep.Source.String(), Problem: keep.Error(), Fix: "leave it out there"}
	}
	vars, err := variables(*conf)
	if err != nil {
		return 0, err
	}
	if given["print-env"] != nil {
		return 0, printEnv(ctx, r.Process, *conf, vars, say, r.argv)
	}
	if name, ok := warnEmptyArgument(vars, r.argv); ok {
		say.Warn("an argument is empty: the calling shell has expanded $%s before it was set; write sh -c '… \"$%s\"'", name, name)
	}
	progress := cli.StartProgress(say, cli.Terminal(r.Stderr))
	j := &job{Process: r.Process, conf: *conf, vars: vars, say: say, argv: r.argv}
	err = j.prepare(ctx, progress)
	progress.Stop()
	if err != nil {
		return 0, err
	}
	if conf.Refresh.Value != config.RefreshOff {
		return j.supervise(ctx)
	}
	environ, err := j.environ(nil)
	if err != nil {
		return 0, err
	}
	code, err := process.Exec(j.cmd, environ, r.Stdio())
	return code, err
}

// job is one command on its way to its start.
type job struct {
	*cli.Process
	conf config.Config
	vars []variable
	say  *cli.Logger
	argv []string

	client  *cli.Client
	cmd     process.Command
	session lakebase.Session
}

// environ is the command's environment.
func (j *job) environ(login *clientLogin) ([]string, error) {
	result, err := pgenv.Build(j.Environ, values(&j.conf, j.session.Target, j.session.Token, login, j.vars, j.argv), j.conf.Keep.Value)
	if err != nil {
		return nil, err
	}
	j.say.Note("removed from the command's environment: %s", list(result.Removed))
	return result.Environ, nil
}

// prepare does all that comes before the command: what is wrong with the
// command line and the command is found before anything is asked of anybody.
func (j *job) prepare(ctx context.Context, progress *cli.Progress) (err error) {
	if j.conf.Refresh.Value != config.RefreshOff {
		if err := process.DisableCoreDumps(); err != nil {
			return err
		}
	}
	if _, err := refreshSignal(j.conf); err != nil {
		return err
	}
	if j.client, err = j.Client(j.conf, cli.MayPrompt, j.say, progress); err != nil {
		return err
	}
	// A value that the child's environment cannot hold is found before a token
	// is asked for.
	probe := lakebase.Target(j.conf, j.client.Roots, "host")
	if probe.User == "" { // the workspace tells it
		probe.User = "user"
	}
	if _, err := pgenv.Build(j.Environ, values(&j.conf, probe, credential.Token{}, nil, j.vars, j.argv), j.conf.Keep.Value); err != nil {
		return err
	}
	if j.cmd, err = process.Find(j.argv, j.Search()); err != nil {
		return err
	}
	if j.conf.SSLMode.Value == config.Require {
		j.say.Warn("--sslmode %s: the server's certificate is not checked", config.Require)
	}
	if j.session, err = j.client.Open(ctx); err == nil {
		j.conf.User.Value = j.session.Target.User
	}
	return err
}
