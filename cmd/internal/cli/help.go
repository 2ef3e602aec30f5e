package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
)

// Option is one line of a help page.
type Option struct {
	Name, Short, Value, Text string

	Words []string // all values that there are; nil: other values do as well
	From  string   // its variables and default
	Many  bool     // it may be repeated
}

// Page is the help of a program or of one of its commands.
type Page struct {
	Name, Brief, Usage, Text string
	Words                    []string // one of these stands behind the options
	Commands                 []Option // a program's commands
	Omit                     []string // settings that mean nothing here
	More                     []Option // options that are no settings
	Examples                 []string
	ExitCodes                bool
}

// Options lists what a page's program takes, in the order of its help. Its
// source is the same table that the options are parsed by.
func (p Page) Options(settings []config.Setting) []Option {
	out := slices.Clone(p.More)
	for _, s := range settings {
		if slices.Contains(p.Omit, s.Option) {
			continue
		}
		out = append(out, Option{Name: s.Option, Short: s.Alias, Value: s.Value, Text: s.Usage, Words: s.Words, From: from(s), Many: s.Many})
	}
	return out
}

// ExitMeaning is one line of the table of exit codes.
type ExitMeaning struct {
	Code    int
	Meaning string
}

// ExitMeanings lists the exit codes of a program that started no command; wraps
// says whether it starts any.
func ExitMeanings(wraps bool) []ExitMeaning {
	var out []ExitMeaning
	for _, row := range exitTable {
		if !wraps && (row.Code == ExitNotFound || row.Code == ExitNotExecutable) {
			continue
		}
		out = append(out, ExitMeaning{row.Code, row.Meaning})
	}
	slices.SortFunc(out, func(a, b ExitMeaning) int { return a.Code - b.Code })
	return out
}

// Help renders a page.
func Help(p Page, settings []config.Setting) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s - %s\n\nUsage: %s\n\n%s\n", p.Name, p.Brief, p.Usage, p.Text)
	if len(p.Commands) > 0 {
		b.WriteString("\nCommands:\n")
		for _, c := range p.Commands {
			fmt.Fprintf(&b, "  %-10s %s\n", c.Name, c.Text)
		}
	}
	b.WriteString("\nOptions:\n")
	for _, o := range p.Options(settings) {
		b.WriteString(optionLine(o))
	}
	if len(p.Examples) > 0 {
		b.WriteString("\nExamples:\n  " + strings.Join(p.Examples, "\n  ") + "\n")
	}
	if p.ExitCodes {
		b.WriteString(exitCodes(p))
	}
	return b.String()
}

// exitCodes says what a program ends with. One that has commands of its own starts
// nobody else's.
func exitCodes(p Page) string {
	wraps := len(p.Commands) == 0
	text := "\nExit codes:\n  0    it is done\n"
	if wraps {
		text = "\nExit codes: the command's own; 128+n when a signal ended it. With a line\n\"" + p.Name + ": error:\" it was never started:\n"
	}
	for _, row := range ExitMeanings(wraps) {
		text += fmt.Sprintf("  %d  %s\n", row.Code, row.Meaning)
	}
	return text
}

// from tells a setting's variables and default.
func from(s config.Setting) string {
	var parts []string
	if len(s.Env) > 0 {
		parts = append(parts, strings.Join(s.Env, ", "))
	}
	if s.Default != "" {
		parts = append(parts, "default "+s.Default)
	}
	if s.Many {
		parts = append(parts, "repeatable")
	}
	if len(parts) == 0 {
		return ""
	}
	return " [" + strings.Join(parts, "; ") + "]"
}

func optionLine(o Option) string {
	name := "    "
	if o.Short != "" {
		name = "-" + o.Short + ", "
	}
	name += "--" + o.Name
	if o.Value != "" {
		name += " " + o.Value
	}
	return fmt.Sprintf("  %-29s %s%s\n", name, o.Text, o.From)
}
