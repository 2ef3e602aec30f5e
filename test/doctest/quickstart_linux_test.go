package doctest

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestQuickstart runs scripts/quickstart in a copy of the repository, whose bin/ is
// not the developer's. It leaves nothing but bin/.
func TestQuickstart(t *testing.T) {
	in := t.TempDir()
	copied := exec.Command("sh", "-c", `tar cf - -C "$1" --exclude=.git --exclude=node_modules --exclude=./bin . | tar xf - -C "$2"`, "sh", root, in)
	if out, err := copied.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	temporary, err := os.MkdirTemp("", "q") // the path of a socket in it is short
	must(t, err)
	defer os.RemoveAll(temporary)
	if err := os.Chmod(temporary, 0o711); err != nil { // for root, whose Postgres is another user
		t.Fatal(err)
	}
	run := func(args ...string) (code int, stdout, stderr string) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, filepath.Join(in, "scripts/quickstart"), args...)
		cmd.Env = append(os.Environ(), "TMPDIR="+temporary)
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
	if code, out, errs := run(); code != 0 || !regexp.MustCompile(`(?m)^ [0-9a-f-]{36} \| databricks_postgres$`).MatchString(out) {
		t.Fatalf("got exit code %d, want 0\n%s%s", code, out, errs)
	}
	if code, out, errs := run("--", "sh", "-c", `test -z "$DATABRICKS_CLIENT_SECRET" && psql -Atc 'select 6*7' && exit 3`); code != 3 ||
		out != "42\n" {
		t.Errorf("with a command: got exit code %d, want 3\n%s%s", code, out, errs)
	}
	if code, _, errs := run("psql"); code != 1 || !strings.Contains(errs, "usage: scripts/quickstart [-- CMD ARG...]") {
		t.Errorf("with an argument: got exit code %d, want 1\n%s", code, errs)
	}
	for _, program := range []string{wrapper, helper} {
		if _, err := os.Stat(filepath.Join(in, "bin", program)); err != nil {
			t.Error(err)
		}
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) != 0 {
		t.Errorf("it leaves %v, %v", left, err)
	}
}
