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

	"github.com/jackc/pgx/v5/pgproto3"
)

// superuser owns the cluster. No principal can log in as it: the gateway accepts the
// token's own subject only.
const superuser = "cloud_admin"

const (
	startTimeout = 30 * time.Second
	fastShutdown = 10 * time.Second
	sqlTimeout   = 2 * time.Minute
)

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
		_, err := s.query(ctx, "postgres")
		if err == nil {
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
	b, _ := os.ReadFile(s.log)
	return strings.TrimSpace(string(b[max(0, len(b)-1000):]))
}

// serverEnv returns the environment of the server's programs.
func serverEnv() []string { return []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"} }

// query logs in as superuser, runs statements in order, each in a transaction of its own,
// and returns the rows of the last. It uses the protocol directly, because pgconn reads
// PG* variables, which tests set.
func (s *server) query(ctx context.Context, database string, statements ...string) ([][]string, error) {
	conn, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(sqlTimeout))
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	f := pgproto3.NewFrontend(conn, conn)
	f.Send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30,
		Parameters: map[string]string{"user": superuser, "database": database, "application_name": "local-lakebase"}})
	rows, err := roundTrip(f)
	for _, q := range statements {
		if err != nil {
			return nil, err
		}
		f.Send(&pgproto3.Query{String: q})
		rows, err = roundTrip(f)
	}
	f.Send(&pgproto3.Terminate{})
	_ = f.Flush()
	return rows, err
}

// roundTrip flushes, reads up to ReadyForQuery and returns the rows as text, NULL as "".
func roundTrip(f *pgproto3.Frontend) (rows [][]string, failed error) {
	if err := f.Flush(); err != nil {
		return nil, err
	}
	for {
		m, err := f.Receive()
		if err != nil {
			return nil, errors.Join(failed, err)
		}
		switch m := m.(type) {
		case *pgproto3.DataRow:
			row := make([]string, len(m.Values))
			for i, v := range m.Values {
				row[i] = string(v)
			}
			rows = append(rows, row)
		case *pgproto3.ErrorResponse:
			failed = fmt.Errorf("%s: %s (SQLSTATE %s)", m.Severity, m.Message, m.Code)
		case *pgproto3.ReadyForQuery:
			return rows, failed
		}
	}
}

// createRoles creates roles as databricks_create_role does, with the grants of the guide
// and those that migrations, pg_dump and pgbench -i need. It is one round trip, because
// every test runs it.
func (s *server) createRoles(ctx context.Context, names ...string) error {
	var all []string
	for _, name := range names {
		role := `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
		all = append(all, "CREATE ROLE "+role+" LOGIN CREATEDB IN ROLE databricks_superuser",
			"GRANT CONNECT, CREATE, TEMPORARY ON DATABASE "+Database+" TO "+role,
			"GRANT USAGE, CREATE ON SCHEMA public TO "+role)
	}
	_, err := s.query(ctx, Database, strings.Join(all, "; "))
	return err
}
