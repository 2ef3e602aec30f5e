// Command lakebase-credential-helper puts a service principal's secret into the
// OS keychain, and prints database tokens in the form that other tools' hooks
// expect.
package main

import (
	"context"
	"io"
	"os"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

const program = "lakebase-credential-helper"

func main() {
	os.Exit(run(context.Background(), os.Args, os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}

func run(ctx context.Context, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int {
	cli.DieOfQuit()
	p := cli.NewProcess(program, args, environ, stdin, stdout, stderr)
	c := &call{Process: p, say: &cli.Say{Program: program, Out: stderr, Level: config.LogNormal, JSON: cli.WantsJSON(p.Args)}}
	if err := c.dispatch(ctx); err != nil {
		message, hint := cli.Describe(err, c.described())
		if c.brief && hint != "" { // its callers show one line
			message, hint = message+"; "+hint, ""
		}
		c.say.Error(message, hint)
		return cli.ExitCode(err)
	}
	return 0
}

// call is one run of one command.
type call struct {
	*cli.Process
	say   *cli.Say
	given map[string][]string
	word  string // one of the page's Words
	conf  config.Config
	known bool           // conf was resolved
	taken *config.Import // from .databrickscfg; nil without --import
	brief bool           // an error is one line
}

func (c *call) described() *config.Config {
	if !c.known {
		return nil
	}
	return &c.conf
}

// dispatch finds the command that the first word names, and runs it.
func (c *call) dispatch(ctx context.Context) error {
	if len(c.Args) == 0 {
		return &cli.UsageError{Problem: "no command is given", Fix: "see: " + program + " --help"}
	}
	switch c.Args[0] {
	case "help":
		return c.help(c.Args[1:])
	case "--help", "-h":
		return c.help(nil)
	case "--version", "-V", "version":
		_, err := io.WriteString(c.Stdout, program+" "+cli.Version()+"\n")
		return err
	}
	cmd, err := find(c.Args[0])
	if err != nil {
		return err
	}
	return c.run(ctx, cmd)
}

// find gives the command of this name.
func find(name string) (command, error) {
	for _, cmd := range commands() {
		if cmd.page.Name == name {
			return cmd, nil
		}
	}
	return command{}, &cli.UsageError{Problem: "there is no command " + sanitize.Quote(name), Fix: "see: " + program + " --help"}
}

// help prints the page of the command that is named, or the program's.
func (c *call) help(names []string) error {
	text := topHelp()
	if len(names) > 1 {
		return &cli.UsageError{Problem: "help takes the name of one command", Fix: "see: " + program + " --help"}
	}
	if len(names) == 1 {
		cmd, err := find(names[0])
		if err != nil {
			return err
		}
		text = cmd.help()
	}
	_, err := io.WriteString(c.Stdout, text)
	return err
}

// command is one of the program's commands.
type command struct {
	page   cli.Page
	values []string // options of its own that take a value
	change func(given map[string][]string, in *config.Input) error
	input  func(c *call, in *config.Input) error // what needs the process too; may be nil
	brief  bool                                  // an error is one line
	run    func(context.Context, *call) error
}

func (c *call) run(ctx context.Context, cmd command) error {
	c.brief = cmd.brief
	settings := cmd.settings()
	for _, v := range cmd.values {
		settings = append(settings, config.Setting{Option: v})
	}
	bools := []string{"help,h"}
	for _, o := range cmd.page.More {
		if o.Value == "" && o.Name != "help" {
			bools = append(bools, o.Name)
		}
	}
	var rest []string
	var err error
	if c.given, rest, err = cli.NewOptions(settings, bools...).Parse(program+" "+cmd.page.Name, c.Args[1:]); err != nil {
		return err
	}
	if words := cmd.page.Words; words != nil && c.given["help"] == nil {
		if len(rest) != 1 || !contains(words, rest[0]) {
			return &cli.UsageError{Problem: cmd.page.Name + " takes one of these words: " + strings.Join(words, ", "), Fix: "see: " + program + " " + cmd.page.Name + " --help"}
		}
		c.word, rest = rest[0], nil
	}
	if len(rest) > 0 { // not shown: it may be a secret that was typed there
		return &cli.UsageError{Problem: cmd.page.Name + " takes options only", Fix: "see: " + program + " " + cmd.page.Name + " --help"}
	}
	if c.given["help"] != nil {
		_, err := io.WriteString(c.Stdout, cmd.help())
		return err
	}
	if cmd.change != nil {
		conf, err := c.Resolve(c.given, func(in *config.Input) error {
			if err := cmd.change(c.given, in); err != nil || cmd.input == nil {
				return err
			}
			return cmd.input(c, in)
		})
		if err != nil {
			return err
		}
		c.conf, c.known = *conf, true
		c.say = c.Voice(c.conf)
		if !cmd.brief { // its callers take a word on stderr for a failure
			cli.TellWarnings(c.say, c.conf)
		}
		cli.TellNotes(c.say, c.conf)
	}
	return cmd.run(ctx, c)
}

// help is the command's page.
func (cmd command) help() string { return cli.Help(titled(cmd.page), cmd.settings()) }

// settings are those that mean something to the command.
func (cmd command) settings() []config.Setting {
	var out []config.Setting
	for _, s := range config.Settings() {
		if !contains(cmd.page.Omit, s.Option) {
			out = append(out, s)
		}
	}
	return out
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}
