package doctest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
	"github.com/lakebase-exec/lakebase-exec/test/emulator/control"
)

// tool runs a program that reads an example on its standard input.
func tool(ctx context.Context, text, program string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdin = strings.NewReader(text)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8"}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", program, err, strings.TrimSpace(errs.String()))
	}
	return out.Bytes(), nil
}

// prelude replaces our programs and go by functions that record a call in one write,
// as some run in the background, and removes PATH, so that an example starts nothing.
const prelude = `
record() { printf '%s\0' "$@" $'\036' >&3; }
lakebase-exec() { record lakebase-exec "$@"; }
lakebase-credential-helper() { record lakebase-credential-helper "$@"; }
go() { record go "$@"; }
ctl() { go run ./test/emulator/local-lakebase ctl "$@"; }
command_not_found_handle() { :; }
PATH=/nonexistent
`

// calls runs a shell example and returns the calls in it, as words.
func calls(ctx context.Context, example string) (all [][]string, err error) {
	if _, err := tool(ctx, example, "bash", "-n"); err != nil {
		return nil, err
	}
	example = strings.ReplaceAll(example, "/usr/local/bin/"+helper, helper)
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out, err := tool(ctx, "exec 3>&1 >&2\nHOME="+dir+"\ncd "+dir+"\n"+prelude+example+"\nwait\nexit 0\n", "bash", "-s")
	for _, call := range strings.Split(string(out), "\x00\x1e\x00") {
		if call != "" {
			all = append(all, strings.Split(call, "\x00"))
		}
	}
	return all, err
}

var (
	ourLine      = regexp.MustCompile(`(?m)^(?:/usr/local/bin/)?(?:lakebase-exec|lakebase-credential-helper) .*$`)
	processOfAWS = regexp.MustCompile(`(?m)^credential_process *= *(.*)$`)
	consoleLine  = regexp.MustCompile(`(?m)^\$ ((?:.*\\\n)*.*)$`)
	runLine      = regexp.MustCompile(`(?m)^ *(?:- )?run: (.*)$`)
)

// callsIn parses a block and returns the calls in it.
func callsIn(ctx context.Context, b fence) (all [][]string, err error) {
	switch b.language {
	case "sh", "bash":
		return calls(ctx, b.text)
	case "console":
		return calls(ctx, strings.Join(submatches(consoleLine, b.text), "\n"))
	case "text":
		return calls(ctx, strings.Join(ourLine.FindAllString(b.text, -1), "\n"))
	case "json":
		return nil, json.Unmarshal([]byte(b.text), new(any))
	case "ini":
		return calls(ctx, strings.Join(submatches(processOfAWS, b.text), "\n"))
	case "yaml":
		return calls(ctx, strings.Join(submatches(runLine, b.text), "\n"))
	case "hcl", "sql": // see trySQL
		return nil, nil
	}
	return nil, fmt.Errorf("no check for blocks of %q", b.language)
}

// environment is a home with the profiles of the examples, whose target is a local
// Lakebase, and whose secret login stored. There is no keychain.
type environment struct {
	dir      string
	lakebase *emulator.Lakebase
	environ  []string
}

func newEnvironment(t *testing.T) *environment {
	t.Helper()
	l, err := emulator.Start(t.Context(), emulator.Options{Settings: emulator.Settings{NativeLogin: true}})
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	password, err := l.NativeRole(t.Context(), "bi_reader")
	must(t, err)
	e := &environment{dir: t.TempDir(), lakebase: l}
	ca, err := os.ReadFile(l.CAFile())
	must(t, err)
	profile := "host = " + l.WorkspaceURL() + "\nclient_id = " + l.ClientID + "\nendpoint = " + l.Endpoint + "\npgport = " + l.PGPort() +
		"\ncacert = " + l.CAFile() + "\nsslrootcert = " + l.CAFile() + "\n"
	native := "auth = native\nuser = bi_reader\npghost = localhost\npgport = " + l.PGPort() + "\nsslrootcert = " + l.CAFile() + "\n"
	for name, text := range map[string]string{
		"native": password, "secret": l.ClientSecret + "\n", "FILE": "of-the-clients\n", "ca.pem": string(ca), "github-env": "",
		"profiles.ini": "[prod]\n" + profile + "[me]\n" + profile + "[bi]\n" + native,
	} {
		must(t, os.WriteFile(filepath.Join(e.dir, name), []byte(text), 0o600))
	}
	runtime := filepath.Join(e.dir, "run")
	must(t, os.Mkdir(runtime, 0o700))
	// No server listens at the proxy, so that no example reaches a real host.
	e.environ = []string{"HOME=" + e.dir, "PATH=" + bin, "XDG_RUNTIME_DIR=" + runtime, "LAKEBASE_CONFIG_FILE=" + filepath.Join(e.dir, "profiles.ini"),
		"DBUS_SESSION_BUS_ADDRESS=unix:path=" + filepath.Join(e.dir, "no-bus"), "HTTPS_PROXY=http://127.0.0.1:1", "LAKEBASE_TIMEOUT=5s",
		"GITHUB_ACTIONS=true", "GITHUB_ENV=" + filepath.Join(e.dir, "github-env")}
	must(t, e.want(t.Context(), nil, []string{helper, "login", "-p", "prod", "--secret-file", "secret", "--store", "file"}, 0))
	must(t, e.want(t.Context(), nil, []string{helper, "login", "-p", "bi", "--secret-file", "native", "--store", "file"}, 0))
	return e
}

// run returns a program's exit code and all its output.
func (e *environment) run(ctx context.Context, extra []string, program string, args ...string) (int, string) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, program), args...)
	cmd.Dir, cmd.Env = e.dir, append(slices.Clone(e.environ), extra...)
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return -1, err.Error()
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// want runs a program, and returns an error unless it ends with one of the codes.
func (e *environment) want(ctx context.Context, extra, words []string, codes ...int) error {
	code, out := e.run(ctx, extra, words[0], words[1:]...)
	if !slices.Contains(codes, code) {
		return fmt.Errorf("got exit code %d, want %v\n%s", code, codes, out)
	}
	if words[1] == "get" && out == "" {
		return errors.New("no output")
	}
	return nil
}

// concrete replaces the placeholders of an example: the command, a workspace, ports, files.
func (e *environment) concrete(words []string) []string {
	words = slices.Clone(words)
	words[0] = filepath.Base(words[0])
	if cut := slices.Index(words, "--"); words[0] == wrapper && cut >= 0 {
		words = append(words[:cut+1], "/bin/true")
	}
	values := map[string]string{"--host": e.lakebase.WorkspaceURL(), "--client-id": e.lakebase.ClientID, "--pghost": "localhost", "--pgport": e.lakebase.PGPort(),
		"--listen": "127.0.0.1:0", "--health-listen": "127.0.0.1:0", "--password-file": "FILE"}
	for i := range words[:len(words)-1] {
		if value, ok := values[words[i]]; ok {
			words[i+1] = value
		}
	}
	if words[1] == "login" && !slices.Contains(words, "--user-login") {
		file := map[bool]string{true: "native", false: "secret"}[slices.Contains(words, "--native")]
		words = append(words, "--secret-file", file, "--store", "file") // there is no terminal
	}
	return words
}

// try runs a call of one of the programs, and returns an error unless it works.
func (e *environment) try(ctx context.Context, words []string) error {
	words = e.concrete(words)
	var extra []string
	if !slices.Contains(words, "-p") {
		extra = e.lakebase.Env() // the variables of Databricks' guide
	}
	want := []int{0}
	switch words[1] {
	case "proxy": // it would not end
		words = append(words, "--help")
	case "setup": // as the owner, for a new service principal
		words[slices.Index(words, "--for")+1], words[slices.Index(words, "--auth")+1] = e.lakebase.AddPrincipal(), "pat"
		words, extra = append(words, "--pgport", e.lakebase.PGPort()), append(extra, "DATABRICKS_TOKEN="+e.lakebase.PAT())
		if slices.Contains(words, "--secret") {
			words = append(words, "--store", "file")
		}
	case "login":
		extra = append(extra, "LAKEBASE_CONFIG_FILE="+filepath.Join(e.dir, "other.ini"), "LAKEBASE_CACERT="+e.lakebase.CAFile(),
			"PGPORT="+e.lakebase.PGPort(), "PGSSLROOTCERT="+e.lakebase.CAFile())
		if slices.Contains(words, "--user-login") {
			want = []int{121, 122} // no browser, and no certificate for this host
		}
	}
	return e.want(ctx, extra, words, want...)
}

// tryGo runs a call of go: install, or the local Lakebase and its ctl.
func (e *environment) tryGo(ctx context.Context, words []string) error {
	if len(words) > 2 && words[1] == "install" {
		pattern, _, hasVersion := strings.Cut(words[len(words)-1], "@")
		if _, inside, _ := strings.Cut(pattern, "/lakebase-exec/lakebase-exec/"); !hasVersion || inside == "" ||
			!exists(strings.TrimSuffix(inside, "/...")) {
			return fmt.Errorf("%s does not exist", pattern)
		}
		return nil
	}
	if len(words) < 3 || words[1] != "run" || words[2] != "./test/emulator/local-lakebase" {
		return errors.New("no check for this call")
	}
	if words = words[3:]; len(words) > 0 && words[0] == "ctl" {
		_, err := control.Do(ctx, e.lakebase, words[1:])
		return err
	}
	_, err := tool(ctx, "", filepath.Join(bin, "local-lakebase"), append(slices.Clone(words), "--help")...)
	return err
}

// TestExamples parses every block, and runs the calls in it against a local Lakebase.
func TestExamples(t *testing.T) {
	e := newEnvironment(t)
	found := 0
	for _, d := range pages(t) {
		for _, b := range d.blocks {
			if strings.HasPrefix(b.text, "rm -f lakebase.env\n") {
				continue // run as a whole by first_block of test/e2e
			}
			all, err := callsIn(t.Context(), b)
			if err != nil {
				t.Errorf("%s:%d: %v", d.name, b.line, err)
			}
			if b.language == "sql" {
				for _, statement := range strings.Split(strings.TrimSuffix(strings.TrimSpace(b.text), ";"), ";") {
					if err := e.trySQL(t.Context(), statement); err != nil {
						t.Errorf("%s:%d: %s: %v", d.name, b.line, statement, err)
					}
				}
			}
			for _, words := range all {
				found++
				try := e.try
				if words[0] == "go" {
					try = e.tryGo
				}
				if err := try(t.Context(), words); err != nil {
					t.Errorf("%s:%d: %q: %v", d.name, b.line, words, err)
				}
			}
		}
	}
	if found < 30 {
		t.Errorf("got %d calls, want more", found)
	}
}

// trySQL has a real Postgres read a statement. It lacks what Databricks adds, which is
// another error than one of syntax.
func (e *environment) trySQL(ctx context.Context, statement string) error {
	_, err := e.lakebase.SQL(ctx, strings.ReplaceAll(statement, "CLIENT-ID", e.lakebase.ClientID))
	if err != nil && (strings.Contains(err.Error(), "42883") || strings.Contains(statement, "EXTENSION IF NOT EXISTS databricks_auth")) {
		return nil
	}
	return err
}
