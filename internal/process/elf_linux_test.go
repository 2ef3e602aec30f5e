package process

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMissingLoader breaks the loader's name in a copy of a real program: execve
// says ENOENT of it, and Find says why.
func TestMissingLoader(t *testing.T) {
	data, err := os.ReadFile("/bin/ls")
	if err != nil {
		t.Fatal(err)
	}
	loader := elfLoader(bytes.NewReader(data), runtime.GOARCH)
	if !strings.HasPrefix(loader, "/") {
		t.Fatalf("/bin/ls names no loader: %q", loader)
	}
	d := t.TempDir()
	whole := put(t, d, "whole", string(data), 0o755)
	if _, err := Find([]string{whole}, Search{}); err != nil {
		t.Errorf("the whole copy: %v", err)
	}
	lost := "/" + strings.Repeat("z", len(loader)-1)
	broken := put(t, d, "broken", strings.Replace(string(data), loader, lost, 1), 0o755)
	_, err = Find([]string{broken}, Search{})
	wantRefusal(t, err, "", "its loader \""+lost)
	if _, err := run(Command{Path: broken, Argv: []string{broken}}); !errors.Is(err, unix.ENOENT) {
		t.Errorf("execve says %v", err)
	}
	script := put(t, d, "script", "#!"+broken+"\n", 0o755)
	_, err = Find([]string{script}, Search{})
	wantRefusal(t, err, "", "its loader")

	// Execve's own word, had Find not looked.
	var refused *NotExecutableError
	if err := execError(broken, unix.ENOENT); !errors.As(err, &refused) || !strings.Contains(refused.Reason, "loader is missing") {
		t.Errorf("%v", err)
	}
	var missing *NotFoundError
	if err := execError(filepath.Join(d, "gone"), unix.ENOENT); !errors.As(err, &missing) {
		t.Errorf("%v", err)
	}
}
