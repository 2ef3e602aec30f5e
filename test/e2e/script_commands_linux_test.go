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

// listener is an untrusted server: a TCP port on loopback that counts connections and
// closes them.
type listener struct {
	net.Listener
	came atomic.Int64
	done chan struct{}
}

func newListener(ctx context.Context) (*listener, error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
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

// listener is the word: without arguments it opens one and sets
// $LISTENER_PORT, with "count N" it wants N connections.
func (s *scriptEnv) listener(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("listener: say the number that is wanted")
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if len(args) == 0 {
		if s.untrusted != nil {
			s.untrusted.stop()
		}
		l, err := newListener(ctx)
		ts.Check(err)
		s.untrusted = l
		_, port, err := net.SplitHostPort(l.Addr().String())
		ts.Check(err)
		ts.Setenv("LISTENER_PORT", port)
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
			ts.Fatalf("%s connections came, not %s", got, args[1])
		}
	}
}

// twice runs BIN/PROGRAM with names that stand twice in its environment, which
// os/exec would not let through: the words NAME=VALUE before the program stand
// before the script's own.
func (s *scriptEnv) twice(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("twice: say the exit code that is wanted")
	}
	var front []string
	for len(args) > 0 && strings.Contains(args[0], "=") {
		front, args = append(front, args[0]), args[1:]
	}
	if len(args) < 2 {
		ts.Fatalf("usage: twice NAME=VALUE… CODE PROGRAM [ARG…]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	out := filepath.Join(s.dir, ".twice.out")
	code, err := spawn(filepath.Join(bin, args[1]), args[1:], append(front, s.environ(ts)...), s.dir, out)
	ts.Check(err)
	text, err := os.ReadFile(out)
	ts.Check(err)
	ts.Check(os.Remove(out))
	if _, err := ts.Stdout().Write(text); err != nil {
		ts.Fatalf("%v", err)
	}
	if code != want {
		ts.Fatalf("exit code %d, not %d\n%s", code, want, text)
	}
	if found := s.findLeak(string(text), true); found != "" {
		ts.Fatalf("the output has %s in it", found)
	}
}

// spawn runs a program with exactly this environment, both its outputs in one file.
func spawn(path string, argv, environ []string, dir, out string) (int, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	f, err := os.OpenFile(out, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	p, err := os.StartProcess(path, argv, &os.ProcAttr{Dir: dir, Env: environ, Files: []*os.File{null, f, f}})
	if err != nil {
		return 0, err
	}
	watch := time.AfterFunc(limit, func() { _ = p.Kill() })
	defer watch.Stop()
	state, err := p.Wait()
	if err != nil {
		return 0, err
	}
	return state.ExitCode(), nil
}

// environ is the script's environment, each name once. testscript has no function for
// it, so a program prints it.
func (s *scriptEnv) environ(ts *testscript.TestScript) []string {
	ts.Check(ts.Exec("env", "-0"))
	return strings.Split(strings.TrimSuffix(ts.ReadFile("stdout"), "\x00"), "\x00")
}

// keyringCalls checks the number of calls to the keychain.
func (s *scriptEnv) keyringCalls(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: desktop calls METHOD N")
	}
	if got := fmt.Sprint(s.keyring.Calls()[args[0]]); (got == args[1]) == neg {
		ts.Fatalf("%s was called %s times\n%v", args[0], got, s.keyring.Calls())
	}
}

// authVariables are set by one authentication type and must be unset for the others.
var authVariables = []string{"DATABRICKS_CLIENT_ID", "DATABRICKS_CLIENT_SECRET", "DATABRICKS_TOKEN", "DATABRICKS_OIDC_TOKEN", "DATABRICKS_OIDC_TOKEN_FILEPATH",
	"DATABRICKS_OIDC_TOKEN_ENV", "DATABRICKS_AUTH_TYPE", "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "PGUSER"}

// auth sets the variables of one authentication type, as "lakebase env" prints them,
// and unsets those of the others.
func (s *scriptEnv) auth(ts *testscript.TestScript, neg bool, args []string) {
	l := s.lakebases["first"]
	if l == nil || len(args) == 0 || neg {
		ts.Fatalf("way WAY [WORD…], after lakebase start")
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	out, err := control.Do(ctx, l, append([]string{"env"}, args...))
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

// searchFiles looks through every file that a run may have left, the keyring's own
// aside (gnome-keyring encrypts it, so a secret in clear is found there too).
func (s *scriptEnv) searchFiles(ts *testscript.TestScript) string {
	found := ""
	_ = filepath.WalkDir(s.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || mayHoldSecret(path) {
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

// mayHoldSecret reports whether a script itself puts a secret into this file: its own, .databrickscfg, and those of login --store file.
func mayHoldSecret(path string) bool {
	switch filepath.Base(path) {
	case "secret", "secret2", ".databrickscfg":
		return true
	}
	return strings.Contains(filepath.Dir(path), "/lakebase/secrets")
}
