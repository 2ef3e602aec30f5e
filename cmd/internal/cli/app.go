package cli

import (
	"bytes"
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	urfave "github.com/urfave/cli/v2"
	"github.com/xrash/smetrics"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

func init() {
	urfave.HelpFlag = newFlag(config.Setting{Option: "help", Alias: "h", Usage: "show this help", Category: config.CategoryGeneral})
	urfave.VersionFlag = newFlag(config.Setting{Option: "version", Alias: "V", Usage: "show the version", Category: config.CategoryGeneral})
	urfave.VersionPrinter = func(c *urfave.Context) { fmt.Fprintf(c.App.Writer, "%s %s\n", c.App.Name, buildVersion()) }
	urfave.HelpPrinter = func(w io.Writer, template string, data any) {
		urfave.HelpPrinterCustom(w, template, data, map[string]any{"exitCodes": ExitMeanings})
	}
}

// The help of a program (*urfave.App) and of a command (*urfave.Command).
const (
	helpHead = `{{.HelpName}} - {{.Usage}}

Usage: {{.UsageText}}

{{.Description}}
`
	helpOptions = `{{$heading := ""}}{{range .VisibleFlags}}{{if ne .Heading $heading}}{{$heading = .Heading}}
{{.Heading}}:
{{end}}  {{.}}
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

// buildVersion returns what --version prints: "1.2.0 (commit 0123456789ab, go1.26.8)".
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

// ProfileNames returns the names of profiles that are safe to show; none of an invalid file.
func (e *Environment) ProfileNames() []string {
	profiles, err := e.Profiles()
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(profiles.Names()), func(name string) bool { return strings.ContainsFunc(name, sanitize.IsUnsafe) })
}

// Flag is an option, of a setting or of one command. It implements urfave's Flag:
// urfave's own flags read environment variables themselves, split values at commas
// and accept an option twice, while config.Resolve needs each value as it was typed.
type Flag struct {
	config.Setting

	names  []string
	values []string
	err    error // why a value was refused
}

func newFlag(s config.Setting) *Flag { return &Flag{Setting: s, names: []string{s.Option}} }

// Flags returns an option for each of own and for each setting that take accepts.
func Flags(own []config.Setting, take func(config.Setting) bool) (flags []urfave.Flag) {
	for _, s := range own {
		flags = append(flags, newFlag(s))
	}
	for _, s := range config.Settings() {
		if take(s) {
			flags = append(flags, newFlag(s))
		}
	}
	return flags
}

// String returns the line of the help; a tab separates its columns.
func (f *Flag) String() string {
	line := "    --" + f.Option
	if f.Alias != "" {
		line = "-" + f.Alias + ", --" + f.Option
	}
	if f.Value != "" {
		line += " " + f.Value
	}
	line += "\t" + f.Usage
	if note := f.Note(); note != "" {
		line += " [" + note + "]"
	}
	return line
}

// Heading returns what the option is listed under in the help.
func (f *Flag) Heading() string { return string(cmp.Or(f.Category, "Options")) }

// Note names the option's variables and default.
func (f *Flag) Note() string {
	var parts []string
	if len(f.Env) > 0 {
		parts = append(parts, strings.Join(f.Env, ", "))
	}
	if f.Default != "" {
		parts = append(parts, "default "+f.Default)
	}
	if f.Many {
		parts = append(parts, "repeatable")
	}
	return strings.Join(parts, "; ")
}

// Names returns the long form: urfave would copy the value of the short one. urfave asks
// each flag for its name once for each flag.
func (f *Flag) Names() []string { return f.names }

// spellings returns the forms in which the option can be typed.
func (f *Flag) spellings() []string {
	if f.Alias == "" {
		return []string{"--" + f.Option}
	}
	return []string{"--" + f.Option, "-" + f.Alias}
}

// Apply registers the option with the flag set that a command line is parsed by.
func (f *Flag) Apply(set *flag.FlagSet) error {
	f.values, f.err = nil, nil
	for _, spelling := range f.spellings() {
		set.Var((*flagValue)(f), strings.TrimLeft(spelling, "-"), "")
	}
	return nil
}

// IsSet reports whether the option has a value from elsewhere than the command line.
func (f *Flag) IsSet() bool { return false }

// IsVisible makes urfave list the option in the help.
func (f *Flag) IsVisible() bool { return true }

// flagValue is a Flag as package flag sees it.
type flagValue Flag

// Set records a value.
func (f *flagValue) Set(value string) error {
	switch on, err := strconv.ParseBool(value); {
	case f.Value != "" && len(f.values) > 0 && !f.Many:
		f.err = &UsageError{Problem: "--" + f.Option + " is given twice", Fix: "leave one of them out"}
	case f.Value != "":
		f.values = append(f.values, value)
	case err != nil:
		f.err = &UsageError{Problem: "--" + f.Option + " takes no value", Fix: "write --" + f.Option + " alone"}
	case on || f.Key != "": // --pooled=false overrides the profile
		f.values = []string{strconv.FormatBool(on)}
	default:
		f.values = nil
	}
	return f.err
}

// String returns what urfave reads of a switch.
func (f *flagValue) String() string { return strconv.FormatBool(len(f.values) > 0) }

// IsBoolFlag reports whether the option takes no value (see package flag).
func (f *flagValue) IsBoolFlag() bool { return f.Value == "" }

// Given returns the options of a command line. A value that looks like a secret is an error.
func Given(c *urfave.Context) (map[string][]string, error) {
	given := map[string][]string{}
	for _, f := range c.Command.Flags {
		f := f.(*Flag)
		if slices.ContainsFunc(f.values, credential.ContainsSecret) {
			return nil, &UsageError{Problem: "--" + f.Option + ": the value looks like a secret; every user of this machine can read a program's arguments",
				Fix: `create a new secret and store it with "lakebase-credential-helper login", or name a file with --client-secret-file`}
		}
		if len(f.values) == 0 {
			continue
		}
		// config checks the settings.
		if f.Category == "" && f.Words != nil && !slices.Contains(f.Words, f.values[0]) {
			return nil, &UsageError{Problem: "--" + f.Option + ": " + sanitize.Quote(f.values[0]) + " is not one of " + strings.Join(f.Words, ", "),
				Fix: "give one of them"}
		}
		given[f.Option] = f.values
	}
	return given, nil
}

// SeeHelp is the hint that names the help of a program or command.
func SeeHelp(name string) string { return fmt.Sprintf("run %q", name+" --help") }

// parseError returns the UsageError for an error of package flag. It shows no value, not
// even one that follows a short option at once.
func parseError(cmd *urfave.Command, err error, typed []string) error {
	var names []string
	for _, f := range cmd.Flags {
		f := f.(*Flag)
		if f.err != nil {
			return f.err
		}
		names = append(names, f.Option)
	}
	what, option, _ := strings.Cut(err.Error(), ": ")
	if slices.ContainsFunc(typed, func(word string) bool { return strings.HasPrefix(word+"=", "-"+option+"=") }) {
		option = "-" + option // package flag shows one dash
	}
	notName := func(r rune) bool { return r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }
	if end := strings.IndexFunc(option, notName); end >= 0 {
		option = option[:end]
	}
	see := SeeHelp(cmd.HelpName)
	if what == "flag needs an argument" {
		return &UsageError{Problem: option + " needs a value", Fix: see}
	}
	return &UsageError{Problem: "unknown option " + option, Fix: cmp.Or(didYouMean(strings.TrimLeft(option, "-"), "--", names), see)}
}

// didYouMean returns a hint with the candidate most similar to word, if any.
func didYouMean(word, prefix string, candidates []string) string {
	best, most := "", 0.85
	for _, c := range candidates {
		if s := smetrics.JaroWinkler(word, c, 0.7, 4); s > most {
			best, most = c, s
		}
	}
	if best == "" {
		return ""
	}
	return "did you mean " + prefix + best + "?"
}

// WantsJSON reports whether args ask for --log-format json. It is needed before
// they are parsed: errors in them are logged in that format too.
func WantsJSON(args []string) bool {
	line := strings.NewReplacer("=", " ", "--", "-").Replace(" " + strings.Join(args, " ") + " ")
	return strings.Contains(line, " -log-format json ")
}
