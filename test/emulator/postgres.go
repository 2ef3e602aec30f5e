package emulator

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
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
		role := quoteIdentifier(name)
		all = append(all, "CREATE ROLE "+role+" LOGIN CREATEDB IN ROLE databricks_superuser",
			"GRANT CONNECT, CREATE, TEMPORARY ON DATABASE "+Database+" TO "+role,
			"GRANT USAGE, CREATE ON SCHEMA public TO "+role)
	}
	_, err := s.query(ctx, Database, strings.Join(all, "; "))
	return err
}

// quoteIdentifier quotes a name for SQL.
func quoteIdentifier(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// ErrNoPostgres is returned if no Postgres server is installed.
var ErrNoPostgres = errors.New("no Postgres server found: install one (Debian: postgresql, macOS: brew install postgresql), " +
	"or put its initdb and postgres on the PATH")

// findServer returns the directory that holds initdb and postgres: that of pg_config,
// else the newest of the directories that packages use, else one of the PATH.
func findServer() (string, error) {
	var dirs []string
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(strings.TrimFunc(path, func(r rune) bool { return r < '0' || r > '9' }))
		return n
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin", // Debian, Ubuntu
		"/usr/pgsql-*/bin",          // the PostgreSQL project's RPMs
		"/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin",
		"/Applications/Postgres.app/Contents/Versions/*/bin",
	} {
		found, _ := filepath.Glob(pattern)
		slices.SortFunc(found, func(a, b string) int { return version(b) - version(a) })
		dirs = append(dirs, found...)
	}
	for _, d := range append(dirs, filepath.SplitList(os.Getenv("PATH"))...) {
		_, err1 := os.Stat(filepath.Join(d, "initdb"))
		_, err2 := os.Stat(filepath.Join(d, "postgres"))
		if d != "" && err1 == nil && err2 == nil {
			return d, nil
		}
	}
	return "", ErrNoPostgres
}

// dirPrefix begins the name of every directory that the package makes.
const dirPrefix = "local-lakebase-"

// privateDir makes a directory that only this user can write to. If that is root, other
// users can traverse it, because Postgres runs as one of them below it. Its path is
// short enough for a Unix socket (107 bytes on Linux, 103 on macOS).
func privateDir() (string, error) {
	base := cmp.Or(fastDir(), os.TempDir())
	who, err := serverOwner()
	if len(base) > 60 || err == nil && who.other && !traversable(base) {
		base = "/tmp"
	}
	sweep(filepath.Join(base, dirPrefix+"*"))
	dir, err := os.MkdirTemp(base, dirPrefix)
	if err != nil {
		return "", err
	}
	if who.other {
		err = os.Chmod(dir, 0o711)
	}
	return dir, errors.Join(err, claim(dir))
}

// traversable reports whether every user can reach what is in dir.
func traversable(dir string) bool {
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm()&1 == 0 {
		return false
	}
	parent := filepath.Dir(dir)
	return parent == dir || traversable(parent)
}

// settings are appended to postgresql.conf. Durability is off: the data is removed with
// the emulator.
const settings = `
listen_addresses = ''
max_connections = 120
shared_buffers = 16MB
max_wal_size = 1GB
fsync = off
full_page_writes = off
synchronous_commit = off
wal_level = minimal
max_wal_senders = 0
timezone = 'UTC'
log_timezone = 'UTC'
`

// template is a new cluster as a tar archive in memory, so that a process runs initdb
// once and leaves no directory behind.
type template struct {
	once    sync.Once
	err     error
	archive bytes.Buffer
}

// templates holds one per directory of binaries.
var templates sync.Map

// newServer makes a new cluster in dir, which its owner must be able to traverse:
// dir/data, and dir/s for the socket.
func newServer(ctx context.Context, bin, dir string) (*server, error) {
	s, err := makeDirs(bin, dir)
	if err != nil {
		return nil, err
	}
	v, _ := templates.LoadOrStore(bin, &template{})
	t := v.(*template)
	t.once.Do(func() { t.err = t.build(ctx, bin) })
	if t.err != nil {
		templates.CompareAndDelete(bin, v)
		return nil, t.err
	}
	return s, t.restore(s)
}

// makeDirs makes the two directories, which the owner alone can access.
func makeDirs(bin, dir string) (*server, error) {
	who, err := serverOwner()
	s := &server{bin: bin, owner: who, data: filepath.Join(dir, "data"), sockets: filepath.Join(dir, "s"), log: filepath.Join(dir, "postgres.log")}
	for _, d := range []string{s.data, s.sockets} {
		if err == nil {
			err = os.Mkdir(d, 0o700)
		}
		if err == nil {
			err = who.give(d)
		}
	}
	return s, err
}

// build runs initdb, makes the database and archives the result.
func (t *template) build(ctx context.Context, bin string) error {
	dir, err := privateDir()
	if err != nil {
		return err
	}
	defer discard(dir)
	s, err := makeDirs(bin, dir)
	if err != nil {
		return err
	}
	runtime.LockOSThread() // the parent-death signal is the thread's
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", s.data, "-U", superuser, "-E", "UTF8", "--locale=C",
		"--wal-segsize=1", "--auth=trust", "--no-sync", "--no-instructions")
	cmd.Dir, cmd.Env, cmd.SysProcAttr = s.data, serverEnv(), s.owner.attr()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	conf, err := os.OpenFile(filepath.Join(s.data, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = conf.WriteString(settings)
	if err = errors.Join(err, conf.Close()); err != nil {
		return err
	}
	if err = s.start(ctx); err == nil {
		_, err = s.query(ctx, "postgres",
			"CREATE ROLE databricks_superuser NOLOGIN",
			"GRANT pg_read_all_data, pg_write_all_data TO databricks_superuser",
			"CREATE DATABASE "+Database)
	}
	if err = errors.Join(err, s.stop(ctx)); err != nil {
		return err
	}
	w := tar.NewWriter(&t.archive)
	return errors.Join(w.AddFS(os.DirFS(s.data)), w.Close())
}

// restore writes the cluster into the server's empty directory.
func (t *template) restore(s *server) error {
	r := tar.NewReader(bytes.NewReader(t.archive.Bytes()))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		path, mode := filepath.Join(s.data, h.Name), h.FileInfo().Mode().Perm()
		switch {
		case path == s.data:
			continue
		case h.Typeflag == tar.TypeDir:
			err = os.Mkdir(path, mode)
		default:
			var data []byte
			if data, err = io.ReadAll(r); err == nil {
				err = os.WriteFile(path, data, mode)
			}
		}
		if err := errors.Join(err, s.owner.give(path)); err != nil {
			return err
		}
	}
}
