package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// control serves ctl over a Unix socket in the emulator's folder, mode 0600.
type control struct {
	l      *emulator.Lakebase
	server *http.Server
	done   sync.WaitGroup
}

// command is one ctl call: its words, without "ctl" and --control.
type command struct {
	Words []string `json:"words"`
}

func startControl(l *emulator.Lakebase, socket string) (*control, error) {
	ln, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(socket, 0o600); err != nil {
		_ = ln.Close()
		return nil, err
	}
	c := &control{l: l}
	c.server = &http.Server{Handler: c, ReadHeaderTimeout: 5 * time.Second}
	c.done.Go(func() { _ = c.server.Serve(ln) })
	return c, nil
}

// Close ends the control server.
func (c *control) Close() error {
	err := c.server.Close()
	c.done.Wait()
	return err
}

// ServeHTTP answers POST / with the text that ctl prints: 400 for a bad command,
// 500 for one that failed.
func (c *control) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var cmd command
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&cmd); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	text, err := c.obey(r.Context(), cmd.Words)
	switch {
	case errors.Is(err, errUsage):
		http.Error(w, err.Error(), http.StatusBadRequest)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		_, _ = io.WriteString(w, text)
	}
}

func (c *control) obey(ctx context.Context, words []string) (string, error) {
	if len(words) == 0 {
		return "", fmt.Errorf("%w: ctl suspend|resume|wake|set|fault|clear-faults|requests|logins|status|reset", errUsage)
	}
	name, args := words[0], words[1:]
	switch name {
	case "suspend":
		return "", c.l.Suspend(ctx)
	case "resume":
		return "", c.l.Resume(ctx)
	case "wake":
		if len(args) != 2 {
			return "", fmt.Errorf("%w: ctl wake MODE DURATION", errUsage)
		}
		mode, takes, err := parseWake(args[0], args[1])
		if err == nil {
			c.l.SetWake(mode, takes)
		}
		return "", err
	case "set":
		return "", set(c.l, args)
	case "fault":
		f, err := parseFault(args)
		if err == nil {
			c.l.Set(func(s *emulator.Switches) { s.Faults = append(s.Faults, f) })
		}
		return "", err
	case "clear-faults":
		c.l.Set(func(s *emulator.Switches) { s.Faults = nil })
		return "", nil
	case "status":
		return status(c.l), nil
	case "requests", "logins":
		return c.records(name, slices.Contains(args, "--reset")), nil
	case "reset":
		c.l.ResetCounters()
		return "", nil
	}
	return "", fmt.Errorf("%w: no such command: %q", errUsage, name)
}

// records prints one line for each request or login; times are Unix nanoseconds.
func (c *control) records(which string, reset bool) string {
	var b strings.Builder
	if which == "requests" {
		for _, q := range c.l.Requests() {
			fmt.Fprintf(&b, "%d %s %s %s %d %s %s\n", q.Time.UnixNano(), q.Call, q.Method, q.Path, q.Status, q.Proto, q.Remote)
		}
	} else {
		for _, n := range c.l.Logins() {
			fmt.Fprintf(&b, "%d %d %q %q %q %q %q\n", n.Time.UnixNano(), n.Decided.UnixNano(), n.User, n.Database, n.Application, n.SQLState, n.Result)
		}
	}
	if reset {
		c.l.ResetCounters()
	}
	return b.String()
}

// status is plain name=value lines; a time that there is not is 0.
func status(l *emulator.Lakebase) string {
	n, s := l.Counters(), l.Switches()
	var b strings.Builder
	fmt.Fprintf(&b, "state=%s\nup_at=%d\nwoken_at=%d\nwake=%s\nwake_time=%s\n", l.State(), nanos(l.UpAt()), nanos(l.WokenAt()), wakeName(s.Wake), wakeTime(s.WakeTime))
	fmt.Fprintf(&b, "requests=%d\nconnections=%d\nhandshakes=%d\nlogins=%d\nlogins_ok=%d\ncancels=%d\n", n.Requests, n.Connections, n.Handshakes, n.Logins, n.LoginsOK, n.Cancels)
	for _, call := range emulator.Calls() {
		if call != emulator.AnyCall {
			fmt.Fprintf(&b, "requests_%s=%d\n", call, n.ByCall[call])
		}
	}
	fmt.Fprintf(&b, "faults=%d\npid=%d\ndir=%s\n", len(s.Faults), os.Getpid(), l.Dir())
	return b.String()
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func wakeName(m emulator.WakeMode) emulator.WakeMode {
	if m == "" {
		return emulator.Held
	}
	return m
}

func wakeTime(d time.Duration) string {
	if d == emulator.Never {
		return "never"
	}
	return d.String()
}
