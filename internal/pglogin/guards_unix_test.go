//go:build unix

package pglogin

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Nothing that a PG* variable or the home folder names is opened: a fifo there
// would hold us up for ever.
func TestConfigOpensNoPasswordFile(t *testing.T) {
	home := t.TempDir()
	for _, path := range []string{filepath.Join(home, ".pgpass"), filepath.Join(home, "named"), filepath.Join(home, ".pg_service.conf")} {
		must(t, syscall.Mkfifo(path, 0o600))
	}
	_, root := authority(t, name)
	t.Setenv("HOME", home)
	t.Setenv("PGSERVICEFILE", filepath.Join(home, ".pg_service.conf"))
	for _, file := range []string{"", filepath.Join(home, "named")} {
		t.Setenv("PGPASSFILE", file)
		done := make(chan error, 1)
		go func() {
			_, err := Target{Host: name, Port: 5432, Database: "d", User: "u", SSLMode: VerifyFull, SSLRootCert: root}.config(secret, nil)
			done <- err
		}()
		select {
		case err := <-done:
			must(t, err)
		case <-time.After(guard):
			for _, path := range []string{filepath.Join(home, ".pgpass"), file} {
				if f, err := os.OpenFile(path, os.O_RDWR, 0); err == nil {
					_ = f.Close()
				}
			}
			t.Fatalf("PGPASSFILE=%q: a fifo was opened", file)
		}
	}
}

// What is no file of a bundle's size is refused unread: a fifo would hold us up
// for ever, and a file may have no end.
func TestRootsHaveABound(t *testing.T) {
	dir := t.TempDir()
	fifo, huge, most := filepath.Join(dir, "fifo"), filepath.Join(dir, "huge"), filepath.Join(dir, "most")
	must(t, syscall.Mkfifo(fifo, 0o600))
	for path, size := range map[string]int64{huge: maxRootCert + 1, most: maxRootCert} {
		must(t, os.WriteFile(path, nil, 0o600))
		must(t, os.Truncate(path, size))
	}
	// With the other end open, a reader of the fifo would get bytes in place of waiting.
	other, err := os.OpenFile(fifo, os.O_RDWR, 0)
	must(t, err)
	defer other.Close()
	_, err = other.WriteString("-----BEGIN")
	must(t, err)
	for _, path := range []string{fifo, dir, huge} {
		done := make(chan error, 1)
		go func() {
			_, err := readRoots(path)
			done <- err
		}()
		select {
		case err := <-done:
			if err == nil || !strings.Contains(err.Error(), "not a regular file of at most") {
				t.Errorf("%s: %v", path, err)
			}
		case <-time.After(guard):
			_ = other.Close()
			t.Fatalf("%s is read", path)
		}
	}
	if got, err := readRoots(most); err != nil || len(got) != maxRootCert {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}
