package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// asking bounds one question, login and wake included.
const asking = 40 * time.Second

// answers is whoAmI with a name for node's drivers.
const answers = whoAmI + " as answer"

// sqlClient makes a new login for each question.
type sqlClient struct {
	name string // its application_name
	ask  func() (string, error)
	done func() error
}

func (s *supervised) client(name string, argv ...string) *exec.Cmd {
	s.t.Helper()
	cmd := s.command(argv...)
	cmd.Env = append(slices.Clone(s.env), "PGAPPNAME="+name)
	return cmd
}

func (s *supervised) psqlAs(name string) *sqlClient {
	s.t.Helper()
	return s.eachTime(name, s.command("psql").Path, "-XwAtc", answers)
}

// commandAs is a client that answers by its exit code.
func (s *supervised) commandAs(name string, argv ...string) *sqlClient {
	s.t.Helper()
	c := s.eachTime(name, s.command(argv[0]).Path, argv[1:]...)
	run := c.ask
	c.ask = func() (string, error) {
		_, err := run()
		return s.lakebase.ClientID + " in " + emulator.Database, err
	}
	return c
}

// eachTime is a new process for each question.
func (s *supervised) eachTime(name, path string, args ...string) *sqlClient {
	return &sqlClient{name, func() (string, error) {
		ctx, cancel := context.WithTimeout(context.Background(), asking)
		defer cancel()
		cmd := exec.CommandContext(ctx, path, args...)
		cmd.Env = append(slices.Clone(s.env), "PGAPPNAME="+name)
		var said bytes.Buffer
		cmd.Stderr = &said
		out, err := cmd.Output()
		if err == nil && said.Len() > 0 {
			err = errors.New("stderr")
		}
		if err != nil {
			err = fmt.Errorf("%w: %s", err, &said)
		}
		return string(out), err
	}, func() error { return nil }}
}

func (s *supervised) talk(name string, env []string, argv ...string) *sqlClient {
	s.t.Helper()
	cmd := s.client(name, argv...)
	cmd.Env = append(cmd.Env, env...)
	in, err := cmd.StdinPipe()
	must(s.t, err)
	out, err := cmd.StdoutPipe()
	must(s.t, err)
	var said bytes.Buffer
	cmd.Stderr = &said
	must(s.t, cmd.Start())
	lines := bufio.NewReader(out)
	return &sqlClient{name, func() (string, error) {
		stuck := time.AfterFunc(asking, func() { _ = cmd.Process.Kill() })
		defer stuck.Stop()
		if _, err := in.Write([]byte("\n")); err != nil {
			return "", err
		}
		return lines.ReadString('\n')
	}, func() error {
		_ = in.Close()
		_, _ = io.Copy(io.Discard, lines)
		if err := cmd.Wait(); err != nil || said.Len() > 0 {
			return fmt.Errorf("ended with %v: %s", err, &said)
		}
		return nil
	}}
}

// asksPsycopg is for psycopg2 what test/drivers is for Go's drivers.
const asksPsycopg = `
import psycopg2, sys
for line in iter(sys.stdin.readline, ""):
    try:
        connection = psycopg2.connect("")
        cursor = connection.cursor()
        cursor.execute(sys.argv[1])
        answer = cursor.fetchone()[0]
        connection.close()
    except Exception as e:
        answer = "failed: " + str(e).replace("\n", " ")
    print(answer, flush=True)
`

// readers are the clients that read the password at each login.
func (s *supervised) readers(drivers string) []*sqlClient {
	s.t.Helper()
	return []*sqlClient{
		s.psqlAs("psql"),
		s.talk("psycopg2", nil, "/usr/bin/python3", "-c", asksPsycopg, answers),
		s.node("pg"),
		s.talk("pq", nil, drivers, "pq", answers),
	}
}

func (s *supervised) node(driver string) *sqlClient { return s.nodeAs(driver, driver) }

// nodeAs starts one of node's drivers, which do not read PGSSLROOTCERT; pg announces
// the removal of PGPASSFILE.
func (s *supervised) nodeAs(name, driver string) *sqlClient {
	s.t.Helper()
	nodeModule(s.t, strings.TrimSuffix(driver, "-url"))
	return s.talk(name, []string{"NODE_EXTRA_CA_CERTS=" + s.lakebase.CAFile()}, "node", "--no-deprecation",
		absolute(s.t, "node", "logins.js"), driver, answers)
}

// buildDrivers builds the clients of test/drivers, once.
var buildDrivers = sync.OnceValues(func() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	path := filepath.Join(bin, "drivers")
	if out, err := exec.CommandContext(ctx, "go", "build", "-C", filepath.Join("..", "drivers"), "-o", path, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("building Go's drivers: %w\n%s", err, out)
	}
	return path, nil
})

func drivers(t testing.TB) string {
	t.Helper()
	path, err := buildDrivers()
	must(t, err)
	return path
}

// renewals has each talker log in each second. gate is held for each question, so
// that who locks it finds no connection in use.
type renewals struct {
	t    testing.TB
	base *emulator.Lakebase
	gate sync.RWMutex
}

// run returns when the time is over and all have ended. Each login has to succeed;
// how many there are is the machine's affair, so who calls it counts their tokens.
func (r *renewals) run(span time.Duration, talkers []*sqlClient) {
	begin := time.Now()
	want := r.base.ClientID + " in " + emulator.Database
	var all sync.WaitGroup
	for _, who := range talkers {
		all.Go(func() {
			turns, failed, slowest := 0, 0, time.Duration(0)
			every := time.NewTicker(time.Second)
			defer every.Stop()
			for ; time.Since(begin) < span && failed < 3; <-every.C {
				r.gate.RLock()
				at := time.Now()
				answer, err := who.ask()
				slowest = max(slowest, time.Since(at))
				r.gate.RUnlock()
				turns++
				if answer = strings.TrimSuffix(answer, "\n"); err != nil || answer != want {
					failed++
					r.t.Errorf("%s: login %d, after %s: %q (%v)", who.name, turns, at.Sub(begin).Round(time.Millisecond), answer, err)
				}
			}
			if err := who.done(); err != nil {
				r.t.Errorf("%s: %v", who.name, err)
			}
			r.t.Logf("%s: %d logins, the slowest %s", who.name, turns, slowest.Round(time.Millisecond))
		})
	}
	all.Wait()
}

// suspend suspends the compute in the middle of the run, while there are no logins, for
// so long that a pool checks its idle connections.
func (r *renewals) suspend(span time.Duration) {
	time.Sleep(span / 2)
	r.gate.Lock()
	defer r.gate.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	r.base.SetWake(emulator.StartingUp, 1500*time.Millisecond)
	if err := r.base.Suspend(ctx); err != nil {
		r.t.Error(err)
	}
	time.Sleep(1200 * time.Millisecond)
}

// wantOneSuspension checks that the compute was woken, and that the server refused logins
// during the wake only.
func (r *renewals) wantOneSuspension() {
	r.t.Helper()
	if r.base.WokenAt().IsZero() {
		r.t.Error("the compute was not woken")
	}
	for _, n := range r.base.Logins() { // one without a state is given up by the proxy
		during := n.SQLState == "57P03" && n.Time.Before(r.base.UpAt())
		if n.SQLState != "" && n.SQLState != "00000" && !during {
			r.t.Errorf("a login was refused upstream: %+v", n)
		}
	}
}

// tokens checks that each talker came through, and with how many tokens.
func (r *renewals) tokens(talkers []*sqlClient, least int) {
	r.t.Helper()
	for _, who := range talkers {
		if got := tokensIn(by(who.name, r.base.Logins()), shortLife); got < least {
			r.t.Errorf("%s: its logins show %d tokens, not %d at the least", who.name, got, least)
		}
	}
	// One supervisor asks once for each of two thirds of a life.
	span, _ := longLivedSpan()
	most := int(span/(shortLife*6/10)) + 3
	if got := r.base.Counters().ByCall[emulator.CallCredentials]; got < least || got > most {
		r.t.Errorf("%d tokens were asked for, not %d to %d", got, least, most)
	}
}
