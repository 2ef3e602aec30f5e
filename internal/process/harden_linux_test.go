package process

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// copied puts the test binary where everybody may run it.
func copied(t *testing.T) string {
	t.Helper()
	d, err := os.MkdirTemp("", "child-harden-") // t.TempDir is closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(d) })
	if err := os.Chmod(d, 0o755); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(self(t))
	if err != nil {
		t.Fatal(err)
	}
	put(t, d, "bin", string(data), 0o755)
	return d
}

// TestHarden: a command of the same user, who is not root, reads its parent
// unless that is hardened, and is not hardened itself.
func TestHarden(t *testing.T) {
	t.Parallel()
	bin := filepath.Join(copied(t), "bin")
	for harden, word := range map[string]string{"1": "closed", "": "open"} {
		cmd := exec.CommandContext(t.Context(), bin, bin)
		cmd.Dir = "/"
		cmd.Env = []string{quick, "CHILD_TEST_STAGE=supervise", "NEXT=dumpable", "HARDEN=" + harden}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.CombinedOutput()
		want := "uid 65534 dumpable 1 core "
		if err != nil || !strings.HasPrefix(string(out), want) {
			t.Errorf("%v: %q", err, out)
		}
		for _, file := range []string{"environ", "maps", "mem", "fd/0"} {
			if !strings.Contains(string(out), file+" "+word+"\n") {
				t.Errorf("HARDEN=%s: %s is not %s: %q", harden, file, word, out)
			}
		}
	}
}

// TestHardenAsNobody: with our /proc entry closed to us by its owner, a
// supervisor that is not root still does all that it does.
func TestHardenAsNobody(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/bin/sh", "-c",
		`ulimit -S -c 0; echo input | "$0" /bin/sh -c 'ulimit -S -c; ulimit -H -c; cat /dev/stdin'`, filepath.Join(copied(t), "bin"))
	cmd.Dir = "/"
	cmd.Env = []string{quick, "CHILD_TEST_STAGE=supervise", "HARDEN=1", "PATH=/bin:/usr/bin"}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "0\n") || !strings.HasSuffix(string(out), "\ninput\n") || strings.Count(string(out), "0\n") != 1 {
		t.Errorf("%v: %q", err, out)
	}
}

// TestDieOf: the system's own word for each death, and no core.
func TestDieOf(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{
		syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGKILL, syscall.SIGUSR1, syscall.SIGPIPE,
		syscall.SIGALRM, syscall.SIGABRT, syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGXCPU, 34, 40,
	} {
		cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", fmt.Sprintf(`ulimit -c unlimited; exec "$0" %d`, sig), self(t))
		cmd.Env, cmd.Dir = []string{quick, "CHILD_TEST_STAGE=die"}, t.TempDir()
		err := cmd.Run()
		ws := cmd.ProcessState.Sys().(syscall.WaitStatus)
		if !ws.Signaled() || ws.Signal() != sig || ws.CoreDump() {
			t.Errorf("signal %d: %v", sig, err)
		}
	}
	// The twin: what does not kill comes back.
	cmd := exec.CommandContext(t.Context(), self(t), "17")
	cmd.Env = []string{quick, "CHILD_TEST_STAGE=die"}
	if err := cmd.Run(); err == nil || err.Error() != "exit status 145" {
		t.Errorf("SIGCHLD: %v", err)
	}
}
