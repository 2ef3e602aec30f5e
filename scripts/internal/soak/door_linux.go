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

// openDoor starts the proxy and waits until it listens and has renewed its token
// once: from then on it knows the secret, and can do without the keychain.
func openDoor(ctx context.Context, w *world) (*door, error) {
	d := &door{dir: filepath.Join(w.dir, "door"), port: w.base.PGPort(), user: w.base.ClientID, file: w.statusFile(), ended: make(chan struct{})}
	if err := os.Mkdir(d.dir, 0o700); err != nil {
		return nil, err
	}
	d.cmd = exec.Command(helper, "proxy", "--listen", d.dir, "--trust-local", "--status-file", d.file)
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	d.cmd.Env, d.cmd.Stderr = w.env, &d.stderr
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { _ = d.cmd.Wait(); close(d.ended) }()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err := until(ctx, func() bool {
		_, err1 := os.Stat(d.socket())
		s, err2 := d.status()
		return err1 == nil && err2 == nil && s.Refreshes > 0 || d.gone() != nil
	})
	if err = errors.Join(err, d.gone()); err != nil {
		return nil, errors.Join(fmt.Errorf("the proxy does not listen, or renews nothing: %w: %s", err, d.said()), d.end())
	}
	return d, nil
}

func (d *door) socket() string { return filepath.Join(d.dir, ".s.PGSQL."+d.port) }

// gone is an error once the proxy has ended.
func (d *door) gone() error {
	select {
	case <-d.ended:
		return fmt.Errorf("the proxy ended: %s", d.cmd.ProcessState)
	default:
		return nil
	}
}

// end tells the proxy to end, which it must do well and leaving nothing.
func (d *door) end() error {
	early := d.gone()
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.ended:
	case <-time.After(10 * time.Second):
		_ = d.cmd.Process.Kill()
		<-d.ended
		return errors.New("the proxy did not end")
	}
	var left error
	for _, path := range []string{d.socket(), d.file} {
		if _, err := os.Lstat(path); err == nil {
			left = errors.Join(left, fmt.Errorf("%s is left", filepath.Base(path)))
		}
	}
	if !d.cmd.ProcessState.Success() {
		left = errors.Join(left, fmt.Errorf("the proxy ended with %s", d.cmd.ProcessState))
	}
	return errors.Join(early, left)
}

// status is what the proxy tells of itself.
type status struct {
	Refreshes       int       `json:"refreshes"`
	FailedRefreshes int       `json:"failed_refreshes"`
	Logins          int       `json:"logins"`
	FailedLogins    int       `json:"failed_logins"`
	Wakes           int       `json:"wakes"`
	OpenConnections int       `json:"open_connections"`
	WaitingLogins   int       `json:"waiting_logins"`
	Goroutines      int       `json:"goroutines"`
	UpdatedAt       time.Time `json:"updated_at"`
}

func (d *door) status() (status, error) { return readStatus(d.file) }

func readStatus(file string) (s status, err error) {
	data, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	return s, err
}

// sample is the least that the proxy had while it had no clients: a renewal comes
// and goes.
type sample struct {
	at                               time.Duration
	rss                              float64 // MiB
	descriptors, goroutines, threads int
}

func (m sample) String() string {
	return fmt.Sprintf("after %-7s %6.1f MiB resident, %3d descriptors, %3d goroutines, %3d threads", m.at.Round(time.Second), m.rss, m.descriptors, m.goroutines, m.threads)
}

// measure looks for so long at a proxy whose clients have left.
func (d *door) measure(ctx context.Context, span time.Duration) (least sample, err error) {
	begun, ends := time.Now(), time.Now().Add(span)
	told := false
	for ; time.Now().Before(ends) && ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
		m, err := d.look()
		if err := errors.Join(err, d.gone()); err != nil {
			return least, err
		}
		// A status of before has more goroutines: clients'. Its time is in whole seconds.
		if s, err := d.status(); err == nil && s.OpenConnections == 0 && s.UpdatedAt.After(begun) {
			told, m.goroutines = true, s.Goroutines
		}
		least = least.or(m)
	}
	if !told && ctx.Err() == nil {
		return least, fmt.Errorf("for %s the status file did not tell of a proxy without clients", span)
	}
	return least, ctx.Err()
}

// or is the least of both; nothing is more.
func (m sample) or(n sample) sample {
	if m.rss == 0 {
		return n
	}
	least := func(a, b int) int {
		if a == 0 || b == 0 {
			return max(a, b)
		}
		return min(a, b)
	}
	return sample{rss: min(m.rss, n.rss), descriptors: least(m.descriptors, n.descriptors), goroutines: least(m.goroutines, n.goroutines), threads: least(m.threads, n.threads)}
}

// look is what the system tells of the proxy.
func (d *door) look() (m sample, err error) {
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
		return m, errors.Join(errors.New("the proxy's /proc entry cannot be read (it is open to root alone)"), err)
	}
	return m, nil
}

// until waits for something.
func until(ctx context.Context, ok func() bool) error {
	for !ok() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
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
