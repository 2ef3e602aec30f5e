package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// settings of the measured Postgres. It keeps all in memory and does nothing on
// the side: the disk is not what is measured.
const settings = `
listen_addresses = 'localhost'
unix_socket_directories = ''
ssl = on
max_connections = 600
shared_buffers = 256MB
fsync = off
full_page_writes = off
synchronous_commit = off
autovacuum = off
wal_level = minimal
max_wal_senders = 0
`

// upstream is a Postgres that speaks TLS itself. Its one role is the service
// principal, whose password is a database token: every login sends the token as a
// login to Lakebase does. The token lives longer than the measuring; it is kept
// as MD5, which takes the server no time to check.
type upstream struct {
	*daemon
	bin      string // folder of the server's programs
	ca       string // file
	port     int
	user     string
	password string
}

// startUpstream makes a cluster in dir and starts it.
func startUpstream(dir string, o owner, port int, user, token string) (*upstream, error) {
	u := &upstream{ca: filepath.Join(dir, "ca.crt"), port: port, user: user, password: token}
	var err error
	if u.bin, err = serverPrograms(); err != nil {
		return nil, err
	}
	data, passwords := filepath.Join(dir, "data"), filepath.Join(dir, "token")
	if err := errors.Join(o.folder(data), o.write(passwords, []byte(token+"\n"))); err != nil {
		return nil, err
	}
	initdb := exec.Command(filepath.Join(u.bin, "initdb"), "-D", data, "-U", user, "--pwfile", passwords, "-A", "md5", "-E", "UTF8", "--locale", "C", "-N")
	o.run(initdb)
	initdb.Dir = data
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	if err := u.configure(data, o); err != nil {
		return nil, err
	}
	cmd := exec.Command(filepath.Join(u.bin, "postgres"), "-D", data)
	o.run(cmd)
	cmd.Dir, cmd.Env = data, []string{"LC_ALL=C"}
	if u.daemon, err = launch(cmd, syscall.SIGQUIT); err != nil { // an immediate shutdown
		return nil, err
	}
	if err := u.until(u.accepts); err != nil {
		u.end()
		return nil, err
	}
	return u, nil
}

func (u *upstream) configure(data string, o owner) error {
	ca, cert, key, err := certificates("localhost")
	if err != nil {
		return err
	}
	conf := settings + "port = " + strconv.Itoa(u.port) + "\n"
	hba := "hostssl all all 127.0.0.1/32 password\nhostssl all all ::1/128 password\n"
	return errors.Join(
		os.WriteFile(u.ca, ca, 0o644),
		o.write(filepath.Join(data, "server.crt"), cert),
		o.write(filepath.Join(data, "server.key"), key),
		o.write(filepath.Join(data, "postgresql.conf"), []byte(conf)),
		o.write(filepath.Join(data, "pg_hba.conf"), []byte(hba)),
	)
}

func (u *upstream) accepts() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conf, err := pgconn.ParseConfig(u.direct().conninfo)
	if err != nil {
		return err
	}
	conf.Password = u.password
	conn, err := pgconn.ConnectConfig(ctx, conf)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// direct is the way without anything in between.
func (u *upstream) direct() *way {
	return &way{name: "direct", bin: u.bin, password: u.password,
		conninfo: fmt.Sprintf("host=localhost port=%d user=%s dbname=postgres sslmode=verify-full sslrootcert=%s", u.port, u.user, u.ca)}
}

// serverPrograms finds the folder of initdb and postgres: what pg_config says,
// else the newest where Debian and the project's RPMs put it, else on PATH.
func serverPrograms() (string, error) {
	var dirs []string
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin"} {
		found, _ := filepath.Glob(pattern)
		slices.SortFunc(found, func(a, b string) int { return number(b) - number(a) })
		dirs = append(dirs, found...)
	}
	for _, d := range append(dirs, filepath.SplitList(os.Getenv("PATH"))...) {
		_, err1 := os.Stat(filepath.Join(d, "initdb"))
		_, err2 := os.Stat(filepath.Join(d, "postgres"))
		if err1 == nil && err2 == nil {
			return d, nil
		}
	}
	return "", errors.New("no Postgres server found")
}

func number(path string) int {
	n, _ := strconv.Atoi(strings.TrimFunc(path, func(r rune) bool { return r < '0' || r > '9' }))
	return n
}
