package cli

import (
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"

	urfave "github.com/urfave/cli/v2"
	"github.com/xrash/smetrics"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// Flag is an option, of a setting or of one command. It implements urfave's Flag:
// urfave's own flags read environment variables themselves, split values at commas
// and accept an option twice, while config.Resolve needs each value as it was typed.
type Flag struct {
	config.Setting

	shared bool // belongs to all Apps of the process, so it keeps no state
	names  []string
	parsed []flagValue // by name
	err    error       // why a value was refused
}

// Flags returns an option for each of own and for each setting that take accepts.
func Flags(own []config.Setting, take func(config.Setting) bool) []urfave.Flag {
	var flags []urfave.Flag
	for _, s := range own {
		flags = append(flags, &Flag{Setting: s})
	}
	for _, s := range config.Settings() {
		if take(s) {
			flags = append(flags, &Flag{Setting: s})
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

// Names returns the option without its dashes, the long form first.
func (f *Flag) Names() []string {
	if f.shared {
		return []string{f.Option, f.Alias}
	}
	if f.names == nil {
		f.names = []string{f.Option}
		if f.Alias != "" {
			f.names = append(f.names, f.Alias)
		}
	}
	return f.names
}

// Apply registers the option with the flag set that a command line is parsed by.
func (f *Flag) Apply(set *flag.FlagSet) error {
	if f.shared {
		f = &Flag{Setting: f.Setting}
	}
	f.err, f.parsed = nil, make([]flagValue, len(f.Names()))
	for i, name := range f.Names() {
		f.parsed[i].flag = f
		set.Var(&f.parsed[i], name, "")
	}
	return nil
}

// IsSet reports whether the option has a value from elsewhere than the command line.
func (f *Flag) IsSet() bool { return false }

// IsVisible makes urfave list the option in the help.
func (f *Flag) IsVisible() bool { return true }

// flagValue collects the values given by one name of an option. Once the command
// line is parsed, urfave copies those of a short name to the long one.
type flagValue struct {
	flag   *Flag
	values []string
}

// Set records a value.
func (v *flagValue) Set(value string) error {
	f := v.flag
	switch on, err := strconv.ParseBool(value); {
	case f.Value != "" && len(v.values) > 0 && !f.Many:
		f.err = givenTwice("--" + f.Option)
	case f.Value != "":
		v.values = append(v.values, value)
	case err != nil:
		f.err = &UsageError{Problem: "--" + f.Option + " takes no value", Fix: "write --" + f.Option + " alone"}
	case on:
		v.values = []string{"true"}
	default:
		v.values = nil
	}
	return f.err
}

func (v *flagValue) String() string {
	if v.IsBoolFlag() {
		return strconv.FormatBool(len(v.values) > 0)
	}
	return strings.Join(v.values, " ")
}

// IsBoolFlag reports whether the option takes no value (see package flag).
func (v *flagValue) IsBoolFlag() bool { return v.flag != nil && v.flag.Value == "" }

// given returns the values of the options on the command line, by their long
// names. A value that looks like a secret is an error.
func given(flags []urfave.Flag) (map[string][]string, error) {
	values := map[string][]string{}
	for _, f := range flags {
		f, ok := f.(*Flag)
		if !ok || len(f.parsed) == 0 || len(f.parsed[0].values) == 0 {
			continue
		}
		if slices.ContainsFunc(f.parsed[0].values, credential.ContainsSecret) {
			return nil, &UsageError{Problem: "--" + f.Option + ": the value looks like a secret; every user of this machine can read a program's arguments",
				Fix: `create a new secret and store it with "lakebase-credential-helper login", or name a file with --client-secret-file`}
		}
		values[f.Option] = f.parsed[0].values
	}
	return values, nil
}

// UsageError is a command line that cannot be understood.
type UsageError struct{ Problem, Fix string }

func (e *UsageError) Error() string { return e.Problem }

// Hint returns what to do about the error.
func (e *UsageError) Hint() string { return e.Fix }

// NoAnswerError reports that a question on the terminal was not answered.
type NoAnswerError struct{ Question, Fix string }

func (e *NoAnswerError) Error() string { return "no " + e.Question + " was given" }

// Hint returns what to do about the error.
func (e *NoAnswerError) Hint() string { return e.Fix }

func givenTwice(option string) error {
	return &UsageError{Problem: option + " is given twice", Fix: "leave one of them out"}
}

// SeeHelp is the hint that names the help of a program or command.
func SeeHelp(name string) string { return fmt.Sprintf("run %q", name+" --help") }

// parseError turns an error of package flag or urfave into a UsageError. typed is
// the command line. The value of an option is never shown.
func parseError(cmd *urfave.Command, err error, typed []string) error {
	for _, f := range cmd.Flags {
		if f, ok := f.(*Flag); ok && f.err != nil {
			return f.err
		}
	}
	see, text := SeeHelp(cmd.HelpName), err.Error()
	if name, ok := strings.CutPrefix(text, "flag needs an argument: -"); ok {
		return &UsageError{Problem: dashes(name) + " needs a value", Fix: see}
	}
	if names, ok := strings.CutPrefix(text, "Cannot use two forms of the same flag: "); ok {
		_, long, _ := strings.Cut(names, " ")
		return givenTwice("--" + long)
	}
	if name, ok := strings.CutPrefix(text, "bad flag syntax: "); ok {
		name, _, _ = strings.Cut(name, "=")
		return &UsageError{Problem: "unknown option " + name, Fix: see}
	}
	if _, why, ok := strings.Cut(text, ": --"); ok { // the error of a shared Flag's value
		return &UsageError{Problem: "--" + why, Fix: see}
	}
	name, ok := strings.CutPrefix(text, "flag provided but not defined: -")
	if !ok {
		return &UsageError{Problem: text, Fix: see}
	}
	shown, joined := dashes(name), false
	for _, word := range typed {
		if w, _, eq := strings.Cut(word, "="); strings.TrimLeft(w, "-") == name && w != name {
			shown, joined = w, eq
			break
		}
	}
	switch {
	case strings.Contains(name, "@"): // a URL, in which a password may be
		shown = sanitize.Quote(shown)
	case credential.ContainsSecret(name) || credential.ContainsSecret(name[1:]):
	default:
		if fix := suggestFlag(cmd.Flags, shown, joined); fix != "" {
			see = fix
		}
	}
	return &UsageError{Problem: "unknown option " + shown, Fix: see}
}

// suggestFlag returns a hint for an option that is not known; empty if there is none.
func suggestFlag(flags []urfave.Flag, typed string, joined bool) string {
	name := strings.TrimLeft(typed, "-")
	var names []string
	for _, f := range flags {
		for _, n := range f.Names() {
			if len(n) > 1 {
				names = append(names, n)
			} else if f, ok := f.(*Flag); ok && !joined && len(name) > 1 && !strings.HasPrefix(typed, "--") && strings.HasPrefix(name, n) {
				if f.Value != "" {
					return "write it as -" + n + " " + name[1:]
				}
				if len(name) == 2 {
					return "write it as -" + n + " -" + name[1:]
				}
			}
		}
	}
	if best := closest(name, names); best != "" {
		return "did you mean --" + best + "?"
	}
	return ""
}

// closest returns the candidate most similar to word; empty if none is similar.
func closest(word string, candidates []string) (best string) {
	most := 0.85
	for _, c := range candidates {
		if s := smetrics.JaroWinkler(word, c, 0.7, 4); s > most {
			best, most = c, s
		}
	}
	return best
}

func dashes(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// WantsJSON reports whether args ask for --log-format json. It is needed before
// they are parsed: errors in them are logged in that format too.
func WantsJSON(args []string) bool {
	for i, a := range args {
		if a == "--" {
			return false
		}
		name, value, joined := strings.Cut(a, "=")
		if !joined && i+1 < len(args) {
			value = args[i+1]
		}
		if strings.TrimLeft(name, "-") == "log-format" && name != "log-format" && value == "json" {
			return true
		}
	}
	return false
}
