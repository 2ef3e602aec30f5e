//go:build unix

package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

func TestReadPipedSecrets(t *testing.T) {
	// dup returns the number of a descriptor that readPipedSecrets may close.
	dup := func(f *os.File, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		fd, err := syscall.Dup(int(f.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(fd)
	}
	pipe := func(text string) string {
		r, w, err := os.Pipe()
		if err == nil {
			_, _ = io.WriteString(w, text)
			_ = w.Close()
		}
		return dup(r, err)
	}
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("canary-file"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe() // its writer lives, and may never write more
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	_, _ = io.WriteString(w, "A_SECRET=canary-of-another")
	for name, c := range map[string]struct {
		fd      string
		secrets []string
	}{
		"a pipe":         {pipe("A_SECRET=canary-hidden"), []string{"A_SECRET=canary-hidden"}},
		"two":            {pipe("A_SECRET=canary-hidden\x00B_SECRET=a=b"), []string{"A_SECRET=canary-hidden", "B_SECRET=a=b"}},
		"an empty pipe":  {pipe(""), nil},
		"too long":       {pipe(string(make([]byte, maxPiped+1))), nil},
		"another's pipe": {dup(r, nil), nil},
		"a file":         {dup(os.Open(path)), nil},
		"standard input": {"0", nil},
		"not open":       {"999", nil},
		"not a number":   {"x", nil},
	} {
		got, piped := readPipedSecrets([]string{"A=1", pipeVariable + "=" + c.fd, "B=2"})
		if want := append([]string{"A=1", "B=2"}, c.secrets...); !slices.Equal(got, want) || piped != (c.secrets != nil) {
			t.Errorf("%s: got %q, %v, want %q", name, got, piped, want)
		}
	}
}
