// Command lakebase-exec runs a command with a working connection to a Databricks
// Lakebase database in its environment, and without any secret that outlives
// the hour.
package main

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/broker"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/pgenv"
	"github.com/lakebase-exec/lakebase-exec/internal/process"
)

const program = "lakebase-exec"

func main() {
	os.Exit(run(context.Background(), os.Args, os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}

func run(ctx context.Context, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int {
	cli.DieOfQuit()
	p := cli.NewProcess(program, args, environ, stdin, stdout, stderr)
	say := &cli.Say{Program: program, Out: stderr, Level: config.LogNormal, JSON: cli.WantsJSON(p.Args)}
	code, conf, err := start(ctx, p, &say)
	var died *diedError
	if errors.As(err, &died) {
		return process.RaiseSignal(died.signal)
	}
	if err != nil {
		say.Error(cli.Describe(err, conf))
		return cli.ExitCode(err)
	}
	return code
}

// start walks the road; on Unix it returns only where the command was not
// started.
func start(ctx context.Context, p *cli.Process, voice **cli.Say) (int, *config.Config, error) {
	given, argv, err := parse(p.Args)
	if err != nil {
		return 0, nil, err
	}
	if page, ok := page(given); ok {
		_, err := io.WriteString(p.Stdout, page)
		return 0, nil, err
	}
	if len(argv) == 0 && given["print-env"] == nil {
		return 0, nil, noCommand()
	}
	conf, err := p.Resolve(given, nil)
	if err != nil {
		return 0, nil, err
	}
	say := p.Voice(*conf)
	*voice = say
	if conf.Refresh.Value != config.RefreshOff && given["print-env"] == nil {
		if err := p.HideSecret(); err != nil { // before anything is said that would be said twice
			say.Note("the secret stays in the supervisor's environment: %v", err)
		}
	}
	cli.TellWarnings(say, *conf)
	cli.TellNotes(say, *conf)
	var keep *pgenv.KeepError
	if err := pgenv.CheckKeep(conf.Keep.Value); errors.As(err, &keep) {
		return 0, conf, &config.Error{Name: conf.Keep.Source.String(), Problem: keep.Error(), Fix: "leave it out there"}
	}
	vars, err := variables(*conf)
	if err != nil {
		return 0, conf, err
	}
	if given["print-env"] != nil {
		return 0, conf, printEnv(ctx, p, *conf, vars, say, argv)
	}
	if name, ok := warnEmptyArgument(vars, argv); ok {
		say.Warn("an argument is empty: the calling shell has expanded $%s before it was set; write sh -c '… \"$%s\"'", name, name)
	}
	progress := cli.StartProgress(say, cli.Terminal(p.Stderr))
	j := &job{Process: p, conf: *conf, vars: vars, say: say, argv: argv}
	err = j.prepare(ctx, progress)
	progress.Stop()
	if err != nil {
		return 0, conf, err
	}
	if conf.Refresh.Value != config.RefreshOff {
		code, err := j.stay(ctx)
		return code, conf, err
	}
	environ, err := j.environ(nil)
	if err != nil {
		return 0, conf, err
	}
	code, err := process.Exec(j.cmd, environ, p.Stdio())
	return code, conf, err
}

// job is one command on its way to its start.
type job struct {
	*cli.Process
	conf config.Config
	vars []variable
	say  *cli.Say
	argv []string

	broker  *broker.Broker
	cmd     process.Command
	session broker.Session
}

// environ is the command's environment.
func (j *job) environ(w *way) ([]string, error) {
	result, err := pgenv.Build(j.Environ, values(&j.conf, j.session.Target, j.session.Token, w, j.vars, j.argv), j.conf.Keep.Value)
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
	if j.broker, err = j.Broker(j.conf, j.say, progress); err != nil {
		return err
	}
	// A value that the child's environment cannot hold is found before a token
	// is asked for.
	probe := j.broker.Target("host")
	if probe.User == "" { // the workspace tells it
		probe.User = "user"
	}
	if _, err := pgenv.Build(j.Environ, values(&j.conf, probe, credential.Token{}, nil, j.vars, j.argv), j.conf.Keep.Value); err != nil {
		return err
	}
	if _, err := j.broker.GivenSecret(); err != nil {
		return err
	}
	if j.cmd, err = process.Find(j.argv, j.Search()); err != nil {
		return err
	}
	if j.conf.SSLMode.Value == config.Require {
		j.say.Warn("--sslmode %s: the server's certificate is not checked", config.Require)
	}
	if j.session, err = j.broker.Ready(ctx); err == nil {
		j.conf = j.broker.Config // which now names the user
	}
	return err
}
