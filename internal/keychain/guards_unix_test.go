//go:build linux || freebsd || openbsd || netbsd || dragonfly

package keychain

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A fifo in place of the file that names the bus is not waited for.
func TestBusFileIsNoFifo(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "dbus-session")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan bool, 1)
	go func() {
		_, ok := busAddress(func(string) string { return "" }, dir)
		done <- ok
	}()
	select {
	case ok := <-done:
		if ok {
			t.Error("a fifo names a bus")
		}
	case <-time.After(30 * time.Second):
		t.Error("a fifo is waited for")
		if f, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
			_ = f.Close()
		}
		<-done
	}
}
