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

// wakeTime is longer than Postgres needs to start, so that it decides, and long
// enough for all that is looked at while the compute wakes.
const wakeTime = 2 * time.Second

func asleep(t *testing.T, mode WakeMode, takes time.Duration) *Lakebase {
	t.Helper()
	l := begin(t, Options{Suspended: true})
	if l.State() != Suspended || !l.UpAt().IsZero() {
		t.Fatalf("started %s, up at %v", l.State(), l.UpAt())
	}
	l.SetWake(mode, takes)
	return l
}

func tryLogin(t *testing.T, l *Lakebase, limit time.Duration) (*pgconn.PgConn, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	return connect(ctx, l, l.ClientID, mint(t, l, TokenSpec{}), l.Database)
}

// untilUp logs in every 20 ms and says after how many failures it came in.
func untilUp(t *testing.T, l *Lakebase) int {
	t.Helper()
	for n, end := 0, time.Now().Add(30*time.Second); time.Now().Before(end); n++ {
		if c, err := tryLogin(t, l, time.Second); err == nil {
			closeNow(c)
			return n
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("%s after 30 s", l.State())
	return 0
}

func checkWoken(t *testing.T, l *Lakebase) {
	t.Helper()
	if took := l.UpAt().Sub(l.WokenAt()); l.State() != Up || took < wakeTime || took > wakeTime+busyMachine {
		t.Errorf("%s after %v, want up after %v or little more", l.State(), took, wakeTime)
	}
}

// Every mode shows what its name says while the compute wakes, for the first
// login and for later ones, and lets logins through afterwards.
func TestWakeModes(t *testing.T) {
	tests := map[WakeMode]func(*testing.T, *Lakebase, error){
		Refused: func(t *testing.T, l *Lakebase, first error) {
			wantErrno(t, first, syscall.ECONNRESET)
			for range 5 {
				_, err := net.DialTimeout("tcp", "127.0.0.1:"+l.PGPort(), time.Second)
				wantErrno(t, err, syscall.ECONNREFUSED)
			}
		},
		Reset: func(t *testing.T, l *Lakebase, first error) {
			wantErrno(t, first, syscall.ECONNRESET)
			_, err := tryLogin(t, l, time.Second)
			wantErrno(t, err, syscall.ECONNRESET)
		},
		StartingUp: func(t *testing.T, l *Lakebase, first error) {
			wantState(t, first, "57P03", "the database system is starting up")
			_, err := tryLogin(t, l, time.Second)
			wantState(t, err, "57P03", "the database system is starting up")
		},
		NoCompute: func(t *testing.T, l *Lakebase, first error) {
			wantState(t, first, "XX000", "Couldn't connect to compute node")
			_, err := connect(t.Context(), l, l.ClientID, "no token", l.Database)
			wantState(t, err, "XX000", "not a valid JWT encoding")
		},
	}
	for mode, check := range tests {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			l := asleep(t, mode, wakeTime)
			_, err := tryLogin(t, l, time.Second)
			if l.State() != Waking {
				t.Errorf("%s after the first login, want waking", l.State())
			}
			check(t, l, err)
			if untilUp(t, l) == 0 {
				t.Error("came in at once")
			}
			checkWoken(t, l)
		})
	}
}

func wantErrno(t *testing.T, err error, want syscall.Errno) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

func TestWakeHeld(t *testing.T) {
	t.Parallel()
	l := asleep(t, Held, wakeTime)
	at := time.Now()
	c, err := tryLogin(t, l, wakeTime+busyMachine)
	if err != nil {
		t.Fatal(err)
	}
	defer closeNow(c)
	if took := time.Since(at); took < wakeTime {
		t.Errorf("came in after %v", took)
	}
	checkWoken(t, l)
	if logins := l.Logins(); len(logins) != 1 || logins[0].Result != "ok" || logins[0].User != l.ClientID || logins[0].Application != "unit" || logins[0].Database != Database {
		t.Errorf("logins %+v", logins)
	}
}

// A client that leaves while it is held is noticed, and the wake goes on.
func TestHeldClientLeaves(t *testing.T) {
	t.Parallel()
	l := asleep(t, Held, 3*time.Second)
	if _, err := tryLogin(t, l, 700*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v, want a timeout", err)
	}
	for l.State() == Waking && len(l.Logins()) == 0 {
		time.Sleep(5 * time.Millisecond)
	}
	if logins := l.Logins(); l.State() != Waking || len(logins) != 1 || !strings.Contains(logins[0].Result, "client left") {
		t.Errorf("%s, logins %+v", l.State(), logins)
	}
	l.SetWake(StartingUp, 0) // for the next wake: this one still holds
	c, err := tryLogin(t, l, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	closeNow(c)
}

// A silent connection is never answered, not even once the compute is up.
func TestWakeSilent(t *testing.T) {
	t.Parallel()
	l := asleep(t, Silent, wakeTime)
	c, err := net.Dial("tcp", "127.0.0.1:"+l.PGPort())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte{0, 0, 0, 8, 4, 210, 22, 47}); err != nil { // SSLRequest
		t.Fatal(err)
	}
	untilUp(t, l)
	checkWoken(t, l)
	_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	if n, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read %d, %v; want silence", n, err)
	}
	if err := l.Suspend(t.Context()); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(time.Second))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("after the suspend: %v, want the connection dropped", err)
	}
}

func TestWakeNever(t *testing.T) {
	t.Parallel()
	l := asleep(t, Refused, Never)
	_, err := tryLogin(t, l, time.Second)
	wantErrno(t, err, syscall.ECONNRESET)
	time.Sleep(300 * time.Millisecond)
	if l.State() != Waking {
		t.Errorf("%s, want waking for ever", l.State())
	}
	l.SetWake(Held, 0)
	if err := l.Suspend(t.Context()); err != nil {
		t.Fatal(err)
	}
	if l.State() != Suspended {
		t.Errorf("%s after Suspend", l.State())
	}
	c, err := tryLogin(t, l, 10*time.Second)
	if err != nil {
		t.Fatalf("after the suspend the port must be open again: %v", err)
	}
	closeNow(c)
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
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("postgres %d after Suspend: %v, want it gone", pid, err)
	}
	_, err := ask(c, "SELECT 1")
	if err == nil {
		t.Error("an open connection outlived the suspend")
	}
	again := mustConnect(t, l)
	if got, err := ask(again, "SELECT n FROM kept"); err != nil || got != "42" {
		t.Errorf("got %q, %v", got, err)
	}
	if now := l.compute.server.proc.Pid; now == pid {
		t.Error("the same process again")
	}
}

func TestSQLWakesWithoutLogin(t *testing.T) {
	t.Parallel()
	l := asleep(t, Refused, Never)
	rows, err := l.SQL(t.Context(), "SELECT 7")
	if err != nil || rows[0][0] != "7" || l.State() != Up || len(l.Logins()) != 0 {
		t.Errorf("%v %v %s %v", rows, err, l.State(), l.Logins())
	}
}

func TestIdleTimeout(t *testing.T) {
	t.Parallel()
	l := begin(t, Options{IdleTimeout: time.Second})
	c := mustConnect(t, l)
	time.Sleep(2200 * time.Millisecond)
	if l.State() != Up {
		t.Error("suspended under an open connection")
	}
	closeNow(c)
	for end := time.Now().Add(5 * time.Second); l.State() != Suspended; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never suspended")
		}
	}
}

func TestSweepRemovesWhatTheDeadLeft(t *testing.T) {
	base := t.TempDir()
	dead, alive := filepath.Join(base, folderPrefix+"dead"), filepath.Join(base, folderPrefix+"alive")
	for _, d := range []string{dead, alive} {
		if err := errors.Join(os.Mkdir(d, 0o700), claim(d)); err != nil {
			t.Fatal(err)
		}
	}
	_ = locks.files[dead].Close() // what the kernel does for a process that died
	delete(locks.files, dead)
	sweep(filepath.Join(base, folderPrefix+"*"))
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
