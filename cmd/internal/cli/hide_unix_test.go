//go:build unix

package cli

import (
	"fmt"
	"io"
	"os"
	"slices"
	"syscall"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/internal/safefile"
)

func TestTakeSecret(t *testing.T) {
	pipe := func(text string) string {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(w, text)
		_ = w.Close()
		return handedOn(t, r)
	}
	file, err := os.Open(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	long := string(make([]byte, safefile.MaxSecret+1))
	for _, c := range []struct {
		name, fd string
		secret   string
	}{
		{"a pipe", pipe("dose-hidden"), "dose-hidden"},
		{"an empty pipe", pipe(""), ""},
		{"too long", pipe(long), ""},
		{"standard input", "0", ""},
		{"a file", handedOn(t, file), ""},
		{"none that is open", "999", ""},
		{"no number", "x", ""},
	} {
		got, hidden := takeSecret([]string{"A=1", pipeVariable + "=" + c.fd, "B=2"})
		want := []string{"A=1", "B=2"}
		if c.secret != "" {
			want = append(want, secretVariable+"="+c.secret)
		}
		if !slices.Equal(got, want) || hidden != (c.secret != "") {
			t.Errorf("%s: %q, %v", c.name, got, hidden)
		}
	}
	plain := []string{"A=1"}
	if got, hidden := takeSecret(plain); hidden || !slices.Equal(got, plain) {
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
