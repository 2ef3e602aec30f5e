package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credformat"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
	"github.com/lakebase-exec/lakebase-exec/internal/retry"
	"github.com/lakebase-exec/lakebase-exec/test/gendocs"
)

func TestGeneratedFiles_AreCurrent(t *testing.T) {
	app := (&invocation{Environment: cli.NewEnvironment(program, nil, nil, nil, nil, nil)}).app()
	cli.Configure(app, program, nil, io.Discard)
	gendocs.Check(t, app, cli.ExitMeanings(false))
}

// do runs the program in this process, with nothing to find outside of it.
func do(environ []string, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(context.Background(), append([]string{program}, args...), append([]string{"HOME=" + os.DevNull}, environ...), strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

// refused runs a command line that is a usage error: lines are all that is
// said of it.
func refused(t *testing.T, args string, lines ...string) {
	t.Helper()
	code, out, err := do(nil, strings.Fields(args)...)
	if want := strings.Join(lines, "\n") + "\n"; code != 120 || out != "" || strings.ReplaceAll("\n"+err, "\n"+program+": ", "\n") != "\n"+want {
		t.Errorf("%s: %d %q\n%s", args, code, out, err)
	}
}

func TestLogout_AllWithTarget(t *testing.T) {
	for option, args := range map[string]string{
		"profile": "-p prod", "host": "--host h", "client-id": "--client-id i", "user": "-U u", "endpoint": "--endpoint e", "instance": "--instance i",
		"auth": "--auth pat", "database": "-d d", "pghost": "--pghost h",
	} {
		refused(t, "logout --all "+args, "error: --all cannot be used with --"+option, "hint: leave --all out to delete what is stored for that target alone")
	}
}

// Each usage error has a hint.
func TestUsageErrors(t *testing.T) {
	shells := "error: completion takes one of bash, zsh, fish, profiles"
	refused(t, "completion", shells, `hint: run "lakebase-credential-helper completion --help"`)
	refused(t, "completion tcsh", shells, `hint: run "lakebase-credential-helper completion --help"`)
	refused(t, "get hunter2", `error: get takes no arguments, only options; run "lakebase-credential-helper get --help"`)
	refused(t, "login --store disk", `error: --store: "disk" is not one of keychain, file`, "hint: give one of them")
	refused(t, "login --secret-stdin --import", "error: --secret-stdin cannot be used with --import", "hint: leave one of them out")
	refused(t, "login --remove-plaintext", "error: --remove-plaintext requires --import", "hint: add --import to take the secret from ~/.databrickscfg")
	refused(t, "login --no-browser", "error: --no-browser requires --user-login", "hint: add --user-login to sign in as a user")
	refused(t, "list --cache off --cache file", "error: --cache is given twice", "hint: leave one of them out")
	refused(t, "rotate --delete-only --lifetime 1d", "error: --lifetime cannot be used with --delete-only", "hint: leave it out: --delete-only creates no secret")
	refused(t, "proxy --listen 127.0.0.1:0", "error: proxy needs one of --password-file and --trust-local",
		"hint: give --password-file with the password of the clients, or --trust-local to accept all that can reach the address")
}

func TestHelp(t *testing.T) {
	commands := []string{"login", "logout", "rotate", "list", "get", "proxy", "endpoints", "doctor", "completion"}
	_, top, _ := do(nil, "help")
	for _, name := range commands {
		_, want, _ := do(nil, name, "--help")
		code, got, err := do(nil, "help", name)
		if code != 0 || err != "" || got != want || !strings.HasPrefix(got, program+" "+name+" - ") || !strings.Contains(top, "\n  "+name+" ") {
			t.Errorf("help %s: %d %q\n%s", name, code, err, got)
		}
	}
	for _, args := range []string{"--help", "-h"} {
		if code, got, err := do(nil, args); code != 0 || err != "" || got != top {
			t.Errorf("%s: %d %q\n%s", args, code, err, got)
		}
	}
	refused(t, "help gett", `error: unknown command "gett"`, "hint: did you mean get?")
	refused(t, "lgoin", `error: unknown command "lgoin"`, "hint: did you mean login?")
	refused(t, "list --help hunter2", "error: --help takes no arguments", "hint: leave them out")
}

// docs/tools.md names every format, and only formats, options and tests that
// there are.
func TestToolsPage(t *testing.T) {
	read := func(name string) string {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	doc, tests := read("../../docs/tools.md"), read("../../test/e2e/formats_linux_test.go")
	var named []string
	for _, m := range regexp.MustCompile(`--format[ ",]+([a-z-]+)`).FindAllStringSubmatch(doc, -1) {
		named = append(named, m[1])
	}
	for _, name := range credformat.Names() {
		if !slices.Contains(named, name) {
			t.Errorf("docs/tools.md does not name --format %s", name)
		}
	}
	for _, name := range named {
		if _, ok := credformat.Lookup(name); !ok {
			t.Errorf("docs/tools.md: there is no --format %s", name)
		}
	}
	for _, m := range regexp.MustCompile("`Test…/([^`]+)`").FindAllStringSubmatch(doc, -1) {
		if !strings.Contains(tests, `t.Run("`+m[1]+`",`) {
			t.Errorf("docs/tools.md: there is no test %q", m[1])
		}
	}
}

// An error that get's own limit ended names that limit, and keeps its exit code.
func TestGet_LimitNamed(t *testing.T) {
	over, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	silent := &auth.NoSecretError{Host: "h", ClientID: "c", Err: &keychain.Error{Err: keychain.ErrTimeout, Detail: "timeout 10s"}}
	busy := &retry.Error{Attempts: 3, Last: errors.New("429")}
	for _, c := range []struct {
		name   string
		ctx    context.Context
		err    error
		capped bool
		named  bool
	}{
		{"keychain", over, silent, false, true},
		{"keychain, by its own timeout", t.Context(), silent, true, false},
		{"workspace, --timeout was longer", t.Context(), busy, true, true},
		{"workspace, by --timeout", t.Context(), busy, false, false},
		{"lock", over, fmt.Errorf("waiting: %w", context.DeadlineExceeded), false, true},
		{"wake", over, &pglogin.Error{Kind: pglogin.WakeTimeout}, true, false},
	} {
		err := limitedByGet(c.ctx, c.err, c.capped, getLimit)
		message, hint := cli.Describe(err, config.Config{})
		if named := strings.HasPrefix(message, "get's time limit of 10s is over: ") && strings.Contains(hint, "--wait TIME"); named != c.named {
			t.Errorf("%s: got %q, %q", c.name, message, hint)
		}
		if cli.ExitCode(err) != cli.ExitCode(c.err) {
			t.Errorf("%s: got exit code %d, want %d", c.name, cli.ExitCode(err), cli.ExitCode(c.err))
		}
	}
	if limitedByGet(over, nil, true, getLimit) != nil {
		t.Error("got an error without one")
	}
}
