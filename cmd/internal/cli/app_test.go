package cli

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	urfave "github.com/urfave/cli/v2"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
)

// parse runs an App with all settings, and returns what its action gets.
func parse(t *testing.T, args ...string) (values map[string][]string, rest []string, err error) {
	app := &urfave.App{
		Flags:           Flags([]config.Setting{{Option: "print-env"}}, func(config.Setting) bool { return true }),
		HideHelpCommand: true,
		Action: func(c *urfave.Context) (err error) {
			rest = c.Args().Slice()
			values, err = Given(c)
			return err
		},
	}
	err = Run(t.Context(), app, "prog", args, &bytes.Buffer{})
	return values, rest, err
}

func TestGiven(t *testing.T) {
	for args, want := range map[string]map[string][]string{
		"":                             {},
		"--profile prod":               {"profile": {"prod"}},
		"-p prod":                      {"profile": {"prod"}},
		"-p=prod -d db -U me -q":       {"profile": {"prod"}, "database": {"db"}, "user": {"me"}, "quiet": {"true"}},
		"--host=h --print-env":         {"host": {"h"}, "print-env": {"true"}},
		"--host=":                      {"host": {""}},
		"-p=":                          {"profile": {""}},
		"-host h":                      {"host": {"h"}}, // one dash does as well
		"--keep A,B --keep C":          {"keep": {"A,B", "C"}},
		"--verbose --verbose":          {"verbose": {"true"}},
		"--verbose=false":              {},
		"--database a=b":               {"database": {"a=b"}},
		"--host --client-id":           {"host": {"--client-id"}},
		"-p prod psql -c x --nope":     {"profile": {"prod"}},
		"x --generate-bash-completion": {},
	} {
		got, rest, err := parse(t, strings.Fields(args)...)
		if _, behind, _ := strings.Cut(args, " psql "); err != nil || !cmp.Equal(got, want) || behind != "" && len(rest) != 4 {
			t.Errorf("%q: got %v %q, %v, want %v", args, got, rest, err, want)
		}
	}
}

func TestRun_UsageErrors(t *testing.T) {
	const see = `run "prog --help"`
	secret := "the value looks like a secret; every user of this machine can read a program's arguments"
	for args, want := range map[string][2]string{
		"--nope":                                 {"unknown option --nope", see},
		"-x":                                     {"unknown option -x", see},
		"--generate-bash-completion":             {"unknown option --generate-bash-completion", see},
		"--hots x":                               {"unknown option --hots", "did you mean --host?"},
		"-wait-timeuot=hunter2":                  {"unknown option -wait-timeuot", "did you mean --wait-timeout?"},
		"-qd x":                                  {"unknown option -qd", see},
		"-pprod":                                 {"unknown option -pprod", see},
		"--host --x -qx":                         {"unknown option -qx", see},
		"-Ume=hunter2":                           {"unknown option -Ume", see},
		"-dpostgres://u:hunter2@h/db":            {"unknown option -dpostgres", see},
		"-dpostgres://u:hunt=er2@h/db":           {"unknown option -dpostgres", see},
		"--nope=--secret-value-i-typed":          {"unknown option --nope", see},
		"-é":                                     {"unknown option -é", see},
		"-dose0123456789abcdef0123456789abcdef":  {"unknown option -dose0123456789abcdef0123456789abcdef", see}, // the logger redacts it
		"-pdose0123456789abcdef0123456789abcdef": {"unknown option -pdose0123456789abcdef0123456789abcdef", see},
		"--profile":                              {"--profile needs a value", see},
		"-p":                                     {"-p needs a value", see},
		"--host a --host b":                      {"--host is given twice", "leave one of them out"},
		"-p a --profile b":                       {"--profile is given twice", "leave one of them out"},
		"--quiet=loud":                           {"--quiet takes no value", "write --quiet alone"},
		"---host x":                              {"unknown option ---host", "did you mean --host?"},
		"--=x":                                   {"unknown option --", see},
		"-h x":                                   {"--help takes no arguments", "leave them out"},
		"-p a --client-id dose0123456789abcdef0123456789abcdef":  {"--client-id: " + secret, `create a new secret and store it with "lakebase-credential-helper login", or name a file with --client-secret-file`},
		"--keep A --keep=dapi0123456789abcdef0123456789abcdef-2": {"--keep: " + secret, `create a new secret and store it with "lakebase-credential-helper login", or name a file with --client-secret-file`},
	} {
		_, _, err := parse(t, strings.Fields(args)...)
		var e *UsageError
		if !errors.As(err, &e) || e.Problem != want[0] || e.Fix != want[1] {
			t.Errorf("%q: got %+v, want %q", args, e, want)
		}
	}
}

// Each setting is described, and has the choices that the configuration accepts.
func TestFlags(t *testing.T) {
	resolve := func(option, value string) error {
		options := map[string][]string{"host": {"localhost"}, "client-id": {"id"}, "endpoint": {"projects/p/branches/b/endpoints/e"}}
		if option == "on-refresh" {
			options["refresh"] = []string{config.RefreshPassfile}
		}
		environ := map[string]string{}
		if option == "auth" { // each type with what it starts from
			environ = map[string]string{"DATABRICKS_TOKEN": "t", "DATABRICKS_OIDC_TOKEN": "t", "DATABRICKS_OIDC_TOKEN_FILEPATH": "/t",
				"ACTIONS_ID_TOKEN_REQUEST_URL": "https://localhost/?a=b", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "t"}
			if value == config.AuthNative {
				options = map[string][]string{"pghost": {"localhost"}, "user": {"app"}}
			}
			if a, _ := config.LookupAuthType(value); !a.ClientID {
				delete(options, "client-id")
			}
		}
		options[option] = []string{value}
		_, err := config.Resolve(config.Input{Options: options, Environ: environ})
		return err
	}
	for _, f := range Flags(nil, func(config.Setting) bool { return true }) {
		f := f.(*Flag)
		if f.Usage == "" || f.Category == "" || (f.Value == "") != f.Bool {
			t.Errorf("got %+v", f)
		}
		for _, want := range append([]string{f.Usage, f.Value, f.Default, "--" + f.Option}, f.Env...) {
			if !strings.Contains(f.String(), want) {
				t.Errorf("got %q, want %q in it", f, want)
			}
		}
		for _, w := range f.Words {
			if err := resolve(f.Option, w); err != nil {
				t.Errorf("--%s %s: %v", f.Option, w, err)
			}
		}
		if f.Words != nil {
			var e *config.Error
			if err := resolve(f.Option, "no-such-word"); !errors.As(err, &e) || e.Name != "--"+f.Option {
				t.Errorf("--%s accepts other values: %v", f.Option, err)
			}
		}
	}
}

func TestWantsJSON(t *testing.T) {
	for args, want := range map[string]bool{
		"": false, "--log-format json": true, "--nope --log-format=json": true, "-log-format json x": true,
		"get --format json --host h": false, "--log-format text json": false, "--log-format": false, "log-format json": false,
	} {
		if got := WantsJSON(strings.Fields(args)); got != want {
			t.Errorf("%q: got %v, want %v", args, got, want)
		}
	}
}
