package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
	"github.com/lakebase-exec/lakebase-exec/test/emulator/control"
)

// listener is an untrusted server on this machine that counts connections and closes
// them.
type listener struct {
	net.Listener
	came atomic.Int64
	done chan struct{}
}

func newListener(ctx context.Context, network, address string) (*listener, error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, network, address)
	if err != nil {
		return nil, err
	}
	l := &listener{Listener: ln, done: make(chan struct{})}
	go func() {
		defer close(l.done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			l.came.Add(1)
			_ = c.Close()
		}
	}()
	return l, nil
}

func (l *listener) stop() {
	_ = l.Close()
	<-l.done
}

func (l *listener) port() string { return strconv.Itoa(l.Addr().(*net.TCPAddr).Port) }

// listener is the command: without arguments it opens one and sets
// $LISTENER_PORT, with "count N" it wants N connections.
func (s *scriptEnv) listener(ts *testscript.TestScript, args []string) {
	if len(args) == 0 {
		if s.untrusted != nil {
			s.untrusted.stop()
		}
		var err error
		s.untrusted, err = newListener(context.Background(), "tcp", "127.0.0.1:0")
		ts.Check(err)
		ts.Setenv("LISTENER_PORT", s.untrusted.port())
		return
	}
	if len(args) != 2 || args[0] != "count" || s.untrusted == nil {
		ts.Fatalf("usage: listener [count N]")
	}
	// A connection in the queue counts too.
	for end := time.Now().Add(time.Second); ; time.Sleep(10 * time.Millisecond) {
		got := strconv.FormatInt(s.untrusted.came.Load(), 10)
		if got == args[1] && (got != "0" || time.Now().After(end.Add(-900*time.Millisecond))) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("got %s connections, want %s", got, args[1])
		}
	}
}

// twice runs BIN/PROGRAM with names that stand twice in its environment, which
// os/exec would not let through: the words NAME=VALUE before the program stand
// before the script's own.
func (s *scriptEnv) twice(ts *testscript.TestScript, args []string) {
	var environ []string
	for len(args) > 0 && strings.Contains(args[0], "=") {
		environ, args = append(environ, args[0]), args[1:]
	}
	if len(args) < 2 {
		ts.Fatalf("usage: twice NAME=VALUE… CODE PROGRAM [ARG…]")
	}
	// testscript has no function for its environment, so a program prints it.
	ts.Check(ts.Exec("env", "-0"))
	environ = append(environ, strings.Split(strings.TrimSuffix(ts.ReadFile("stdout"), "\x00"), "\x00")...)
	out, err := os.OpenFile(filepath.Join(s.dir, ".twice.out"), os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
	ts.Check(err)
	defer out.Close()
	p, err := os.StartProcess(filepath.Join(bin, args[1]), args[1:], &os.ProcAttr{Dir: s.dir, Env: environ, Files: []*os.File{nil, out, out}})
	ts.Check(err)
	watch := time.AfterFunc(limit, func() { _ = p.Kill() })
	defer watch.Stop()
	state, err := p.Wait()
	ts.Check(err)
	text, err := os.ReadFile(out.Name())
	ts.Check(err)
	ts.Check(os.Remove(out.Name()))
	_, err = ts.Stdout().Write(text)
	ts.Check(err)
	if got := strconv.Itoa(state.ExitCode()); got != args[0] {
		ts.Fatalf("got exit code %s, want %s\n%s", got, args[0], text)
	}
	if found := s.findLeak(string(text), true); found != "" {
		ts.Fatalf("the output has %s in it", found)
	}
}

// authVariables are set by one authentication type and must be unset for the others.
var authVariables = []string{"DATABRICKS_CLIENT_ID", "DATABRICKS_CLIENT_SECRET", "DATABRICKS_TOKEN", "DATABRICKS_OIDC_TOKEN", "DATABRICKS_OIDC_TOKEN_FILEPATH",
	"DATABRICKS_OIDC_TOKEN_ENV", "DATABRICKS_AUTH_TYPE", "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "PGUSER"}

// auth sets the variables of one authentication type, as "lakebase env" prints them,
// and unsets those of the others.
func (s *scriptEnv) auth(ts *testscript.TestScript, args []string) {
	l := s.lakebases["first"]
	if l == nil || len(args) == 0 {
		ts.Fatalf("usage, after lakebase start: auth TYPE [WORD…]")
	}
	out, err := control.Do(context.Background(), l, append([]string{"env"}, args...))
	ts.Check(err)
	for _, name := range authVariables {
		ts.Setenv(name, "")
	}
	for _, line := range strings.Split(strings.TrimSuffix(out, "\n"), "\n") {
		name, value, _ := strings.Cut(line, "=")
		ts.Setenv(name, value)
	}
	if emulator.AuthType(args[0]) == emulator.AuthM2M {
		ts.Setenv("DATABRICKS_CLIENT_SECRET", "")
	}
}

// findLeak finds a secret, or unless they are allowed a token, in text.
func (s *scriptEnv) findLeak(text string, tokens bool) string {
	for _, l := range s.lakebases {
		if what := secretIn(l, text); what != "" {
			return what
		}
	}
	if !tokens && token.MatchString(text) {
		return "a token"
	}
	return ""
}

// searchFiles looks through every file that a run may have left (gnome-keyring encrypts
// its own, so a secret in clear is found there too), except those into which a script
// itself puts a secret, and those of login --store file.
func (s *scriptEnv) searchFiles() (found string) {
	_ = filepath.WalkDir(s.dir, func(path string, d os.DirEntry, err error) error {
		switch name := filepath.Base(path); {
		case err != nil || !d.Type().IsRegular(), name == "secret", name == "secret2", name == ".databrickscfg",
			strings.Contains(filepath.Dir(path), "/lakebase/secrets"):
			return nil
		}
		data, err := os.ReadFile(path)
		if err == nil && found == "" {
			// Only --cache file may store a token in a file.
			if what := s.findLeak(string(data), strings.HasPrefix(filepath.Base(path), "token-")); what != "" {
				found = fmt.Sprintf("file %s has %s in it", path, what)
			}
		}
		return nil
	})
	return found
}
