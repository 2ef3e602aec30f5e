package cli

import (
	"cmp"
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

	values []string
	err    error // why a value was refused
}

// Flags returns an option for each of own and for each setting that take accepts.
func Flags(own []config.Setting, take func(config.Setting) bool) (flags []urfave.Flag) {
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

// Names returns the long form. urfave need not know the short one, whose value it
// would copy.
func (f *Flag) Names() []string { return []string{f.Option} }

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
	case on:
		f.values = []string{"true"}
	default:
		f.values = nil
	}
	return f.err
}

// String returns what urfave reads of a switch.
func (f *flagValue) String() string { return strconv.FormatBool(len(f.values) > 0) }

// IsBoolFlag reports whether the option takes no value (see package flag).
func (f *flagValue) IsBoolFlag() bool { return f.Value == "" }

// Given returns the values of the options given to the command that c runs, by their long
// names. A value that looks like a secret is an error.
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
			return nil, &UsageError{Problem: "--" + f.Option + ": " + sanitize.Quote(f.values[0]) + " is not one of " + strings.Join(f.Words, ", "), Fix: "give one of them"}
		}
		given[f.Option] = f.values
	}
	return given, nil
}

// SeeHelp is the hint that names the help of a program or command.
func SeeHelp(name string) string { return fmt.Sprintf("run %q", name+" --help") }

// parseError turns an error of package flag into a UsageError. typed is the command
// line. The value of an option is never shown.
func parseError(cmd *urfave.Command, err error, typed []string) error {
	for _, f := range cmd.Flags {
		if f := f.(*Flag); f.err != nil {
			return f.err
		}
	}
	see, text := SeeHelp(cmd.HelpName), err.Error()
	if name, ok := strings.CutPrefix(text, "flag needs an argument: -"); ok {
		return &UsageError{Problem: dashes(name) + " needs a value", Fix: see}
	}
	if name, ok := strings.CutPrefix(text, "bad flag syntax: "); ok {
		name, _, _ = strings.Cut(name, "=")
		return &UsageError{Problem: "unknown option " + name, Fix: see}
	}
	name, ok := strings.CutPrefix(text, "flag provided but not defined: -")
	if !ok {
		return &UsageError{Problem: text, Fix: see}
	}
	shown := dashes(name)
	for _, word := range typed {
		if w, _, _ := strings.Cut(word, "="); strings.TrimLeft(w, "-") == name && w != name {
			shown = w
			break
		}
	}
	switch {
	case strings.Contains(name, "@"): // a URL, in which a password may be
		shown = sanitize.Quote(shown)
	case credential.ContainsSecret(name) || credential.ContainsSecret(name[1:]):
	default:
		var names []string
		for _, f := range cmd.Flags {
			names = append(names, f.(*Flag).Option)
		}
		see = cmp.Or(didYouMean(name, "--", names), see)
	}
	return &UsageError{Problem: "unknown option " + shown, Fix: see}
}

// didYouMean returns a hint with the candidate most similar to word, after prefix; empty
// if none is similar.
func didYouMean(word, prefix string, candidates []string) string {
	best, most := "", 0.85
	for _, c := range candidates {
		s := smetrics.JaroWinkler(word, c, 0.7, 4)
		if slices.Equal(letters(word), letters(c)) { // in another order, which Jaro-Winkler does not see in a short word
			s = 1
		}
		if s > most {
			best, most = c, s
		}
	}
	if best == "" {
		return ""
	}
	return "did you mean " + prefix + best + "?"
}

func letters(word string) []byte { return slices.Sorted(slices.Values([]byte(word))) }

func dashes(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// WantsJSON reports whether args ask for --log-format json. It is needed before
// they are parsed: errors in them are logged in that format too.
func WantsJSON(args []string) bool {
	line := strings.NewReplacer("=", " ", "--", "-").Replace(" " + strings.Join(args, " ") + " ")
	return strings.Contains(line, " -log-format json ")
}
