package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// bouncer is pgbouncer between the clients and the upstream, each client with a
// server connection of its own.
type bouncer struct {
	*daemon
	version, conf string
	u             *upstream
	dir           string
}

const bouncerConf = `[databases]
postgres = host=localhost port=%d
[pgbouncer]
listen_addr =
listen_port = %[1]d
unix_socket_dir = %s
auth_type = plain
auth_file = %[2]s/users
pool_mode = session
default_pool_size = %d
max_client_conn = 1000
server_tls_sslmode = verify-full
server_tls_ca_file = %s
`

func startBouncer(dir string, o owner, u *upstream) (*bouncer, error) {
	b := &bouncer{u: u, dir: filepath.Join(dir, "bouncer")}
	version, err := exec.Command("pgbouncer", "--version").Output()
	if err != nil {
		return nil, fmt.Errorf("pgbouncer --version: %w", err)
	}
	b.version, _, _ = strings.Cut(string(version), "\n")
	b.conf = fmt.Sprintf(bouncerConf, u.port, b.dir, mostClients, u.ca)
	ini := filepath.Join(b.dir, "pgbouncer.ini")
	users := fmt.Sprintf("%q %q\n", u.user, u.password)
	if err := errors.Join(o.folder(b.dir), o.write(ini, []byte(b.conf)), o.write(filepath.Join(b.dir, "users"), []byte(users))); err != nil {
		return nil, err
	}
	cmd := exec.Command("pgbouncer", "-q", ini)
	o.run(cmd)
	cmd.Dir = b.dir
	if b.daemon, err = launch(cmd, syscall.SIGTERM); err != nil {
		return nil, err
	}
	if err := b.until(func() error {
		_, err := os.Stat(filepath.Join(b.dir, ".s.PGSQL."+strconv.Itoa(u.port)))
		return err
	}); err != nil {
		b.end()
		return nil, err
	}
	return b, nil
}

func (b *bouncer) way() *way {
	return &way{name: "pgbouncer", bin: b.u.bin, password: b.u.password, conninfo: fmt.Sprintf("host=%s port=%d user=%s dbname=postgres", b.dir, b.u.port, b.u.user)}
}

// door is our own proxy between them.
type door struct {
	*daemon
	u           *upstream
	dir, status string
}

// doorPassword is what clients of the proxy give; the token they never see.
const doorPassword = "open sesame"

// target names the upstream instead of the local Lakebase's database, whose
// workspace still gives the token.
func target(port int) []string {
	return []string{"--pghost", "localhost", "--pgport", strconv.Itoa(port), "--database", "postgres"}
}

func startDoor(dir string, u *upstream) (*door, error) {
	d := &door{u: u, dir: filepath.Join(dir, "door"), status: filepath.Join(dir, "status.json")}
	file := filepath.Join(dir, "password")
	if err := errors.Join(os.Mkdir(d.dir, 0o700), os.WriteFile(file, []byte(doorPassword+"\n"), 0o600)); err != nil {
		return nil, err
	}
	argv := append([]string{"proxy", "--wait", "always", "--listen", d.dir, "--password-file", file, "--status-file", d.status, "--sslrootcert", u.ca}, target(u.port)...)
	cmd := exec.Command(helper, argv...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if d.daemon, err = launch(cmd, syscall.SIGTERM); err != nil {
		return nil, err
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || filepath.Dir(line) != d.dir {
		d.end()
		return nil, fmt.Errorf("the proxy tells %q: %v: %s", line, err, d.errors.String())
	}
	return d, nil
}

func (d *door) way() *way {
	return &way{name: "lakebase-exec", bin: d.u.bin, password: doorPassword, conninfo: fmt.Sprintf("host=%s port=%d user=%s dbname=postgres", d.dir, d.u.port, d.u.user)}
}

// counts is what the proxy tells of itself.
type counts struct {
	Open   int `json:"open_connections"`
	Logins int `json:"logins"`
	Failed int `json:"failed_logins"`
}

// told waits until the proxy tells what is expected.
func (d *door) told(expected func(counts) bool) error {
	var c counts
	return d.until(func() error {
		data, err := os.ReadFile(d.status)
		if err == nil {
			err = json.Unmarshal(data, &c)
		}
		if err == nil && !expected(c) {
			err = fmt.Errorf("a wrong count: %+v", c)
		}
		return err
	})
}
