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
	"github.com/lakebase-exec/lakebase-exec/internal/child"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/pgenv"
)

const program = "lakebase-exec"

func main() {
	os.Exit(run(context.Background(), os.Args, os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}

func run(ctx context.Context, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int {
	cli.DieOfQuit()
	p := cli.NewProcess(program, args, environ, stdin, stdout, stderr)
	say := &cli.Say{Program: program, Out: stderr, Level: config.LogNormal}
	code, conf, err := start(ctx, p, &say)
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
	say := p.Voice(conf)
	*voice = say
	cli.TellNotes(say, conf)
	var keep *pgenv.KeepError
	if err := pgenv.CheckKeep(conf.Keep.V); errors.As(err, &keep) {
		return 0, &conf, &config.Error{Name: conf.Keep.From.String(), Problem: keep.Error()}
	}
	vars, err := variables(conf)
	if err != nil {
		return 0, &conf, err
	}
	if given["print-env"] != nil {
		return 0, &conf, printEnv(ctx, p, conf, vars, say, argv)
	}
	if name, ok := warnEmptyArgument(vars, argv); ok {
		say.Warn("an argument is empty: the calling shell has expanded $%s before it was set; write sh -c '… \"$%s\"'", name, name)
	}
	progress := cli.StartProgress(say, cli.Terminal(p.Stderr))
	cmd, environ, err := prepare(ctx, p, conf, vars, say, progress, argv)
	progress.Stop()
	if err != nil {
		return 0, &conf, err
	}
	code, err := child.Exec(cmd, environ, p.Stdio())
	return code, &conf, err
}

// prepare does all that comes before the command: what is wrong with the
// command line and the command is found before anything is asked of anybody.
func prepare(ctx context.Context, p *cli.Process, conf config.Config, vars []variable, say *cli.Say, progress *cli.Progress, argv []string) (child.Command, []string, error) {
	b, err := p.Broker(conf, say, progress)
	if err != nil {
		return child.Command{}, nil, err
	}
	// A value that the child's environment cannot hold is found before a token
	// is asked for.
	if _, err := pgenv.Build(p.Environ, values(conf, broker.Session{Target: b.Target("host")}, vars, argv), conf.Keep.V); err != nil {
		return child.Command{}, nil, err
	}
	if _, err := b.GivenSecret(); err != nil {
		return child.Command{}, nil, err
	}
	cmd, err := child.Find(argv, p.Search())
	if err != nil {
		return child.Command{}, nil, err
	}
	if conf.SSLMode.V == config.Require {
		say.Warn("--sslmode %s: the server's certificate is not checked", config.Require)
	}
	session, err := b.Ready(ctx)
	if err != nil {
		return child.Command{}, nil, err
	}
	result, err := pgenv.Build(p.Environ, values(conf, session, vars, argv), conf.Keep.V)
	if err != nil {
		return child.Command{}, nil, err
	}
	say.Note("removed from the command's environment: %s", list(result.Removed))
	return cmd, result.Environ, nil
}
