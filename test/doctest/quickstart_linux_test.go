package doctest

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// clone copies what the quickstart needs into a folder of its own, as a fresh
// clone has it: its bin/ is not that of somebody who works here.
func clone(t *testing.T) string {
	t.Helper()
	to := t.TempDir()
	for _, name := range []string{"cmd", "internal", "completions", "scripts", "test/emulator", "test/testkeyring", "go.mod", "go.sum", "CHANGELOG.md"} {
		err := filepath.WalkDir(filepath.Join(root, name), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			at, _ := filepath.Rel(root, path)
			if d.IsDir() {
				return os.MkdirAll(filepath.Join(to, at), 0o755)
			}
			info, err := d.Info()
			if err != nil || !info.Mode().IsRegular() || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(to, at), text, info.Mode().Perm())
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// quickstart runs the script in a group of its own, which ends with it.
func quickstart(t *testing.T, in, temporary string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(in, "scripts/quickstart"), args...)
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "TMPDIR=") }), "TMPDIR="+temporary)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// README's first command does what is said of it, and leaves nothing but bin/.
func TestQuickstart(t *testing.T) {
	in := clone(t)
	temporary, err := os.MkdirTemp("", "q") // the path of a socket in it is short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(temporary)
	if os.Geteuid() == 0 { // whose Postgres is another user
		if err := os.Chmod(temporary, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	code, out, errs := quickstart(t, in, temporary)
	if code != 0 || !regexp.MustCompile(`(?m)^ [0-9a-f-]{36} \| databricks_postgres$`).MatchString(out) {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	last := -1
	for _, said := range []string{"building", "compute is asleep", "keychain", "login", "psql"} {
		at := strings.Index(errs, said)
		if at <= last {
			t.Errorf("%q is not said, or out of turn:\n%s", said, errs)
		}
		last = at
	}
	if strings.Contains(out+errs, "dose") {
		t.Error("the secret is in what it says")
	}
	for _, program := range []string{wrapper, helper} {
		if _, err := os.Stat(filepath.Join(in, "bin", program)); err != nil {
			t.Error(err)
		}
	}
	if code, out, errs := quickstart(t, in, temporary, "--", "sh", "-c", `test -z "$DATABRICKS_CLIENT_SECRET" && psql -Atc 'select 6*7' && exit 3`); code != 3 || out != "42\n" {
		t.Errorf("with a command: exit code %d\n%s%s", code, out, errs)
	}
	left, err := os.ReadDir(temporary)
	if err != nil || len(left) != 0 {
		t.Errorf("it leaves %v, %v", left, err)
	}
	if code, _, errs := quickstart(t, in, temporary, "psql"); code != 1 || !strings.Contains(errs, "usage: scripts/quickstart [-- CMD ARG...]") {
		t.Errorf("with a word too many: exit code %d\n%s", code, errs)
	}
}
