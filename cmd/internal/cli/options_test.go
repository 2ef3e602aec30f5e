package cli

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
)

func parseAll(args ...string) (map[string][]string, []string, error) {
	return NewOptions(config.Settings(), "print-env", "help,h").Parse("prog", args)
}

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		args  string
		given map[string][]string
		rest  []string
	}{
		{"", map[string][]string{}, nil},
		{"--profile prod", map[string][]string{"profile": {"prod"}}, nil},
		{"-p prod", map[string][]string{"profile": {"prod"}}, nil},
		{"-p=prod -d db -U me -q -h", map[string][]string{"profile": {"prod"}, "database": {"db"}, "user": {"me"}, "quiet": {"true"}, "help": {"true"}}, nil},
		{"--host=h --print-env", map[string][]string{"host": {"h"}, "print-env": {"true"}}, nil},
		{"--host=", map[string][]string{"host": {""}}, nil},
		{"-host h", map[string][]string{"host": {"h"}}, nil}, // one dash does as well
		{"--keep A,B --keep C", map[string][]string{"keep": {"A,B", "C"}}, nil},
		{"--verbose --verbose", map[string][]string{"verbose": {"true"}}, nil},
		{"--verbose=false", map[string][]string{}, nil},
		{"--database a=b", map[string][]string{"database": {"a=b"}}, nil},
		{"-p prod psql -c x", map[string][]string{"profile": {"prod"}}, []string{"psql", "-c", "x"}},
		{"help", map[string][]string{}, []string{"help"}},
		{"x --generate-bash-completion", map[string][]string{}, []string{"x", "--generate-bash-completion"}},
		{"--host --client-id", map[string][]string{"host": {"--client-id"}}, nil},
		{"-", map[string][]string{}, []string{"-"}},
	} {
		given, rest, err := parseAll(strings.Fields(c.args)...)
		if err != nil || !cmp.Equal(given, c.given) || !slices.Equal(rest, c.rest) {
			t.Errorf("%q: %v %q, %v", c.args, given, rest, err)
		}
	}
}

func TestOptionErrors(t *testing.T) {
	for args, want := range map[string]string{
		"--nope":                        "there is no option --nope",
		"-x":                            "there is no option -x",
		"--generate-bash-completion":    "there is no option --generate-bash-completion",
		"-qd x":                         "there is no option -qd",
		"-pprod":                        "there is no option -pprod",
		"--pprod":                       "there is no option --pprod",
		"--host --x -qx":                "there is no option -qx",
		"-Ume=hunter2":                  "there is no option -Ume",
		"-dpostgres://u:hunter2@h/db":   `there is no option "-dpostgres://...@h/db"`,
		"--profile":                     "--profile needs a value",
		"-p":                            "-p needs a value",
		"--host a --host b":             "--host is given twice",
		"-p a --profile b":              "--profile is given twice",
		"--quiet=loud":                  "--quiet takes no value",
		"-q=loud":                       "-q takes no value",
		"---host x":                     "there is no option ---host",
		"--=x":                          "there is no option --=x",
		"--client-secret-file":          "--client-secret-file needs a value",
		"--user a -U a":                 "--user is given twice",
		"--nope=--secret-value-i-typed": "there is no option --nope",
		"-p a --client-id dose0123456789abcdef0123456789abcdef":  "--client-id: what looks like a secret stands there, and is not taken: every user of this machine can read a program's arguments",
		"--keep A --keep=dapi0123456789abcdef0123456789abcdef-2": "--keep: what looks like a secret stands there, and is not taken: every user of this machine can read a program's arguments",
	} {
		_, _, err := parseAll(strings.Fields(args)...)
		var e *UsageError
		if !errors.As(err, &e) || e.Problem != want {
			t.Errorf("%q: %v, and not %s", args, err, want)
		}
	}
}

// A short form with its value right behind it is understood, and not taken.
func TestShortFormsStandApart(t *testing.T) {
	for args, want := range map[string]string{
		"-pprod":                                 "write it as -p prod; see: prog --help",
		"-q -ddb x":                              "write it as -d db; see: prog --help",
		"-qh":                                    "write it as -q -h; see: prog --help",
		"-qp":                                    "see: prog --help",
		"-xp":                                    "see: prog --help",
		"-Ume=hunter2":                           "see: prog --help",
		"--pprod":                                "see: prog --help",
		"-x":                                     "see: prog --help",
		"-dose0123456789abcdef0123456789abcdef":  "see: prog --help",
		"-pdose0123456789abcdef0123456789abcdef": "see: prog --help",
		"-é":                                     "see: prog --help",
		"---p":                                   "see: prog --help",
		"--host":                                 "see: prog --help",
	} {
		_, _, err := parseAll(strings.Fields(args)...)
		var e *UsageError
		if !errors.As(err, &e) || e.Fix != want {
			t.Errorf("%q: %+v, and not %s", args, e, want)
		}
	}
}

func TestOptionsAreReadAnewByEachParser(t *testing.T) {
	a, _, err := parseAll("-p", "a")
	b, _, err2 := parseAll()
	if err != nil || err2 != nil || len(a) != 1 || len(b) != 0 {
		t.Errorf("%v %v, %v %v", a, b, err, err2)
	}
}

func TestHelp(t *testing.T) {
	page := Page{Name: "prog", Brief: "does it", Usage: "prog [options]", Text: "Text.", Omit: []string{"ttl"}, ExitCodes: true,
		More: []Option{{Name: "help", Short: "h", Text: "show this"}}, Commands: []Option{{Name: "go", Text: "goes"}}, Examples: []string{"prog go"}}
	text := Help(page, config.Settings())
	for _, s := range config.Settings() {
		line := regexp.MustCompile(`(?m)^  .*--` + s.Option + `( |$).*$`).FindString(text)
		if s.Option == "ttl" {
			if line != "" {
				t.Errorf("what is left out is shown: %s", line)
			}
			continue
		}
		for _, want := range append([]string{s.Usage, s.Value, s.Default}, s.Env...) {
			if line == "" || !strings.Contains(line, want) {
				t.Errorf("--%s: the line %q has no %q", s.Option, line, want)
			}
		}
		if s.Alias != "" && !strings.Contains(line, "-"+s.Alias+", --"+s.Option) || s.Many && !strings.Contains(line, "repeatable") {
			t.Errorf("--%s: %q", s.Option, line)
		}
	}
	for _, want := range []string{"prog - does it\n", "Usage: prog [options]\n", "  go         goes\n", "-h, --help", "  prog go\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	codes := func(text string) (got []string) {
		for _, c := range regexp.MustCompile(`(?m)^  (\d+) +\w`).FindAllStringSubmatch(text, -1) {
			got = append(got, c[1])
		}
		return got
	}
	if got, want := codes(text), []string{"0", "120", "121", "122", "123", "125"}; !slices.Equal(got, want) || strings.Contains(text, "the command's own") {
		t.Errorf("a program that starts no command has the exit codes %v, and not %v", got, want)
	}
	page.Commands = nil
	text = Help(page, nil)
	if got, want := codes(text), []string{"120", "121", "122", "123", "125", "126", "127"}; !slices.Equal(got, want) || !strings.Contains(text, "the command's own; 128+n when a signal ended it") {
		t.Errorf("exit codes %v, and not %v", got, want)
	}
	if exitTable[1].Code != ExitNotFound {
		t.Error("the help has changed the order of checking")
	}
}

func TestWantsJSON(t *testing.T) {
	for args, want := range map[string]bool{
		"":                                 false,
		"--log-format json":                true,
		"--log-format=json":                true,
		"-log-format json":                 true,
		"--nope --log-format json -- x":    true,
		"get --format json --host h":       false,
		"--log-format text json":           false,
		"--log-format":                     false,
		"--log-format xml":                 false,
		"-p prod -- x --log-format json":   false,
		"--log-format -- json":             false,
		"-- --log-format=json":             false,
		"-p prod --log-format=json psql x": true,
	} {
		if got := WantsJSON(strings.Fields(args)); got != want {
			t.Errorf("%q: %v", args, got)
		}
	}
}
