package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// door is the proxy under test.
type door struct {
	cmd    *exec.Cmd
	dir    string // its socket's
	port   string
	user   string
	file   string // its status
	ended  chan struct{}
	stderr lines
}

// openDoor starts the proxy and waits until it listens.
func openDoor(ctx context.Context, dir string) (*door, error) {
	d := &door{dir: filepath.Join(dir, "door"), port: os.Getenv("PGPORT"), user: os.Getenv("DATABRICKS_CLIENT_ID"), file: filepath.Join(dir, "status.json"), ended: make(chan struct{})}
	if d.port == "" || d.user == "" || os.Getenv("LOCAL_LAKEBASE_CONTROL") == "" {
		return nil, errors.New("the variables of a local Lakebase are not set: run scripts/soak")
	}
	if err := os.Mkdir(d.dir, 0o700); err != nil {
		return nil, err
	}
	d.cmd = exec.Command("lakebase-credential-helper", "proxy", "--listen", d.dir, "--trust-local", "--status-file", d.file)
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	d.cmd.Stderr = &d.stderr
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { _ = d.cmd.Wait(); close(d.ended) }()
	// What follows is for our own clients, which are told where to go.
	for _, e := range os.Environ() {
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "PG") {
			_ = os.Unsetenv(name)
		}
	}
	socket := filepath.Join(d.dir, ".s.PGSQL."+d.port)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if _, err := os.Stat(socket); err == nil {
			if _, err := d.status(); err == nil {
				return d, nil
			}
		}
		select {
		case <-d.ended:
			return nil, fmt.Errorf("the proxy ended: %s", d.said())
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), d.end())
		default:
		}
		if time.Now().After(deadline) {
			return nil, errors.Join(fmt.Errorf("the proxy does not listen: %s", d.said()), d.end())
		}
	}
}

// end tells it to end, and waits.
func (d *door) end() error {
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.ended:
	case <-time.After(10 * time.Second):
		_ = d.cmd.Process.Kill()
		<-d.ended
		return errors.New("the proxy did not end")
	}
	return nil
}

// status is what the proxy tells of itself.
type status struct {
	Refreshes       int `json:"refreshes"`
	FailedRefreshes int `json:"failed_refreshes"`
	Logins          int `json:"logins"`
	FailedLogins    int `json:"failed_logins"`
	Wakes           int `json:"wakes"`
	OpenConnections int `json:"open_connections"`
	WaitingLogins   int `json:"waiting_logins"`
}

func (d *door) status() (s status, err error) {
	data, err := os.ReadFile(d.file)
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	return s, err
}

// sample is what the proxy has, without clients.
type sample struct {
	at          time.Duration
	rss         float64 // MiB
	descriptors int
	threads     int
}

func (m sample) String() string {
	return fmt.Sprintf("after %-9s %6.1f MiB resident, %3d descriptors, %3d threads", m.at.Round(time.Second), m.rss, m.descriptors, m.threads)
}

func (d *door) measure() (m sample, err error) {
	select {
	case <-d.ended:
		return m, fmt.Errorf("the proxy ended: %s", d.said())
	default:
	}
	dir := filepath.Join("/proc", strconv.Itoa(d.cmd.Process.Pid))
	fds, err1 := os.ReadDir(filepath.Join(dir, "fd"))
	tasks, err2 := os.ReadDir(filepath.Join(dir, "task"))
	text, err3 := os.ReadFile(filepath.Join(dir, "status"))
	m.descriptors, m.threads = len(fds), len(tasks)
	for line := range strings.Lines(string(text)) {
		var kib float64
		if n, _ := fmt.Sscanf(line, "VmRSS: %f kB", &kib); n == 1 {
			m.rss = kib / 1024
		}
	}
	if err := errors.Join(err1, err2, err3); err != nil || m.rss == 0 {
		return m, fmt.Errorf("the proxy's /proc entry cannot be read (it is open to root alone): %w", err)
	}
	return m, nil
}

// lines keeps what the proxy says.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (d *door) said() string {
	d.stderr.mu.Lock()
	defer d.stderr.mu.Unlock()
	return d.stderr.text.String()
}
