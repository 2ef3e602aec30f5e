package cli

import (
	"flag"
	"io"
	"maps"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// UsageError is a command line that cannot be understood.
type UsageError struct{ Problem, Fix string }

func (e *UsageError) Error() string { return e.Problem }

// recorder collects the values of one option.
type recorder struct{ values []string }

func (r *recorder) String() string { return strings.Join(r.values, " ") }

func (r *recorder) Set(v string) error {
	r.values = append(r.values, v)
	return nil
}

// Options reads a command line. The options are urfave's flags; its App is left
// out: that answers "help" behind "--", exits by itself, writes errors to
// stdout, and with its templates makes each program 1.7 MB larger.
type Options struct {
	flags  []urfave.Flag
	values map[string]*recorder
	bools  map[string]*bool
	many   map[string]bool
	short  map[string]bool // the short forms, and whether they take a value
}

// NewOptions takes settings, and the names of further options that take no
// value ("help,h" with a short form).
func NewOptions(settings []config.Setting, bools ...string) *Options {
	o := &Options{values: map[string]*recorder{}, bools: map[string]*bool{}, many: map[string]bool{}, short: map[string]bool{}}
	for _, s := range settings {
		if s.Bool {
			o.bool(s.Option, s.Alias)
			continue
		}
		o.values[s.Option] = &recorder{}
		o.many[s.Option] = s.Many
		o.short[s.Alias] = true
		o.flags = append(o.flags, &urfave.GenericFlag{Name: s.Option, Aliases: alias(s.Alias), Value: o.values[s.Option]})
	}
	for _, b := range bools {
		name, short, _ := strings.Cut(b, ",")
		o.bool(name, short)
	}
	return o
}

func (o *Options) bool(name, short string) {
	o.bools[name] = new(bool)
	o.short[short] = false
	o.flags = append(o.flags, &urfave.BoolFlag{Name: name, Aliases: alias(short), Destination: o.bools[name]})
}

func alias(short string) []string {
	if short == "" {
		return nil
	}
	return []string{short}
}

// Parse reads args: options, and what is left from the first word that is none.
// An option that is given twice is an error unless it may be repeated.
func (o *Options) Parse(program string, args []string) (given map[string][]string, rest []string, err error) {
	set := flag.NewFlagSet(program, flag.ContinueOnError)
	set.SetOutput(io.Discard)
	for _, f := range o.flags {
		if err := f.Apply(set); err != nil {
			return nil, nil, err
		}
	}
	if err := set.Parse(args); err != nil {
		return nil, nil, o.refused(program, err, args[max(0, len(args)-set.NArg()-1)])
	}
	if name, ok := secretive(o.values); ok {
		return nil, nil, &UsageError{Problem: "--" + name + ": what looks like a secret stands there, and is not taken: every user of this machine can read a program's arguments",
			Fix: "make a new secret, and store it with: lakebase-credential-helper login; or name a file with --client-secret-file"}
	}
	given = map[string][]string{}
	for name, r := range o.values {
		if len(r.values) > 1 && !o.many[name] {
			return nil, nil, &UsageError{Problem: "--" + name + " is given twice", Fix: "leave one of them out"}
		}
		if len(r.values) > 0 {
			given[name] = r.values
		}
	}
	for name, b := range o.bools {
		if *b {
			given[name] = []string{"true"}
		}
	}
	return given, set.Args(), nil
}

// WantsJSON says whether --log-format json stands among args. It is looked for before
// they are parsed, so that what is wrong with them is said in that form too. Behind
// "--" stands the command.
func WantsJSON(args []string) bool {
	for i, a := range args {
		if a == "--" {
			return false
		}
		name, value, joined := strings.Cut(a, "=")
		if !joined && i+1 < len(args) {
			value = args[i+1]
		}
		if (name == "--log-format" || name == "-log-format") && value == "json" {
			return true
		}
	}
	return false
}

// secretive names the first option whose value holds what looks like a secret.
func secretive(values map[string]*recorder) (string, bool) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if slices.ContainsFunc(values[name].values, credential.HoldsSecret) {
			return name, true
		}
	}
	return "", false
}

// refused speaks of the argument at which reading ended.
func (o *Options) refused(program string, err error, typed string) error {
	see := "see: " + program + " --help"
	if !strings.HasPrefix(err.Error(), "flag provided but not defined: ") {
		return &UsageError{Problem: optionError(err), Fix: see}
	}
	name, _, joined := strings.Cut(typed, "=") // a value stays unsaid
	if strings.Contains(name, "@") {           // so does a URL's password
		return &UsageError{Problem: "there is no option " + sanitize.Quote(name), Fix: see}
	}
	if apart := o.apart(name); apart != "" && !joined {
		see = "write it as " + apart + "; " + see
	}
	return &UsageError{Problem: "there is no option " + name, Fix: see}
}

// apart is how a short form is written that has its value, or other short forms,
// right behind it; empty: it is none.
func (o *Options) apart(typed string) string {
	letters, ok := strings.CutPrefix(typed, "-")
	if len(letters) < 2 || !ok || letters[0] == '-' {
		return ""
	}
	if credential.HoldsSecret(letters) || credential.HoldsSecret(letters[1:]) { // cut in two, it would not be known as one
		return ""
	}
	if o.short[letters[:1]] {
		return "-" + letters[:1] + " " + letters[1:]
	}
	for _, l := range letters {
		if value, known := o.short[string(l)]; !known || value {
			return ""
		}
	}
	return "-" + strings.Join(strings.Split(letters, ""), " -")
}

// optionError puts the flag package's words into ours: options have two dashes.
func optionError(err error) string {
	text := err.Error()
	if name, ok := strings.CutPrefix(text, "flag needs an argument: -"); ok {
		return dashes(name) + " needs a value"
	}
	if _, name, ok := strings.Cut(text, " for -"); ok && strings.HasPrefix(text, "invalid boolean") {
		name, _, _ = strings.Cut(name, ":")
		return dashes(name) + " takes no value"
	}
	if name, ok := strings.CutPrefix(text, "bad flag syntax: "); ok {
		return "there is no option " + name
	}
	return text
}

func dashes(name string) string {
	name = strings.TrimPrefix(name, "-")
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}
