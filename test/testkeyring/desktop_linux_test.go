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

	"github.com/godbus/dbus/v5"
)

func start(t *testing.T, o Options) *Desktop {
	t.Helper()
	if o.Dir == "" {
		o.Dir = filepath.Join(t.TempDir(), "home")
	}
	began := time.Now()
	d, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s started in %v", o.Mode, time.Since(began))
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// secretTool runs libsecret's own client, which knows nothing of this project.
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

func TestUnlockedLockUnlockAndAgain(t *testing.T) {
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

	later := start(t, Options{Dir: home, Mode: Locked})
	lookup(later, "")
	if err := later.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	lookup(later, "s3cret")
}

func TestLockedWithoutHistory(t *testing.T) {
	d := start(t, Options{Mode: Locked})
	v, err := d.conn.Object(serviceName, loginPath).GetProperty("org.freedesktop.Secret.Collection.Locked")
	if err != nil || v.Value() != true {
		t.Errorf("Locked = %v, %v", v, err)
	}
}

func TestNoProvider(t *testing.T) {
	d := start(t, Options{Mode: NoProvider})
	err := d.service().Call("org.freedesktop.DBus.Peer.Ping", 0).Err
	var reply dbus.Error
	if !errors.As(err, &reply) || reply.Name != "org.freedesktop.DBus.Error.ServiceUnknown" {
		t.Errorf("Ping = %v", err)
	}
}

func TestNoCollection(t *testing.T) {
	d := start(t, Options{Mode: NoCollection})
	if _, err := d.conn.Object(serviceName, loginPath).GetProperty("org.freedesktop.Secret.Collection.Locked"); err == nil {
		t.Error("there is a login collection")
	}
}

func TestSlowTakesItsTime(t *testing.T) {
	d := start(t, Options{Mode: Slow, Delay: 10 * time.Millisecond})
	conn := d.conn.Object(serviceName, servicePath)
	var path dbus.ObjectPath
	var none dbus.Variant
	began := time.Now()
	if err := conn.Call("org.freedesktop.Secret.Service.OpenSession", 0, "plain", dbus.MakeVariant("")).Store(&none, &path); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 10*time.Millisecond {
		t.Errorf("answered in %v", took)
	}
	if n := d.Calls()["OpenSession"]; n != 1 {
		t.Errorf("OpenSession counted %d times", n)
	}
}

func TestSilentNeverAnswers(t *testing.T) {
	d := start(t, Options{Mode: Silent})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err := d.service().CallWithContext(ctx, "org.freedesktop.Secret.Service.OpenSession", 0, "plain", dbus.MakeVariant("")).Err
	if !errors.Is(err, context.DeadlineExceeded) || d.Calls()["OpenSession"] != 1 {
		t.Errorf("OpenSession = %v, counted %v", err, d.Calls())
	}
}

func TestMissingProgramNamesItsPackage(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := Start(t.Context(), Options{Dir: t.TempDir(), Mode: Unlocked})
	if !errors.Is(err, exec.ErrNotFound) || !strings.Contains(err.Error(), "Debian package dbus") {
		t.Errorf("Start = %v", err)
	}
}

func TestSideBySideAndNoneLeft(t *testing.T) {
	var all []*Desktop
	for range 3 {
		all = append(all, start(t, Options{Mode: Unlocked}))
	}
	var pids []int
	for _, d := range all {
		for _, p := range d.procs.all {
			pids = append(pids, p.cmd.Process.Pid)
		}
	}
	if len(pids) != 6 {
		t.Fatalf("%d processes, want 6", len(pids))
	}
	for _, d := range all {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(d.run); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("sockets are left: %v", err)
		}
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d is left: %v", pid, err)
		}
	}
}

// TestKilledOwnerLeavesNone starts a desktop in a child and kills the child.
func TestKilledOwnerLeavesNone(t *testing.T) {
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

// running is false for a zombie that nobody has waited for yet.
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
	fmt.Println(d.procs.all[0].cmd.Process.Pid, d.procs.all[1].cmd.Process.Pid)
	time.Sleep(time.Minute) // until we are killed
}
