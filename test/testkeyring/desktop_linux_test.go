package testkeyring

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func start(t *testing.T, o Options) *Desktop {
	t.Helper()
	d, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// secretTool runs libsecret's client.
func secretTool(t *testing.T, d *Desktop, stdin string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "secret-tool", args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, d.Env()...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		t.Fatal("no secret-tool: install the Debian package libsecret-tools")
	}
	return string(out), err
}

func TestLock(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	d := start(t, Options{Dir: home, Mode: Unlocked})
	if out, err := secretTool(t, d, "s3cret", "store", "--label=x", "k", "v"); err != nil {
		t.Fatal(err, out)
	}
	lookup := func(d *Desktop, want string) {
		t.Helper()
		out, err := secretTool(t, d, "", "lookup", "k", "v")
		if out != want || (err == nil) != (want != "") {
			t.Fatalf("lookup = %q, %v; want %q", out, err, want)
		}
	}
	lookup(d, "s3cret")
	if n := d.Calls()["BeginPrompting"]; n != 0 {
		t.Errorf("%d dialogs while unlocked", n)
	}
	if err := d.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	lookup(d, "")
	if n := d.Calls()["BeginPrompting"]; n == 0 {
		t.Error("no dialog was asked for while locked")
	}
	if err := d.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	lookup(d, "s3cret")
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(d.run); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("sockets are left: %v", err)
	}

	later := start(t, Options{Dir: home, Mode: Locked})
	lookup(later, "")
	if err := later.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	lookup(later, "s3cret")
}

func TestStart_MissingProgram(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := Start(t.Context(), Options{Dir: t.TempDir(), Mode: Unlocked})
	if !errors.Is(err, exec.ErrNotFound) || !strings.Contains(err.Error(), "Debian package dbus") {
		t.Errorf("Start = %v", err)
	}
}

// TestStart_CallerIsKilled starts a desktop in a child and kills the child.
func TestStart_CallerIsKilled(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "DESKTOP_CHILD="+t.TempDir(), "TMPDIR="+t.TempDir())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	var bus, keyring int
	if _, err := fmt.Fscan(out, &bus, &keyring); err != nil {
		t.Fatal(err)
	}
	for _, pid := range []int{bus, keyring} {
		if err := syscall.Kill(pid, 0); err != nil {
			t.Fatalf("process %d does not run: %v", pid, err)
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	for _, pid := range []int{bus, keyring} {
		for deadline := time.Now().Add(5 * time.Second); running(pid); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Errorf("process %d outlived its owner", pid)
				break
			}
		}
	}
}

// running is false for a zombie, whose parent has not waited for it yet.
func running(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(text), ") ")
	return !strings.HasPrefix(after, "Z")
}

func TestMain(m *testing.M) {
	dir := os.Getenv("DESKTOP_CHILD")
	if dir == "" {
		os.Exit(m.Run())
	}
	d, err := Start(context.Background(), Options{Dir: dir, Mode: Unlocked})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(d.daemons[0].cmd.Process.Pid, d.daemons[1].cmd.Process.Pid)
	time.Sleep(time.Minute) // until we are killed
}
