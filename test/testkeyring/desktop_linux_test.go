package testkeyring

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// childVariable makes the test binary start a desktop in that directory.
const childVariable = "DESKTOP_CHILD"

func TestMain(m *testing.M) {
	dir := os.Getenv(childVariable)
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

func TestStart_CallerIsKilled(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+t.TempDir(), "TMPDIR="+t.TempDir())
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
		for deadline := time.Now().Add(30 * time.Second); running(pid); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("process %d outlived its owner", pid)
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
