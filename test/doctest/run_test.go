package doctest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// place is a home with the profiles that the examples name, whose target is a
// local Lakebase, and whose secret was stored by login. There is no keychain.
type place struct {
	dir     string
	base    *emulator.Lakebase
	environ []string
}

func newPlace(t *testing.T) *place {
	t.Helper()
	l, err := emulator.Start(t.Context(), emulator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	p := &place{dir: t.TempDir(), base: l}
	ca, err := os.ReadFile(l.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	profile := "host = " + l.WorkspaceURL() + "\nclient_id = " + l.ClientID + "\nendpoint = " + l.Endpoint + "\npgport = " + l.PGPort() +
		"\ncacert = " + l.CAFile() + "\nsslrootcert = " + l.CAFile() + "\n"
	for name, text := range map[string]string{
		"secret": l.ClientSecret + "\n", "FILE": "of-the-clients\n", "ca.pem": string(ca), "github-env": "",
		"profiles.ini": "[prod]\n" + profile + "[me]\n" + profile,
	} {
		if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	runtime := filepath.Join(p.dir, "run")
	if err := os.Mkdir(runtime, 0o700); err != nil {
		t.Fatal(err)
	}
	// Nothing listens at the proxy, so that no example reaches a real host.
	p.environ = []string{"HOME=" + p.dir, "PATH=" + bin, "XDG_RUNTIME_DIR=" + runtime, "LAKEBASE_CONFIG_FILE=" + filepath.Join(p.dir, "profiles.ini"),
		"DBUS_SESSION_BUS_ADDRESS=unix:path=" + filepath.Join(p.dir, "no-bus"), "HTTPS_PROXY=http://127.0.0.1:1", "LAKEBASE_TIMEOUT=5s",
		"GITHUB_ACTIONS=true", "GITHUB_ENV=" + filepath.Join(p.dir, "github-env")}
	if code, out := p.run(t.Context(), nil, helper, "login", "-p", "prod", "--secret-file", "secret", "--store", "file"); code != 0 {
		t.Fatalf("login: %d\n%s", code, out)
	}
	return p
}

// run starts a program of ours and returns its exit code and all that it said.
func (p *place) run(ctx context.Context, extra []string, program string, args ...string) (int, string) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, program), args...)
	cmd.Dir, cmd.Env = p.dir, append(slices.Clone(p.environ), extra...)
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return -1, err.Error()
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// fit puts what there is here in the place of what an example stands for: the
// wrapped command, the address of a workspace, ports and files.
func (p *place) fit(words []string) []string {
	words = slices.Clone(words)
	if cut := slices.Index(words, "--"); words[0] == wrapper && cut >= 0 {
		words = append(words[:cut+1], "/bin/true")
	}
	for i := range words[1:] {
		switch words[i] {
		case "--host":
			words[i+1] = p.base.WorkspaceURL()
		case "--client-id":
			words[i+1] = p.base.ClientID
		case "--pgport":
			words[i+1] = p.base.PGPort()
		case "--listen", "--health-listen":
			words[i+1] = "127.0.0.1:0"
		case "--password-file":
			words[i+1] = "FILE"
		}
	}
	if words[1] == "login" && !slices.Contains(words, "--user-login") {
		words = append(words, "--secret-file", "secret", "--store", "file") // nobody is there to ask
	}
	return words
}

// try runs a call and says what is wrong with its end; "" is nothing.
func (p *place) try(ctx context.Context, words []string) string {
	words = p.fit(words)
	var extra []string
	if !slices.Contains(words, "-p") {
		extra = p.base.Env() // the guide's variables
	}
	want := []int{0}
	switch words[1] {
	case "proxy":
		return p.serve(ctx, extra, words)
	case "login":
		extra = append(extra, "LAKEBASE_CONFIG_FILE="+filepath.Join(p.dir, "other.ini"))
		if slices.Contains(words, "--user-login") {
			want = []int{121, 122} // no browser, and no certificates for this host
		}
	}
	code, out := p.run(ctx, extra, words[0], words[1:]...)
	if !slices.Contains(want, code) {
		return fmt.Sprintf("exit code %d, not %v\n%s", code, want, out)
	}
	if words[1] == "get" && out == "" {
		return "it prints nothing"
	}
	return ""
}

// serve runs what stays until it tells its address, and ends it.
func (p *place) serve(ctx context.Context, extra, words []string) string {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, words[0]), words[1:]...)
	cmd.Dir, cmd.Env = p.dir, append(slices.Clone(p.environ), extra...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return err.Error()
	}
	address, _ := bufio.NewReader(out).ReadString('\n')
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil || !strings.Contains(address, "127.0.0.1:") {
		return fmt.Sprintf("address %q, %v\n%s", address, err, &errs)
	}
	return ""
}

// Every block's calls work, against a local Lakebase in place of a real one.
func TestExamplesRun(t *testing.T) {
	p := newPlace(t)
	ran := 0
	eachCall(t, func(where string, words []string) {
		if words[0] == "go" { // TestSteeringExamples
			return
		}
		ran++
		if wrong := p.try(t.Context(), words); wrong != "" {
			t.Errorf("%s: %q: %s", where, words, wrong)
		}
	})
	if ran < 25 {
		t.Errorf("only %d calls ran", ran)
	}
	for call, want := range map[string]string{
		"lakebase-exec -p prdo -- psql":                                         "exit code 120",
		"lakebase-exec -p prod --wait sometimes -- psql":                        "exit code 120",
		"lakebase-exec -p prod --endpoint projects/shop/branches/dev -- psql":   "exit code 120",
		"lakebase-exec -p prod --user nobody -- psql":                           "exit code 123",
		"lakebase-credential-helper get -p prod --format passwd":                "exit code 120",
		"lakebase-credential-helper proxy -p prod --listen 127.0.0.1:5432":      "exit status 120",
		"lakebase-credential-helper login -p me --user-login --host h --user x": "",
	} {
		if got := p.try(t.Context(), strings.Fields(call)); !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("%s: %q, not %q", call, got, want)
		}
	}
}

// The profile of docs/options.md is one that can be read.
func TestProfileExample(t *testing.T) {
	dir := t.TempDir()
	_, blocks := page(t, "docs/options.md").split()
	i := slices.IndexFunc(blocks, func(b fence) bool { return b.language == "ini" })
	if i < 0 {
		t.Fatal("docs/options.md shows no profile")
	}
	p := &place{dir: dir, environ: []string{"HOME=" + dir, "LAKEBASE_CONFIG_FILE=" + filepath.Join(dir, "p.ini")}}
	for text, want := range map[string]int{blocks[i].text: 0, strings.Replace(blocks[i].text, "endpoint", "endpiont", 1): 120} {
		if err := os.WriteFile(filepath.Join(dir, "p.ini"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, out := p.run(t.Context(), nil, wrapper, "-p", "prod", "--print-env"); code != want {
			t.Errorf("exit code %d, not %d\n%s\n%s", code, want, text, out)
		}
	}
}
