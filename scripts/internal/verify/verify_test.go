package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

func start(t *testing.T) *emulator.Lakebase {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	l, err := emulator.Start(ctx, emulator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// live runs the script as a user does.
func live(t *testing.T, environ []string, args ...string) (out string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join("..", "..", "verify-live"), args...)
	for _, name := range []string{"PATH", "HOME", "GOCACHE", "GOMODCACHE", "GOFLAGS", "GOENV", "TMPDIR"} {
		if v := os.Getenv(name); v != "" {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	cmd.Env = append(cmd.Env, environ...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	if stderr.Len() > 0 {
		t.Errorf("stderr: %s", stderr.String())
	}
	return stdout.String(), cmd.ProcessState.ExitCode()
}

var aLine = regexp.MustCompile(`^(holds|does not hold|could not be seen) +[^:]+: .+$`)

// verdicts reads the output: one line for each fact, and the count of them.
func verdicts(t *testing.T, out string) map[string]string {
	t.Helper()
	got := map[string]string{}
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if len(lines) != len(facts())+1 {
		t.Errorf("%d lines for %d facts:\n%s", len(lines), len(facts()), out)
	}
	for i, f := range facts() {
		if i >= len(lines) || !aLine.MatchString(lines[i]) || !strings.Contains(lines[i], f.text+": ") {
			t.Fatalf("no line for %q:\n%s", f.text, out)
		}
		got[f.text] = strings.TrimSpace(lines[i][:17])
	}
	return got
}

func TestVerifyLive(t *testing.T) {
	l := start(t)
	out, code := live(t, append(l.Env(), "DATABRICKS_TOKEN="+l.PAT(), "DATABRICKS_AUTH_TYPE=oauth-m2m"))
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	got := verdicts(t, out)
	for text, want := range map[string]verdict{
		"a workspace's token endpoint is /oidc/v1/token, with no discovery":          holds,
		"a wrong secret is answered with 401 invalid_client":                         holds,
		"SCIM Me gives a service principal's client id as its userName":              holds,
		"ttl is honoured: 600s gives 10 minutes":                                     holds,
		"a request without an endpoint is 400 INVALID_PARAMETER_VALUE":               holds,
		"the database's certificate stands before the system's roots (verify-full)":  fails, // the local one is of its own authority
		"the database asks for the password in clear, inside TLS":                    holds,
		"without TLS the database refuses the start-up message":                      holds,
		"without a host name in TLS (SNI) the database refuses the start-up message": fails,
		"the credential logs in, as the client id":                                   holds,
		"channel binding cannot be had":                                              holds,
		"a workspace token as the password is refused":                               holds,
		"a personal access token as the password is refused":                         holds,
		"a password that is no JWT is told as that":                                  holds,
		"a token whose signature is wrong is refused":                                holds,
		"a token that has ended is told as expired":                                  unseen,
		"the rate limit of the credential call":                                      unseen,
	} {
		if got[text] != string(want) {
			t.Errorf("%s: %q, want %q\n%s", text, got[text], want, out)
		}
	}
	harmless(t, l, out)
	t.Log("\n" + out)
}

// harmless looks for what must not be shown to others.
func harmless(t *testing.T, l *emulator.Lakebase, out string) {
	t.Helper()
	for what, text := range map[string]string{"the secret": l.ClientSecret, "the token": l.PAT(), "the client id": l.ClientID, "a token": "eyJ"} {
		if strings.Contains(out, text) && !(what == "a token" && !regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8}`).MatchString(out)) {
			t.Errorf("%s is in the output:\n%s", what, out)
		}
	}
}

// Without a sign-in it runs to its end all the same.
func TestVerifyLiveWithoutASignIn(t *testing.T) {
	l := start(t)
	l.Set(func(s *emulator.Settings) { s.SecretRevoked = true })
	out, code := live(t, l.Env())
	got := verdicts(t, out)
	if code != 1 || got["a workspace's token endpoint is /oidc/v1/token, with no discovery"] != string(fails) || got["the credential logs in, as the client id"] != string(unseen) ||
		got["the database asks for the password in clear, inside TLS"] != string(holds) {
		t.Errorf("exit code %d\n%s", code, out)
	}
	harmless(t, l, out)
}

func TestShorten(t *testing.T) {
	r := &road{}
	r.name("dbc-a1b2c3.cloud.databricks.com", "ep-quiet-sea-12345678", "localhost", "abc")
	r.hide(credential.NewSecret("hunter2hunter2"))
	got := r.shorten("at dbc-a1b2c3.cloud.databricks.com,\n ep-quiet-sea-12345678 and br-cold-frost-87654321: hunter2hunter2 10.1.2.3 eyJhbGciOi.abc.def dose0123456789abcdef 5f2b1c3d-0000-4000-8000-0123456789ab localhost abc\x1b[0m")
	want := "at dbc…, ep-… and br-…: " + credential.Redacted + " 10.… eyJ… dos… 5f2… localhost abc?[0m"
	if got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if got := r.shorten(strings.Repeat("é ", 500)); len(got) > maxSeen+len("…") {
		t.Errorf("%d bytes", len(got))
	}
}
