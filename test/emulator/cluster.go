package emulator

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
)

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
	base := orDefault(fastDir(), os.TempDir())
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
