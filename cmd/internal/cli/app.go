package cli

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

func init() {
	urfave.HelpFlag = &Flag{Setting: config.Setting{Option: "help", Alias: "h", Usage: "show this help", Category: config.CategoryGeneral}}
	urfave.VersionFlag = &Flag{Setting: config.Setting{Option: "version", Alias: "V", Usage: "show the version", Category: config.CategoryGeneral}}
	urfave.VersionPrinter = func(c *urfave.Context) { fmt.Fprintf(c.App.Writer, "%s %s\n", c.App.Name, buildVersion()) }
	urfave.HelpPrinter = func(w io.Writer, template string, data any) {
		urfave.HelpPrinterCustom(w, template, data, map[string]any{"options": groupFlags, "exitCodes": ExitMeanings})
	}
}

// The templates of the help of a program (*urfave.App) and of a command
// (*urfave.Command).
const (
	helpHead = `{{.HelpName}} - {{.Usage}}

Usage: {{.UsageText}}

{{.Description}}
`
	helpOptions = `{{range options .VisibleFlags}}
{{.Name}}:{{range .Flags}}
  {{.}}{{end}}
{{end}}`
	commandHelp = helpHead + helpOptions
	appHelp     = helpHead + `{{range .VisibleCategories}}{{if .VisibleCommands}}
{{.Name}}:{{range .VisibleCommands}}
  {{.Name}}{{"\t"}}{{.Usage}}{{end}}
{{end}}{{end}}` + helpOptions + `
{{if .VisibleCommands}}Exit codes:
  0    success
{{else}}Exit codes: the command's own; 128+n when a signal ended it. After a line
"{{.Name}}: error:" the command was never started:
{{end}}{{range exitCodes (not .VisibleCommands)}}  {{.Code}}  {{.Meaning}}
{{end}}`
)

// flagGroup is a category of options.
type flagGroup struct {
	Name  config.Category
	Flags []urfave.Flag
}

// groupFlags returns flags by category, in the order of their first options. Those
// of the command itself have none.
func groupFlags(flags []urfave.Flag) (groups []flagGroup) {
	for _, f := range flags {
		name := cmp.Or(f.(*Flag).Category, "Options")
		i := slices.IndexFunc(groups, func(g flagGroup) bool { return g.Name == name })
		if i < 0 {
			i = len(groups)
			groups = append(groups, flagGroup{Name: name})
		}
		groups[i].Flags = append(groups[i].Flags, f)
	}
	return groups
}

// Configure applies the conventions of both programs to app: it writes to out only,
// prints no errors and never exits. args are the arguments.
func Configure(app *urfave.App, program string, args []string, out io.Writer) {
	app.Name, app.HelpName = program, program
	app.Version = "see VersionPrinter" // to find it out takes time
	app.Compiled = time.Unix(1, 0)     // otherwise urfave looks at the program's file
	app.Writer, app.ErrWriter = out, io.Discard
	app.ExitErrHandler = func(*urfave.Context, error) {}
	app.OnUsageError = func(c *urfave.Context, err error, _ bool) error { return parseError(c.Command, err, args) }
	app.CustomAppHelpTemplate = appHelp
	for _, cmd := range app.Commands {
		cmd.HideHelpCommand, cmd.OnUsageError, cmd.CustomHelpTemplate = true, app.OnUsageError, commandHelp
	}
}

// Run runs app with args. Help and version go to stdout.
func Run(ctx context.Context, app *urfave.App, program string, args []string, stdout io.Writer) error {
	var out bytes.Buffer
	Configure(app, program, args, &out)
	var notFound error
	app.CommandNotFound = func(*urfave.Context, string) { // not shown: it may be a secret
		notFound = &UsageError{Problem: "--help takes no arguments", Fix: "leave them out"}
	}
	err := app.RunContext(ctx, append([]string{program}, args...))
	if err = cmp.Or(err, notFound); err == nil && out.Len() > 0 {
		_, err = output{Writer: stdout}.Write(out.Bytes())
	}
	return err
}

// UnknownCommand returns the error for a command that app does not have.
func UnknownCommand(app *urfave.App, name string) error {
	var names []string
	for _, c := range app.VisibleCommands() {
		names = append(names, c.Name)
	}
	return &UsageError{Problem: "unknown command " + sanitize.Quote(name), Fix: cmp.Or(didYouMean(name, "", names), SeeHelp(app.Name))}
}

// HelpCommand returns the command that shows the help of the program or a command.
func HelpCommand() *urfave.Command {
	return &urfave.Command{Name: "help", Hidden: true, Action: func(c *urfave.Context) error {
		switch name := c.Args().First(); {
		case name == "":
			return urfave.ShowAppHelp(c)
		case c.App.Command(name) == nil:
			return UnknownCommand(c.App, name)
		default:
			return urfave.ShowCommandHelp(c, name)
		}
	}}
}

// version and commit are set by the linker in scripts/lib.sh and .goreleaser.yaml.
var version, commit string

// Version returns the release, or the module's version, or "devel".
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return strings.TrimPrefix(info.Main.Version, "v")
	}
	return "devel"
}

// buildVersion returns what --version prints: the version, the commit if it is known,
// and Go's version, as in "1.2.0 (commit 0123456789ab, go1.26.8)".
func buildVersion() string {
	details := runtime.Version()
	if commit != "" {
		details = "commit " + commit[:min(len(commit), 12)] + ", " + details
	}
	return Version() + " (" + details + ")"
}

// CompletionCommand is the hidden command that the shells' completion scripts call.
const CompletionCommand = "__complete"

// completeFiles makes the scripts complete file names.
const completeFiles = ":files"

// CompleteCommand returns that command.
func CompleteCommand(e *Environment) *urfave.Command {
	return &urfave.Command{Name: CompletionCommand, Hidden: true, SkipFlagParsing: true, Action: func(c *urfave.Context) error {
		for _, candidate := range e.complete(c.App, c.Args().Slice()) {
			fmt.Fprintln(e.Stdout, candidate)
		}
		return nil
	}}
}

// complete returns the completions of the last of args, some with a description after
// a tab. args are as the shell splits them; bash makes three of --wait=auto.
func (e *Environment) complete(app *urfave.App, args []string) (out []string) {
	if len(args) == 0 {
		return nil
	}
	before, word := slices.Clone(args[:len(args)-1]), args[len(args)-1]
	flags, commands := app.Flags, app.VisibleCommands()
	if len(before) > 0 && app.Command(before[0]) != nil {
		c := app.Command(before[0])
		flags, commands, out = c.Flags, nil, strings.Fields(c.ArgsUsage)
	}
	lead := "" // what precedes the value in the same argument
	switch name, value, joined := strings.Cut(word, "="); {
	case joined && strings.HasPrefix(name, "-"):
		before, word, lead = append(before, name), value, name+"="
	case word == "=":
		word = ""
	case len(before) > 1 && before[len(before)-1] == "=":
		before = before[:len(before)-1]
	}
	for _, f := range flags {
		if f := f.(*Flag); f.Value != "" && len(before) > 0 && slices.Contains(f.spellings(), before[len(before)-1]) {
			return matching(e.values(f), lead, word)
		}
	}
	for _, c := range commands {
		out = append(out, c.Name+"\t"+c.Usage)
	}
	if strings.HasPrefix(word, "-") || len(out) == 0 {
		for _, f := range flags {
			for _, spelling := range f.(*Flag).spellings() {
				out = append(out, spelling+"\t"+f.(*Flag).Usage)
			}
		}
	}
	return matching(out, "", word)
}

// matching returns the candidates that begin with word, each after lead.
func matching(candidates []string, lead, word string) (out []string) {
	for _, c := range candidates {
		if c == completeFiles {
			return []string{c}
		}
		if strings.HasPrefix(c, word) {
			out = append(out, lead+c)
		}
	}
	return out
}

// values returns what the value of an option can be; nil if that is not known.
func (e *Environment) values(f *Flag) []string {
	switch {
	case f.Value == "PATH":
		return []string{completeFiles}
	case f.Option == "profile":
		return e.ProfileNames()
	}
	return f.Words
}

// ProfileNames returns the names of the profiles that are safe to show; none if the
// file is not valid.
func (e *Environment) ProfileNames() []string {
	profiles, err := e.Profiles()
	if err != nil || profiles == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(profiles.Names()), func(name string) bool { return strings.ContainsFunc(name, sanitize.IsUnsafe) })
}
