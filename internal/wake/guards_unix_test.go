//go:build unix

package wake

import (
	"os"
	"path/filepath"
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
		case <-time.After(5 * time.Second):
			for _, path := range []string{filepath.Join(home, ".pgpass"), file} {
				if f, err := os.OpenFile(path, os.O_RDWR, 0); err == nil {
					_ = f.Close()
				}
			}
			t.Fatalf("PGPASSFILE=%q: a fifo was opened", file)
		}
	}
}
