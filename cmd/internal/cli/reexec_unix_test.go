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

// The variable that another one names is found as it is found to be read.
func TestSecretVars(t *testing.T) {
	for named, want := range map[string]bool{"": false, "MINE": true, " MINE\n": true, "OTHER": false} {
		p := NewEnvironment("prog", nil, []string{"MINE=canary", "DATABRICKS_OIDC_TOKEN_ENV=" + named}, nil, nil, nil)
		if got := slices.Contains(p.secretVars(), "MINE"); got != want {
			t.Errorf("%q: %v", named, p.secretVars())
		}
	}
}

func TestReadPipedSecrets(t *testing.T) {
	pipe := func(text string) string {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(w, text)
		_ = w.Close()
		return handedOn(t, r)
	}
	path := filepath.Join(t.TempDir(), "file") // short, or it would be refused for its length
	if err := os.WriteFile(path, []byte("canary-file"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	long := string(make([]byte, maxPiped+1))
	r, w, err := os.Pipe() // whose writer lives, and may never say anything
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	_, _ = io.WriteString(w, "A_SECRET=canary-of-another")
	ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = syscall.Write(ends[1], []byte("A_SECRET=canary-of-a-socket"))
	_ = syscall.Close(ends[1]) // it reads like a pipe that has ended
	for _, c := range []struct {
		name, fd string
		secrets  []string
	}{
		{"a pipe", pipe("A_SECRET=canary-hidden"), []string{"A_SECRET=canary-hidden"}},
		{"two", pipe("A_SECRET=canary-hidden\x00B_SECRET=a=b"), []string{"A_SECRET=canary-hidden", "B_SECRET=a=b"}},
		{"an empty pipe", pipe(""), nil},
		{"too long", pipe(long), nil},
		{"a pipe of somebody else's", handedOn(t, r), nil},
		{"standard input", "0", nil},
		{"a file", handedOn(t, file), nil},
		{"a socket", fmt.Sprint(ends[0]), nil},
		{"none that is open", "999", nil},
		{"no number", "x", nil},
	} {
		got, hidden := readPipedSecrets([]string{"A=1", pipeVariable + "=" + c.fd, "B=2"})
		if want := append([]string{"A=1", "B=2"}, c.secrets...); !slices.Equal(got, want) || hidden != (c.secrets != nil) {
			t.Errorf("%s: %q, %v", c.name, got, hidden)
		}
	}
	plain := []string{"A=1"}
	if got, hidden := readPipedSecrets(plain); hidden || !slices.Equal(got, plain) {
		t.Errorf("%q", got)
	}
}

// handedOn is the number of a descriptor that takeSecret may close.
func handedOn(t *testing.T, f *os.File) string {
	t.Helper()
	defer f.Close()
	fd, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(fd)
}
