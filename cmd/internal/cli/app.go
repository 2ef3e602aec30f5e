package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

func init() {
	urfave.HelpFlag = &Flag{shared: true, Setting: config.Setting{Option: "help", Alias: "h", Usage: "show this help", Category: config.CategoryGeneral}}
	urfave.VersionFlag = &Flag{shared: true, Setting: config.Setting{Option: "version", Alias: "V", Usage: "show the version", Category: config.CategoryGeneral}}
	urfave.VersionPrinter = func(c *urfave.Context) { fmt.Fprintf(c.App.Writer, "%s %s\n", c.App.Name, Version()) }
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
		name := f.(*Flag).Category
		if name == "" {
			name = "Options"
		}
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
	app.CommandNotFound = func(*urfave.Context, string) {
		notFound = &UsageError{Problem: "--help takes no arguments", Fix: "leave them out"}
	}
	err := app.RunContext(ctx, append([]string{program}, args...))
	if err == nil {
		err = notFound
	}
	if err == nil && out.Len() > 0 {
		_, err = output{Writer: stdout}.Write(out.Bytes())
	}
	return err
}

// Given returns the values of the options given to the command that c runs, by their long
// names. A value that looks like a secret is an error.
func Given(c *urfave.Context) (map[string][]string, error) { return given(c.Command.Flags) }

// UnknownCommand returns the error for a command that app does not have.
func UnknownCommand(app *urfave.App, name string) error {
	var names []string
	for _, c := range app.Commands {
		if !c.Hidden {
			names = append(names, c.Name)
		}
	}
	see := SeeHelp(app.Name)
	if best := closest(name, names); best != "" {
		see = "did you mean " + best + "?"
	}
	return &UsageError{Problem: "unknown command " + sanitize.Quote(name), Fix: see}
}

// HelpCommand returns the command that shows the help of another one.
func HelpCommand() *urfave.Command {
	return &urfave.Command{Name: "help", Hidden: true, Usage: "show the help of a command", Action: func(c *urfave.Context) error {
		switch name := c.Args().First(); {
		case c.NArg() == 0:
			return urfave.ShowAppHelp(c)
		case c.NArg() > 1:
			return &UsageError{Problem: "help takes the name of one command", Fix: SeeHelp(c.App.Name)}
		case c.App.Command(name) == nil:
			return UnknownCommand(c.App, name)
		default:
			return urfave.ShowCommandHelp(c, name)
		}
	}}
}

// CompletionCommand is the hidden command that the shells' completion scripts call
// with the arguments up to the cursor.
const CompletionCommand = "__complete"

// CompleteCommand returns that command.
func CompleteCommand(e *Environment) *urfave.Command {
	return &urfave.Command{Name: CompletionCommand, Hidden: true, SkipFlagParsing: true, Action: func(c *urfave.Context) error {
		var out strings.Builder
		for _, candidate := range e.complete(c.App, c.Args().Slice()) {
			out.WriteString(candidate + "\n")
		}
		_, err := io.WriteString(e.Stdout, out.String())
		return err
	}}
}

// VersionCommand returns the command that prints the version.
func VersionCommand() *urfave.Command {
	return &urfave.Command{Name: "version", Hidden: true, Usage: "print the version", Action: func(c *urfave.Context) error {
		urfave.ShowVersion(c)
		return nil
	}}
}
