package cli

import (
	"io"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// CompletionCommand is the hidden command that the shells' completion scripts call
// with the arguments up to the cursor.
const CompletionCommand = "__complete"

// completeFiles makes the scripts complete file names.
const completeFiles = ":files"

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

// complete returns the completions of the last of args, which is being typed: one in
// a line, some with a description after a tab. args are as the shell splits them; bash
// makes three of --wait=auto.
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
		if len(app.VisibleCommands()) == 0 {
			out = append(out, "--\tthe command follows")
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
func (e *Environment) values(f *Flag) (values []string) {
	switch {
	case len(f.Words) > 0:
		return f.Words
	case f.Value == "PATH":
		return []string{completeFiles}
	case f.Value == "VAR":
		for _, e := range e.Environ {
			name, _, _ := strings.Cut(e, "=")
			values = append(values, name)
		}
	case f.Option == "profile":
		return e.ProfileNames()
	case f.Option == "endpoint":
		return e.fromProfiles(func(p *config.Profiles, name string) string { return p.Value(name, "endpoint") })
	}
	return values
}

// ProfileNames returns the names of the profiles; none if the file is not valid.
func (e *Environment) ProfileNames() []string {
	return e.fromProfiles(func(_ *config.Profiles, name string) string { return name })
}

// fromProfiles returns what value returns for each profile, without what is empty or
// could control the terminal on which it is offered.
func (e *Environment) fromProfiles(value func(*config.Profiles, string) string) (values []string) {
	profiles, err := e.Profiles()
	if err != nil || profiles == nil {
		return nil
	}
	for _, name := range profiles.Names() {
		if v := value(profiles, name); v != "" && !strings.ContainsFunc(v, sanitize.IsUnsafe) {
			values = append(values, v)
		}
	}
	return values
}
