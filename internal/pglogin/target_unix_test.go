//go:build unix

package pglogin

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Nothing that a PG* variable or the home directory names is opened: a FIFO there
// would block for ever.
func TestTarget_ConfigOpensNoPasswordFile(t *testing.T) {
	home := t.TempDir()
	named := filepath.Join(home, "named")
	for _, path := range []string{filepath.Join(home, ".pgpass"), named, filepath.Join(home, ".pg_service.conf")} {
		must(t, syscall.Mkfifo(path, 0o600))
	}
	_, root := authority(t, host)
	t.Setenv("HOME", home)
	t.Setenv("PGSERVICEFILE", filepath.Join(home, ".pg_service.conf"))
	for _, file := range []string{"", named} {
		t.Setenv("PGPASSFILE", file)
		done := make(chan error, 1)
		go func() {
			_, err := Target{Host: host, Port: 5432, Database: "d", User: "u", SSLMode: VerifyFull, SSLRootCert: root}.config(secret, nil)
			done <- err
		}()
		select {
		case err := <-done:
			must(t, err)
		case <-time.After(testTimeout):
			for _, path := range []string{filepath.Join(home, ".pgpass"), file} {
				if f, err := os.OpenFile(path, os.O_RDWR, 0); err == nil {
					_ = f.Close()
				}
			}
			t.Fatalf("PGPASSFILE=%q: a FIFO was opened", file)
		}
	}
}
