package emulator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// superuser owns the cluster. No principal can log in as it: the gateway accepts the
// token's own subject only.
const superuser = "cloud_admin"

// The bounds of starting and stopping the server.
const (
	startTimeout = 30 * time.Second
	fastShutdown = 10 * time.Second
)

// settings are appended to postgresql.conf. Durability is off: the data is removed with
// the emulator.
const settings = `
listen_addresses = ''
max_connections = 120
shared_buffers = 16MB
fsync = off
full_page_writes = off
synchronous_commit = off
wal_level = minimal
max_wal_senders = 0
timezone = 'UTC'
log_timezone = 'UTC'
`

// server is one Postgres cluster in a directory of its own. It listens only on a Unix
// socket in a directory that is closed to other users.
type server struct {
	bin     string // directory of the server's binaries
	owner   owner  // the user that it runs as
	data    string
	sockets string
	log     string

	launching sync.Mutex // held while proc is checked and changed

	mu   sync.Mutex
	proc *os.Process
	done chan struct{} // closed when proc has ended
}

// start starts postgres, unless it is running, and waits until it accepts connections.
func (s *server) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	s.launching.Lock()
	var err error
	if !s.running() {
		err = s.launch()
	}
	s.launching.Unlock()
	if err != nil {
		return fmt.Errorf("starting postgres: %w", err)
	}
	return s.ready(ctx)
}

// running reports whether the server has been started and has not ended.
func (s *server) running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return false
	}
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

// launch starts the process from a goroutine that keeps its thread until the
// process has ended: on Linux the parent-death signal is tied to that thread.
func (s *server) launch() error {
	logFile, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	cmd := exec.Command(filepath.Join(s.bin, "postgres"), "-D", s.data, "-k", s.sockets)
	cmd.Dir, cmd.Env = s.data, serverEnv()
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.SysProcAttr = s.owner.attr()
	started, done := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(done)
		defer logFile.Close()
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		<-done
		return err
	}
	s.mu.Lock()
	s.proc, s.done = cmd.Process, done
	s.mu.Unlock()
	return nil
}

// ready waits until the server accepts a connection; it tries every 2 ms.
func (s *server) ready(ctx context.Context) error {
	s.mu.Lock()
	done := s.done
	s.mu.Unlock()
	for {
		c, err := s.login(ctx, "postgres")
		if err == nil {
			c.close()
			return nil
		}
		select {
		case <-done:
			return fmt.Errorf("postgres ended while it started: %w\n%s", err, s.logTail())
		case <-ctx.Done():
			return fmt.Errorf("postgres does not accept connections: %w: %w\n%s", ctx.Err(), err, s.logTail())
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// stop does a fast shutdown: clients are disconnected, and the data is consistent. A
// server that has not ended when ctx ends, or after fastShutdown, is killed.
func (s *server) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, fastShutdown)
	defer cancel()
	s.mu.Lock()
	proc, done := s.proc, s.done
	s.mu.Unlock()
	if proc == nil {
		return nil
	}
	var killed error
	_ = proc.Signal(syscall.SIGINT)
	select {
	case <-done:
	case <-ctx.Done():
		killed = errors.New("postgres did not stop and was killed")
		_ = proc.Kill()
		<-done
	}
	s.mu.Lock()
	s.proc, s.done = nil, nil
	s.mu.Unlock()
	return killed
}

// dial opens a connection to the server's socket.
func (s *server) dial(ctx context.Context) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(s.sockets, ".s.PGSQL.5432"))
}

func (s *server) logTail() string {
	b, err := os.ReadFile(s.log)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b[max(0, len(b)-1000):]))
}

// serverEnv returns the environment of the server's programs.
func serverEnv() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
}
