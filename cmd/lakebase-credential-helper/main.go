// Command lakebase-credential-helper stores a service principal's secret in the OS
// keychain, and prints database tokens in the formats of other tools' hooks.
package main

import (
	"context"
	"io"
	"os"
	"slices"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
)

const program = "lakebase-credential-helper"

func main() {
	os.Exit(run(context.Background(), os.Args, os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}

func run(ctx context.Context, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int {
	cli.EndBySignal()
	if len(args) > 1 && args[1] == "help" {
		args = slices.Concat(args[:1], args[2:], []string{"--help"})
	}
	p := cli.NewEnvironment(program, args, environ, stdin, stdout, stderr)
	c := &invocation{Environment: p, log: cli.NewLogger(program, stderr, config.LogNormal, cli.WantsJSON(p.Args))}
	if err := cli.Run(ctx, c.app(), program, p.Args, stdout); err != nil {
		message, hint := cli.Describe(err, c.conf)
		if hint != "" && c.isGet() { // its callers show one line
			message, hint = message+"; "+hint, ""
		}
		c.log.Error(message, hint)
		return cli.ExitCode(err)
	}
	return 0
}

// invocation is one run of one command.
type invocation struct {
	*cli.Environment
	log      *cli.Logger
	progress *cli.Progress // nil: none is shown
	given    options
	conf     config.Config
	section  string // of .databrickscfg, that --import imports
}

// options are the options that the command was given, by name.
type options map[string][]string

func (o options) has(name string) bool { return o[name] != nil }

// get returns an option's value; empty if it is not given.
func (o options) get(name string) string {
	if o.has(name) {
		return o[name][0]
	}
	return ""
}

// duration returns an option's value; 0 if it is not given.
func (o options) duration(name string, min, max time.Duration) (time.Duration, error) {
	if !o.has(name) {
		return 0, nil
	}
	return config.ParseDuration(o.get(name), "--"+name, min, max)
}

// conflict rejects an option that is given together with one of others.
func (o options) conflict(name, fix string, others ...string) error {
	for _, other := range others {
		if o.has(name) && o.has(other) {
			return &cli.UsageError{Problem: "--" + name + " cannot be used with --" + other, Fix: fix}
		}
	}
	return nil
}

// requires rejects an option that is given without another.
func (o options) requires(name, other, fix string) error {
	if o.has(name) && !o.has(other) {
		return &cli.UsageError{Problem: "--" + name + " requires --" + other, Fix: fix}
	}
	return nil
}

// isGet reports whether the command is get, whose callers take any line for a failure.
func (c *invocation) isGet() bool { return len(c.Args) > 0 && c.Args[0] == "get" }

// Categories of commands.
const (
	categoryStored  = "Credentials"
	categoryTokens  = "Tokens"
	categorySupport = "Targets and diagnosis"
)

// commands returns the commands of the program. Only the one that the arguments name
// is built, if they name one: building all slows down each start.
func (c *invocation) commands() (built []*urfave.Command) {
	first := ""
	if len(c.Args) > 0 {
		first = c.Args[0]
	}
	if first == "--version" || first == "-V" {
		return nil
	}
	type command struct {
		name  string
		build func(*invocation) *urfave.Command
	}
	all := []command{
		{"login", loginCommand}, {"logout", logoutCommand}, {"rotate", rotateCommand}, {"list", listCommand},
		{"setup", setupCommand},
		{"get", getCommand}, {"proxy", proxyCommand},
		{"endpoints", endpointsCommand}, {"doctor", doctorCommand}, {"completion", completionCommand},
	}
	if i := slices.IndexFunc(all, func(c command) bool { return c.name == first }); i >= 0 {
		return []*urfave.Command{all[i].build(c)}
	}
	for _, command := range all {
		built = append(built, command.build(c))
	}
	return append(built, cli.CompleteCommand(c.Environment))
}

func (c *invocation) app() *urfave.App {
	return &urfave.App{
		Usage:     "keep a Lakebase secret in the keychain, and hand out its tokens",
		UsageText: program + " COMMAND [options]",
		Description: `Stores a service principal's secret in the OS keychain, where lakebase-exec
finds it, and prints one-hour database tokens in the formats of other tools' hooks.
Each command has its own --help.`,
		HideHelpCommand: true,
		Flags:           []urfave.Flag{urfave.HelpFlag},
		Commands:        c.commands(),
		Action: func(u *urfave.Context) error {
			if u.NArg() == 0 {
				return &cli.UsageError{Problem: "no command is given", Fix: cli.SeeHelp(program)}
			}
			return cli.UnknownCommand(u.App, u.Args().First())
		},
	}
}

// ofStart are the categories of settings that only the start of a command needs.
var ofStart = []config.Category{config.CategoryCommand, config.CategoryService, config.CategoryLogin}

// flags returns the options of a command: its own, and the settings that are not in
// the omitted categories and not called one of omit.
func flags(own []config.Setting, omitted []config.Category, omit ...string) []urfave.Flag {
	return cli.Flags(own, func(s config.Setting) bool {
		return !slices.Contains(omitted, s.Category) && !slices.Contains(omit, s.Option)
	})
}

// commandAction returns the action of a command that resolves no configuration.
func (c *invocation) commandAction(run func(context.Context, *invocation) error) urfave.ActionFunc {
	return func(u *urfave.Context) (err error) {
		if c.given, err = cli.Given(u); err != nil {
			return err
		}
		if u.NArg() > 0 { // not shown: it may be a secret
			return &cli.UsageError{Problem: u.Command.Name + " takes no arguments, only options", Fix: cli.SeeHelp(u.Command.HelpName)}
		}
		return run(u.Context, c)
	}
}

// action returns what urfave calls for a command: check may refuse its options and
// change what the configuration is resolved from; run does the command's work.
func (c *invocation) action(check func(given options, in *config.Input) error,
	run func(context.Context, *invocation) error) urfave.ActionFunc {
	return c.commandAction(func(ctx context.Context, c *invocation) error {
		conf, err := c.Resolve(c.given, func(in *config.Input) error { return check(c.given, in) })
		if err != nil {
			return err
		}
		c.conf = conf
		c.log = c.Logger(c.conf)
		if !c.isGet() {
			c.progress = c.StartProgress(c.log)
			defer c.progress.Stop()
		}
		cli.LogConfig(c.log, c.conf, c.isGet())
		return run(ctx, c)
	})
}

// ReportOutput is Environment's; it ends the progress, as both may be one terminal.
func (c *invocation) ReportOutput() io.Writer {
	c.progress.Stop()
	return c.Environment.ReportOutput()
}
