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

// superuser owns the cluster. No principal can log in as it: the gateway lets a
// token's own subject in, and nothing else.
const superuser = "cloud_admin"

// The bounds of starting and stopping the server.
const (
	startTimeout = 30 * time.Second
	fastShutdown = 10 * time.Second
)

// settings go into postgresql.conf. Durability is off: the data dies with the
// emulator.
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

// server is one Postgres cluster in a folder of its own, reached only by a Unix
// socket in another folder that is closed to others.
type server struct {
	bin     string // folder of the server's binaries
	owner   owner  // who runs it
	data    string
	sockets string
	log     string

	launching sync.Mutex // held from the look at proc to its change

	mu   sync.Mutex
	proc *os.Process
	done chan struct{} // closed when proc has ended
}

// start runs postgres and waits until it accepts. It does nothing when it runs.
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

// running is false too for a server that ended by itself.
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

// ready asks every 2 ms until the server takes a connection.
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

// stop is a fast shutdown: clients are disconnected, the data is in order. A
// server that has not ended with ctx, or after fastShutdown, is killed.
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

// serverEnv is all that the server's programs see of our environment.
func serverEnv() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
}
