package cli

import (
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// completeFiles makes the scripts complete file names.
const completeFiles = ":files"

// complete returns the completions of the last of args, which is being typed: one in
// a line, some with a description after a tab. args are as the shell splits them; bash
// makes three of --wait=auto.
func (e *Environment) complete(app *urfave.App, args []string) []string {
	if len(args) == 0 {
		return nil
	}
	before, word := args[:len(args)-1], args[len(args)-1]
	flags, choices := app.Flags, []string(nil)
	var commands []*urfave.Command
	if len(before) > 0 && app.Command(before[0]) != nil {
		c := app.Command(before[0])
		flags, choices = c.Flags, strings.Fields(c.ArgsUsage)
	} else {
		commands = app.VisibleCommands()
	}
	lead := "" // what precedes the value in the same argument
	switch name, value, joined := strings.Cut(word, "="); {
	case joined && strings.HasPrefix(name, "-"):
		before, word, lead = append(slices.Clone(before), name), value, name+"="
	case word == "=":
		word = ""
	case len(before) > 1 && before[len(before)-1] == "=":
		before = before[:len(before)-1]
	}
	if len(before) > 0 {
		if f := findFlag(flags, before[len(before)-1]); f != nil && f.Value != "" {
			return matching(e.values(f), lead, word)
		}
	}
	var out []string
	for _, c := range commands {
		out = append(out, c.Name+"\t"+c.Usage)
	}
	out = append(out, choices...)
	if strings.HasPrefix(word, "-") || len(out) == 0 {
		for _, f := range flags {
			if f, ok := f.(*Flag); ok {
				for _, name := range f.Names() {
					out = append(out, dashes(name)+"\t"+f.Usage)
				}
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

func findFlag(flags []urfave.Flag, typed string) *Flag {
	for _, f := range flags {
		if f, ok := f.(*Flag); ok && slices.ContainsFunc(f.Names(), func(n string) bool { return typed == dashes(n) }) {
			return f
		}
	}
	return nil
}

// values returns what the value of an option can be; nil if that is not known.
func (e *Environment) values(f *Flag) []string {
	switch {
	case len(f.Words) > 0:
		return f.Words
	case f.Value == "PATH":
		return []string{completeFiles}
	case f.Value == "VAR":
		var names []string
		for _, e := range e.Environ {
			name, _, _ := strings.Cut(e, "=")
			names = append(names, name)
		}
		return names
	case f.Option == "profile":
		return e.ProfileNames()
	case f.Option == "endpoint":
		profiles, err := e.Profiles()
		if err != nil || profiles == nil {
			return nil
		}
		var names []string
		for _, profile := range profiles.Names() {
			names = append(names, profiles.Value(profile, "endpoint"))
		}
		return slices.DeleteFunc(names, unprintable)
	}
	return nil
}

// ProfileNames returns the names of the profiles; none if the file is not valid.
func (e *Environment) ProfileNames() []string {
	profiles, err := e.Profiles()
	if err != nil || profiles == nil {
		return nil
	}
	return slices.DeleteFunc(profiles.Names(), unprintable)
}

// unprintable reports whether s is empty or could control the terminal on which
// it is offered.
func unprintable(s string) bool {
	return s == "" || strings.ContainsFunc(s, sanitize.IsUnsafe)
}
