package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")
	home, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	store := "printf s3cret | secret-tool store --label=x k v && { secret-tool lookup k v; echo; echo $HOME; } > " + out + "; exit 7"
	if code, err := run(home, []string{"sh", "-c", store}); code != 7 || err != nil {
		t.Errorf("run = %d, %v; want 7", code, err)
	}
	if text, err := os.ReadFile(out); err != nil || string(text) != "s3cret\n"+home+"\n" {
		t.Errorf("the command wrote %q, %v", text, err)
	}
	if code, err := run("", []string{"sh", "-c", "kill -9 $$"}); code != 128+9 || err != nil {
		t.Errorf("run = %d, %v; want 137", code, err)
	}
	if code, err := run("", []string{"sh", "-c", `test "$HOME" = "` + os.Getenv("HOME") + `"`}); code != 0 || err != nil {
		t.Errorf("HOME is not the caller's: %d, %v", code, err)
	}
	if code, err := run("", []string{"no-such-command"}); code != failed || err == nil || !strings.Contains(err.Error(), "no-such-command") {
		t.Errorf("run = %d, %v; want %d", code, err, failed)
	}
	left, err := os.ReadDir(os.TempDir())
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
