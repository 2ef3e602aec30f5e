package pgproxy

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestListenUnix(t *testing.T) {
	dir := t.TempDir()
	ln, err := ListenUnix(dir, 6432)
	if errors.Is(err, noUnixSockets) {
		return
	}
	must(t, err)
	path := filepath.Join(dir, ".s.PGSQL.6432")
	info, err := os.Lstat(path)
	must(t, err)
	if runtime.GOOS != "windows" && info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("got mode %v, want 0600", info.Mode())
	}
	if _, err := ListenUnix(dir, 6432); !errors.As(err, new(*net.OpError)) {
		t.Errorf("second listener: got %v, want an error", err)
	}
	must(t, ln.Close())
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Close: got %v, want no socket", err)
	}
	// The socket of a killed process is replaced, another file is not.
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	must(t, err)
	stale.SetUnlinkOnClose(false)
	must(t, stale.Close())
	ln, err = ListenUnix(dir, 6432)
	must(t, err)
	must(t, ln.Close())
	must(t, os.WriteFile(path, []byte("mine"), 0o600))
	if _, err := ListenUnix(dir, 6432); !errors.As(err, new(*net.OpError)) {
		t.Errorf("existing file: got %v, want an error", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "mine" {
		t.Error("the file was overwritten")
	}
	if _, err = ListenUnix("/"+strings.Repeat("d", maxSocketPath-len("/.s.PGSQL.5432")), 5432); !errors.Is(err, ErrPathTooLong) {
		t.Errorf("got %v, want ErrPathTooLong", err)
	}
}

func TestListenLoopback(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "localhost:0", "127.1.2.3:0"} {
		ln, err := ListenLoopback(addr)
		if err != nil {
			t.Errorf("%s: %v", addr, err)
			continue
		}
		if a := ln.Addr().(*net.TCPAddr); !a.IP.IsLoopback() || a.Port == 0 {
			t.Errorf("%s: got %v, want a loopback address", addr, a)
		}
		_ = ln.Close()
	}
	for _, addr := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0", "example.com:0", "localhost.example:0"} {
		if _, err := ListenLoopback(addr); !errors.Is(err, ErrNotLoopback) || !strings.Contains(err.Error(), addr) {
			t.Errorf("%s: got %v, want ErrNotLoopback", addr, err)
		}
	}
	if _, err := ListenLoopback("127.0.0.1"); err == nil || !strings.Contains(err.Error(), "missing port") {
		t.Errorf("without a port: got %v", err)
	}
}
