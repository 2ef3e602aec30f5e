//go:build unix

package emulator

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// asleep starts an emulator whose next wake lasts until FinishWake.
func asleep(t *testing.T, mode WakeMode) *Lakebase {
	t.Helper()
	l := begin(t, Options{Suspended: true})
	if l.State() != Suspended || !l.UpAt().IsZero() {
		t.Fatalf("started %s, up at %v", l.State(), l.UpAt())
	}
	l.SetWake(mode, Never)
	return l
}

func tryLogin(t *testing.T, l *Lakebase) (*pgconn.PgConn, error) {
	t.Helper()
	return connect(t.Context(), l, l.ClientID, mint(t, l, TokenSpec{}), l.Database)
}

func wantErrno(t *testing.T, err error, want syscall.Errno) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

// Each mode shows what its name says while the compute wakes, to the first login and to
// later ones, and lets logins through afterwards.
func TestWakeModes(t *testing.T) {
	for mode, check := range map[WakeMode]func(t *testing.T, l *Lakebase, first, second error){
		Refused: func(t *testing.T, l *Lakebase, first, second error) {
			wantErrno(t, first, syscall.ECONNRESET)
			wantErrno(t, second, syscall.ECONNREFUSED)
		},
		Reset: func(t *testing.T, l *Lakebase, first, second error) {
			wantErrno(t, first, syscall.ECONNRESET)
			wantErrno(t, second, syscall.ECONNRESET)
		},
		StartingUp: func(t *testing.T, l *Lakebase, first, second error) {
			wantState(t, first, "57P03", "the database system is starting up")
			wantState(t, second, "57P03", "the database system is starting up")
		},
		NoCompute: func(t *testing.T, l *Lakebase, first, second error) {
			wantState(t, first, "XX000", "Couldn't connect to compute node")
			_, err := connect(t.Context(), l, l.ClientID, "no token", l.Database)
			wantState(t, err, "XX000", "not a valid JWT encoding")
		},
	} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			l := asleep(t, mode)
			_, first := tryLogin(t, l)
			_, second := tryLogin(t, l)
			if l.State() != Waking {
				t.Errorf("got state %s, want waking", l.State())
			}
			check(t, l, first, second)
			l.FinishWake()
			waitFor(t, "the wake", func() bool { return l.State() == Up })
			if l.UpAt().Before(l.WokenAt()) {
				t.Errorf("up at %v, woken at %v", l.UpAt(), l.WokenAt())
			}
			mustConnect(t, l)
		})
	}
}

// A wake takes at least the time that is set.
func TestWakeTime(t *testing.T) {
	t.Parallel()
	l := asleep(t, Held)
	l.SetWake(Held, 500*time.Millisecond)
	c, err := tryLogin(t, l)
	if err != nil {
		t.Fatal(err)
	}
	defer closeNow(c)
	if took := l.UpAt().Sub(l.WokenAt()); took < 500*time.Millisecond {
		t.Errorf("the wake took %v", took)
	}
	if logins := l.Logins(); len(logins) != 1 || logins[0].Result != "ok" || logins[0].User != l.ClientID || logins[0].Application != "unit" || logins[0].Database != Database {
		t.Errorf("got logins %+v", logins)
	}
}

// The gateway sees that a waiting client leaves, and the wake goes on.
func TestWakeHeld_ClientLeaves(t *testing.T) {
	t.Parallel()
	l := asleep(t, Held)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		waitFor(t, "the wake", func() bool { return l.State() == Waking })
		cancel()
	}()
	if _, err := connect(ctx, l, l.ClientID, mint(t, l, TokenSpec{}), l.Database); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want context.Canceled", err)
	}
	waitFor(t, "the record", func() bool { return len(l.Logins()) == 1 })
	if got := l.Logins()[0].Result; l.State() != Waking || !strings.Contains(got, "client left") {
		t.Errorf("got state %s, result %q", l.State(), got)
	}
	l.FinishWake()
	mustConnect(t, l)
}

// A silent connection is never answered, not even once the compute is up.
func TestWakeSilent(t *testing.T) {
	t.Parallel()
	l := asleep(t, Silent)
	c, err := net.Dial("tcp", "127.0.0.1:"+l.PGPort())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(packet(sslRequest)); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the wake", func() bool { return l.State() == Waking })
	l.FinishWake()
	waitFor(t, "its end", func() bool { return l.State() == Up })
	mustConnect(t, l)
	_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read %d bytes, %v, want no answer", n, err)
	}
	if err := l.Suspend(t.Context()); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Time{})
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("after the suspend: got %v, want the connection closed", err)
	}
}

// A suspend ends a wake that never ends by itself, and opens the port again.
func TestSuspend_DuringWake(t *testing.T) {
	t.Parallel()
	l := asleep(t, Refused)
	_, err := tryLogin(t, l)
	wantErrno(t, err, syscall.ECONNRESET)
	l.SetWake(Held, 0)
	if err := l.Suspend(t.Context()); err != nil || l.State() != Suspended {
		t.Fatalf("got state %s, %v", l.State(), err)
	}
	mustConnect(t, l)
}

// Suspend really stops Postgres, and a login really starts it; the data stays.
func TestSuspend(t *testing.T) {
	t.Parallel()
	l := begin(t, Options{})
	c := mustConnect(t, l)
	if _, err := ask(c, "CREATE TABLE kept AS SELECT 42 AS n"); err != nil {
		t.Fatal(err)
	}
	pid := l.compute.server.proc.Pid
	if err := l.Suspend(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantErrno(t, syscall.Kill(pid, 0), syscall.ESRCH)
	if _, err := ask(c, "SELECT 1"); err == nil {
		t.Error("an open connection outlived the suspend")
	}
	if got, err := ask(mustConnect(t, l), "SELECT n FROM kept"); err != nil || got != "42" {
		t.Errorf("got %q, %v", got, err)
	}
	if l.compute.server.proc.Pid == pid {
		t.Error("got the same process again")
	}
}

func TestSQL_WakesWithoutLogin(t *testing.T) {
	t.Parallel()
	l := asleep(t, Refused)
	rows, err := l.SQL(t.Context(), "SELECT 7")
	if err != nil || rows[0][0] != "7" || l.State() != Up || len(l.Logins()) != 0 {
		t.Errorf("got %v, %v, state %s, logins %v", rows, err, l.State(), l.Logins())
	}
}

// An open connection keeps the compute up.
func TestIdleTimeout(t *testing.T) {
	t.Parallel()
	l := begin(t, Options{IdleTimeout: 200 * time.Millisecond})
	c := mustConnect(t, l)
	time.Sleep(500 * time.Millisecond)
	if l.State() != Up {
		t.Error("suspended under an open connection")
	}
	closeNow(c)
	waitFor(t, "the suspend", func() bool { return l.State() == Suspended })
}

func TestSweep(t *testing.T) {
	base := t.TempDir()
	dead, alive := filepath.Join(base, dirPrefix+"dead"), filepath.Join(base, dirPrefix+"alive")
	for _, d := range []string{dead, alive} {
		if err := errors.Join(os.Mkdir(d, 0o700), claim(d)); err != nil {
			t.Fatal(err)
		}
	}
	_ = locks.files[dead].Close() // what the kernel does for a process that died
	delete(locks.files, dead)
	sweep(filepath.Join(base, dirPrefix+"*"))
	if _, err := os.Stat(dead); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the dead one's folder: %v", err)
	}
	if _, err := os.Stat(alive); err != nil {
		t.Errorf("the living one's folder: %v", err)
	}
	if err := discard(alive); err != nil {
		t.Error(err)
	}
}
