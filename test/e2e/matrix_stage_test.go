package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
	"github.com/lakebase-exec/lakebase-exec/test/emulator/control"
)

// matrixInstance is the instance beside the emulator's one endpoint.
const matrixInstance = "shop"

// matrixStage is where one case plays: a healthy Lakebase to begin with, a home of its
// own, a stranger, and what stands in front of workspace and compute.
type matrixStage struct {
	*matrixCase
	t        *testing.T
	base     *emulator.Lakebase
	dir      string
	env      map[string]string
	stranger *listener
	secrets  []string // beside the Lakebase's own
	more     []string // options that a door asks for
}

func newStage(t *testing.T, l *emulator.Lakebase, c *matrixCase) *matrixStage {
	t.Helper()
	s := &matrixStage{matrixCase: c, t: t, base: l, dir: t.TempDir()}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	// What an earlier case has left: a sleeping compute, open connections.
	if l.State() != emulator.Up || l.Clients() > 0 {
		s.must(l.Suspend(ctx))
	}
	l.Set(func(s *emulator.Settings) { *s = emulator.Settings{WorkspacePassword: c.instance} })
	s.must(l.Resume(ctx))
	l.ResetCounters()
	var err error
	s.stranger, err = newListener(ctx)
	s.must(err)
	t.Cleanup(s.stranger.stop)
	s.furnish()
	return s
}

func (s *matrixStage) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// furnish makes the environment: the guide's, and nothing of the caller's.
func (s *matrixStage) furnish() {
	s.env = map[string]string{
		"PATH": bin + string(os.PathListSeparator) + os.Getenv("PATH"),
		"HOME": filepath.Join(s.dir, "home"), "XDG_RUNTIME_DIR": filepath.Join(s.dir, "run"), "LC_ALL": "C",
		"DBUS_SESSION_BUS_ADDRESS": "unix:path=" + filepath.Join(s.dir, "no-bus"),
		"GORACE":                   "atexit_sleep_ms=0", // else each program of ours ends a second late
		"LAKEBASE_CACHE":           "off",
	}
	for _, d := range []string{"HOME", "XDG_RUNTIME_DIR"} {
		s.must(os.Mkdir(s.env[d], 0o700))
	}
	for _, e := range s.base.Env() {
		name, value, _ := strings.Cut(e, "=")
		s.env[name] = value
	}
	if !s.instance {
		delete(s.env, "LAKEBASE_INSTANCE")
		s.env["ENDPOINT_NAME"] = s.base.Endpoint
	}
	roots, err := os.ReadFile(s.base.CAFile())
	s.must(err)
	for _, d := range s.doors {
		roots = append(roots, s.open(d)...)
	}
	file := filepath.Join(s.dir, "roots.pem")
	s.must(os.WriteFile(file, roots, 0o600))
	s.env["LAKEBASE_CACERT"], s.env["PGSSLROOTCERT"] = file, file
	for _, e := range s.matrixCase.env {
		name, value, _ := strings.Cut(s.expanded(e), "=")
		if s.env[name] = value; value == "" {
			delete(s.env, name)
		}
	}
}

func (s *matrixStage) expanded(text string) string {
	s.t.Helper()
	out, err := s.expand(text)
	s.must(err)
	return out
}

// steer carries out one step.
func (s *matrixStage) steer(words []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	var all []string
	for _, w := range words {
		text, err := s.expand(w)
		if err != nil {
			return err
		}
		all = append(all, text)
	}
	_, err := control.Do(ctx, s.base, all)
	return err
}

// play runs the program once, and looks at what came of it.
func (s *matrixStage) play() {
	s.t.Helper()
	for _, st := range s.steps {
		if st.after == 0 && st.when == "" {
			s.must(s.steer(st.words))
		}
	}
	cmd, cancel := s.command()
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	begin := time.Now()
	s.must(cmd.Start())
	ended := make(chan struct{})
	later := s.steerLater(ended)
	err := cmd.Wait()
	took := time.Since(begin)
	close(ended)
	s.must(later())
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatalf("%v: %v", s.run, err)
	}
	s.quiet()
	e := runEnd{begin: begin, took: took, code: cmd.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String()}
	if s.check(&e); s.t.Failed() || testing.Verbose() {
		s.t.Logf("%s: %v\n%q\ntook %s, exit code %d\nstdout: %s\nstderr: %s", s.about, s.run, s.matrixCase.env, took, e.code, shortened(e.stdout), e.stderr)
	}
}

// command is the program, not yet started; what it starts tells of its start.
func (s *matrixStage) command() (*exec.Cmd, context.CancelFunc) {
	var words []string
	for _, w := range s.run {
		words = append(words, s.expanded(w))
	}
	if words[0] == "lakebase-exec" {
		options, command, given := words, []string{"true"}, false
		for i, w := range words {
			if w == "--" && !given {
				options, command, given = words[:i:i], words[i+1:], true
			}
		}
		words = append(slices.Concat(options, s.more), "--", "sh", "-c", `echo started >>"$0"; exec "$@"`, s.startsFile())
		words = append(words, command...)
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	cmd := exec.CommandContext(ctx, filepath.Join(bin, words[0]), words[1:]...)
	cmd.Args[0], cmd.Dir, cmd.WaitDelay = words[0], s.env["HOME"], time.Minute
	for name, value := range s.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return cmd, cancel
}

func (s *matrixStage) startsFile() string { return filepath.Join(s.dir, "started") }
func (s *matrixStage) doneFile() string   { return filepath.Join(s.dir, "done") }

// steerLater carries out the steps that have a time or wait for something; the
// function that it gives waits for them.
func (s *matrixStage) steerLater(ended <-chan struct{}) func() error {
	var steps []steerStep
	for _, st := range s.steps {
		if st.after > 0 || st.when != "" {
			steps = append(steps, st)
		}
	}
	failed := make(chan error, len(steps))
	for _, st := range steps {
		go func() { failed <- s.steerThen(st, ended) }()
	}
	all := make(chan error, 1)
	go func() {
		var err error
		for range steps {
			err = errors.Join(err, <-failed)
		}
		all <- errors.Join(err, os.WriteFile(s.doneFile(), nil, 0o600))
	}()
	return func() error { return <-all }
}

// steerThen carries out one step at its time.
func (s *matrixStage) steerThen(st steerStep, ended <-chan struct{}) error {
	time.Sleep(st.after)
	for st.when != "" && !s.came(st.when) {
		select {
		case <-ended:
			return fmt.Errorf("the run is over, and never was: %s", st.when)
		case <-time.After(5 * time.Millisecond):
		}
	}
	return s.steer(st.words)
}

func (s *matrixStage) came(when string) bool {
	if when == "waking" {
		return s.base.State() == emulator.Waking
	}
	_, err := os.Stat(s.startsFile())
	return err == nil
}

// quiet waits until the Lakebase has seen that the program is gone, so that all
// is counted. Connections that nobody reads end with a suspend.
func (s *matrixStage) quiet() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for i := 0; s.base.Clients() > 0; i++ {
		if i == 100 || s.base.State() == emulator.Waking {
			s.must(s.base.Suspend(ctx))
		}
		if ctx.Err() != nil {
			s.t.Fatalf("%d connections to the database are left open", s.base.Clients())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// shortened keeps a token out of a test's log too.
func shortened(text string) string {
	if len(text) > 60 {
		return fmt.Sprintf("%q… (%d bytes)", text[:60], len(text))
	}
	return fmt.Sprintf("%q", text)
}
