package e2e

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
	"github.com/lakebase-exec/lakebase-exec/test/testkeyring"
)

// Kills in all, and how many come one after the other before it is looked at what
// they have left.
const (
	defaultKills = 50
	batch        = 5
)

// busyMachineAllowance is what a run may take longer than usual on a busy machine. One that meets
// a lock that is not released takes longer still.
const busyMachineAllowance = 15 * time.Second

// number returns the number in a variable of the test, or fallback.
func number(t *testing.T, name string, fallback uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return fallback
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// TestCrash kills the programs at random moments of all that they write. What they
// leave has to work, and the next run has to clear it away. CRASH_KILLS says how
// often; CRASH_SEED repeats the moments of an earlier test.
func TestCrash(t *testing.T) {
	t.Parallel()
	seed := number(t, "CRASH_SEED", rand.Uint64())
	areas := []struct {
		name string
		part func(c *crash, kills int)
	}{{"login", crashLogin}, {"get", crashGet}, {"rotate", crashRotate}, {"passfile", crashPassfile}, {"proxy", crashProxy}}
	each := max(1, int(number(t, "CRASH_KILLS", defaultKills))/len(areas))
	t.Logf("%d kills in each of %d areas; CRASH_SEED=%d repeats them", each, len(areas), seed)
	var all sync.WaitGroup
	for i, area := range areas {
		all.Go(func() {
			t.Run(area.name, func(t *testing.T) {
				c := &crash{t: t, random: rand.New(rand.NewPCG(seed, uint64(i))), reach: 1}
				area.part(c, each)
				t.Logf("%d of %d were killed before their end", c.dead, c.kills)
				if c.kills < each || c.dead < c.kills/4 {
					t.Errorf("%d of %d were killed before their end", c.dead, c.kills)
				}
			})
		})
	}
	all.Wait()
}

// crash is one area in which programs are killed.
type crash struct {
	*fixture
	t           *testing.T
	random      *rand.Rand
	kills, dead int
	reach       float64 // how far into the span kills go, as a part of it
}

// batches calls strike so often, and look after each batch and at the end.
func (c *crash) batches(kills int, strike func(i int), look func()) {
	c.t.Helper()
	for i := range kills {
		strike(i)
		if i%batch == batch-1 || i == kills-1 {
			look()
		}
		if c.t.Failed() {
			c.t.Fatalf("after kill %d of %d", i+1, kills)
		}
	}
}

// kill starts cmd and kills it at a random moment of the span. One that came behind the
// run's end shortens the reach of the next, since the span was taken from a run that
// had more to do, or less of the machine. before, if there is one, is called ahead of
// the wait for the end.
func (c *crash) kill(cmd *exec.Cmd, span time.Duration, before func()) *result {
	c.t.Helper()
	r := c.start(cmd)
	at := c.random.Float64() * c.reach
	time.Sleep(time.Duration(at * float64(span)))
	must(c.t, cmd.Process.Signal(syscall.SIGKILL))
	if before != nil {
		before()
	}
	o := r.wait()
	c.kills++
	if o.status.Signaled() && o.status.Signal() == syscall.SIGKILL {
		c.dead++
		c.reach = min(1, c.reach*1.05)
	} else {
		o.wantExit(0)
		c.reach = at
	}
	return o
}

// wantQuick wants that a run works, in the time that it usually takes.
func (c *crash) wantQuick(usual time.Duration, cmd *exec.Cmd) *result {
	c.t.Helper()
	o := c.finish(cmd).wantExit(0)
	if o.took > usual+busyMachineAllowance {
		c.t.Errorf("%v took %s, and usually takes %s", o.argv, o.took, usual)
	}
	return o
}

// makeOld sets the modification time of all files in a directory to some minutes ago.
// Younger files may belong to a running program.
func (c *crash) makeOld(dirs ...string) {
	c.t.Helper()
	past := time.Now().Add(-5 * time.Minute)
	for _, dir := range dirs {
		_ = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err == nil {
				_ = os.Chtimes(path, past, past)
			}
			return nil
		})
	}
}

// expectedFiles are the files that remain in the runtime and configuration directories
// after a run: locks, records of logins, cached tokens, stored secrets with their
// records, profiles.
var expectedFiles = regexp.MustCompile(`^([0-9a-z-]+\.(lock|login)|token-[0-9a-f]{64}\.json|[0-9a-f]{64}\.json(\.rotation)?|\.?profiles\.ini(\.lock)?)$`)

// wantTidy wants that the folders hold nothing but what belongs there.
func (c *crash) wantTidy(dirs ...string) {
	c.t.Helper()
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() && (path == dir || d.Name() == "secrets" || d.Name() == "socket") {
				return err
			}
			if !expectedFiles.MatchString(d.Name()) {
				c.t.Errorf("%s is left", path)
			}
			return nil
		})
		if err != nil {
			c.t.Error(err)
		}
	}
}

// crashLatency spreads the steps of a short run.
const crashLatency = 15 * time.Millisecond

func (c *crash) useKeyring() {
	c.t.Helper()
	l := startLakebase(c.t, emulator.Options{NoPostgres: true, Settings: emulator.Settings{Latency: crashLatency}})
	c.fixture = newKeyringFixture(c.t, l, testkeyring.Unlocked)
	c.set("LAKEBASE_KEYCHAIN_TIMEOUT=30s") // who meets a deadline fails, and was not killed
	c.login()
}

// measure runs each command and returns the longest and the shortest time.
func (c *crash) measure(cmds ...*exec.Cmd) (most, least time.Duration) {
	c.t.Helper()
	for _, cmd := range cmds {
		took := c.finish(cmd).wantExit(0).took
		if most = max(most, took); least == 0 || took < least {
			least = took
		}
	}
	return most, least
}

// crashLogin: of two secrets that are stored by turns, in the keychain and in a
// file, one is always there and works, and the profile is whole.
func crashLogin(c *crash, kills int) {
	c.useKeyring()
	other, err := c.lakebase.AddSecret()
	must(c.t, err)
	secrets, stores := []string{c.lakebase.ClientSecret, other.Value}, []string{"keychain", "file"}
	login := func(i int) *exec.Cmd {
		cmd := c.command("lakebase-credential-helper", "login", "--profile", "prod", "--secret-stdin", "--store", stores[i/2%2])
		cmd.Stdin = strings.NewReader(secrets[i%2] + "\n")
		return cmd
	}
	usual, span := c.measure(login(0), login(2))
	config := filepath.Join(c.home, ".config", "lakebase")
	n := 0
	c.batches(kills, func(i int) {
		c.kill(login(i), span, nil)
		c.signsIn(fmt.Sprintf("after kill %d of a login", i+1), "")
	}, func() {
		c.makeOld(config, filepath.Join(c.run, "lakebase"))
		c.signsIn("after the kills", "prod")
		for range 2 { // one in the keychain, one in a file
			c.wantQuick(usual, login(n))
			n += 2
		}
		c.signsIn("after the next login", "")
		c.wantTidy(config, filepath.Join(c.run, "lakebase"))
	})
}

// crashGet: cached tokens stay whole, whatever was being stored, and nothing is
// stored that logout does not find.
func crashGet(c *crash, kills int) {
	c.useKeyring()
	file := filepath.Join(c.t.TempDir(), "token")
	get := func(i int, store string) *exec.Cmd { // each lifetime has its own cache key
		return c.command("sh", "-c", `exec lakebase-credential-helper get --format password --ttl "$1" --cache "$2" >"$0"`, file,
			fmt.Sprintf("%ds", 600+i%40), store)
	}
	stores := []string{"keychain", "file"}
	usual, span := c.measure(get(0, "keychain"), get(0, "file"))
	dir := filepath.Join(c.run, "lakebase")
	c.batches(kills, func(i int) {
		c.kill(get(i+1, stores[i%2]), span, nil)
	}, func() {
		c.makeOld(dir)
		for i, store := range stores {
			var got [2]string
			for n := range got { // of those that were killed
				c.wantQuick(usual, get(c.kills-i, store))
				text, err := os.ReadFile(file)
				must(c.t, err)
				got[n] = string(text)
			}
			if !token.MatchString(got[0]) || got[1] != got[0] {
				c.t.Errorf("%s: the token was not kept", store)
			}
		}
		c.signsIn("after the next get", "")
		c.wantTidy(dir)
	})
	if got := c.stored(); !slices.ContainsFunc(got, func(a string) bool { return strings.HasPrefix(a, "token:") }) ||
		!slices.ContainsFunc(got, func(a string) bool { return strings.HasPrefix(a, "secret:") }) {
		c.t.Errorf("the keychain holds %q", got)
	}
	c.do("lakebase-credential-helper", "logout").wantExit(0)
	if got := c.stored(); len(got) != 0 {
		index := c.do("secret-tool", "lookup", "service", "lakebase", "username", "index")
		c.t.Errorf("after logout the keychain holds %q; the index lists %q", got, index.stdout)
	}
}

// stored are the accounts of all items in the keychain, listed by us or not.
func (c *crash) stored() (accounts []string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), runLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "secret-tool", "search", "--all", "--unlock", "service", "lakebase")
	for name, value := range c.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if a, ok := strings.CutPrefix(line, "attribute.username = "); ok {
			accounts = append(accounts, strings.TrimSpace(a))
		}
	}
	if err != nil && len(accounts) > 0 {
		c.t.Error(err)
	}
	return accounts
}

// rotation is a sandbox whose stored secret was created by rotate, beside a first one
// with an unknown ID.
type rotation struct {
	*fixture
	first string // its id
}

// signsIn checks that what is stored signs in, whatever the cache holds, with a profile
// unless that is empty.
func (p *fixture) signsIn(when, profile string) {
	p.t.Helper()
	argv := []string{"lakebase-exec", "--cache", "off", "--wait", "never"}
	if profile != "" {
		argv = append(argv, "--profile", profile)
	}
	if o := p.do(append(argv, "--", "true")...); !o.status.Exited() || o.status.ExitStatus() != 0 {
		p.t.Fatalf("%s the stored secret does not sign in: %s", when, o.stderr)
	}
}

func newRotating(t *testing.T) *rotation {
	t.Helper()
	l := startLakebase(t, emulator.Options{NoPostgres: true})
	p := newKeyringFixture(t, l, testkeyring.Unlocked)
	p.set("LAKEBASE_CACHE=off")
	p.login()
	r := &rotation{fixture: p, first: l.Secrets()[0].ID}
	r.do("lakebase-credential-helper", "rotate").wantExit(0)
	r.signsIn("after the first rotate", "")
	return r
}

// wantRepaired runs one rotate more, which must work and leave the first secret, the stored
// one, and at most so many orphans, which it names. It then deletes the orphans.
func (r *rotation) wantRepaired(at string, most int) *result {
	r.t.Helper()
	left := ids(r.lakebase)
	o := r.do("lakebase-credential-helper", "rotate").wantExit(0)
	r.signsIn(at+", and after the next rotate,", "")
	var orphans []string
	for _, id := range ids(r.lakebase) {
		if id != r.first && slices.Contains(left, id) {
			orphans = append(orphans, id)
		}
	}
	if total := len(ids(r.lakebase)); total != 2+len(orphans) || len(orphans) > most {
		r.t.Fatalf("%s: %d secrets after the next rotate: left %v, now %v\n%s", at, total, left, ids(r.lakebase), o.stderr)
	}
	for _, id := range orphans {
		o.wantStderr("one of these may be a secret that an interrupted rotate requested", id+", created",
			"created while an interrupted rotate waited for its new secret")
		r.do("lakebase-credential-helper", "rotate", "--delete-only", "--delete-id", id).wantExit(0)
	}
	stored := regexp.MustCompile(`^lakebase-credential-helper: stored a new secret: .*\n$`)
	if len(orphans) == 0 && !stored.MatchString(o.stderr) && o.took < progressAfter {
		r.t.Errorf("%s: the next rotate says: %s", at, o.stderr)
	}
	if got := len(ids(r.lakebase)); got != 2 {
		r.t.Fatalf("%s: %d secrets in the end", at, got)
	}
	return o
}

func ids(l *emulator.Lakebase) []string {
	var out []string
	for _, s := range l.Secrets() {
		out = append(out, s.ID)
	}
	return out
}

// crashRotate: the keychain holds a secret that works after every kill, and what
// the workspace has too many of is named by the next run.
func crashRotate(c *crash, kills int) {
	r := newRotating(c.t)
	c.fixture = r.fixture
	c.set("LAKEBASE_KEYCHAIN_TIMEOUT=30s")
	c.lakebase.Set(func(s *emulator.Settings) { s.Latency = crashLatency })
	usual, span := c.measure(c.command("lakebase-credential-helper", "rotate"), c.command("lakebase-credential-helper", "rotate"))
	dir := filepath.Join(c.run, "lakebase")
	left := 0
	look := func() {
		c.makeOld(dir)
		if o := r.wantRepaired(fmt.Sprintf("after %d kills", left), left); o.took > usual+busyMachineAllowance {
			c.t.Errorf("the next rotate took %s, and usually takes %s", o.took, usual)
		}
		left = 0
		c.wantTidy(dir)
	}
	c.batches(kills, func(i int) {
		c.kill(c.command("lakebase-credential-helper", "rotate"), span, nil)
		c.signsIn(fmt.Sprintf("after kill %d of a rotate", i+1), "")
		if left++; left == 2 { // there may be five secrets, and each kill may leave one
			look()
		}
	}, look)
}

// crashSpan is how long a supervisor lives at most before it is killed: its start, and
// some refreshes of a token that lives for crashLife.
const (
	crashSpan = 3 * time.Second / 2
	crashLife = 2 * time.Second
)

// useCompute sets the fixture to one with the secret in its environment and a real
// Postgres.
func (c *crash) useCompute() {
	c.t.Helper()
	c.fixture = newSandbox(c.t, startLakebase(c.t, emulator.Options{Settings: emulator.Settings{Latency: crashLatency,
		DatabaseTokenLife: crashLife}}))
}

// supervisor returns a supervised command that ends with its standard input.
func (c *crash) supervisor(mode string, argv ...string) (*exec.Cmd, io.Closer) {
	c.t.Helper()
	cmd := c.command(append([]string{"lakebase-exec", "--refresh", mode, "--"}, argv...)...)
	feed, err := cmd.StdinPipe()
	must(c.t, err)
	return cmd, feed
}

func (c *crash) psql(mode string) *exec.Cmd {
	return c.command("lakebase-exec", "--refresh", mode, "--cache", "off", "--", "psql", "-XwAtc", whoAmI)
}

// longTokens has new tokens live for an hour, until the function that it returns is
// called: a login of a slow machine may take as long as crashLife.
func (c *crash) longTokens() (restore func()) {
	set := func(life time.Duration) {
		c.lakebase.Set(func(s *emulator.Settings) { s.DatabaseTokenLife = life })
	}
	set(time.Hour)
	return func() { set(crashLife) }
}

// wantSwept runs a supervisor to its end, and checks that nothing is left of those that
// were killed.
func (c *crash) wantSwept(mode string, usual time.Duration) {
	c.t.Helper()
	dir := filepath.Join(c.run, "lakebase")
	c.makeOld(dir)
	if o := c.wantQuick(usual, c.psql(mode)); o.stdout != c.me() || o.stderrWithoutProgress() != "" {
		c.t.Errorf("psql says %q and %q", o.stdout, o.stderr)
	}
	c.wantTidy(dir)
}

// crashPassfile: the next run removes the directory of a killed supervisor; the command
// reads complete password files until the end.
func crashPassfile(c *crash, kills int) {
	c.useCompute()
	restore := c.longTokens()
	usual := c.finish(c.psql("passfile")).wantExit(0).took
	restore()
	c.batches(kills, func(int) {
		cmd, feed := c.supervisor("passfile", "cat")
		c.kill(cmd, crashSpan, func() {
			for _, dir := range c.runDirs() {
				line, err := os.ReadFile(filepath.Join(dir, "passfile"))
				if err == nil && !strings.HasSuffix(string(line), "\n") {
					c.t.Errorf("the password file is cut short: %d bytes", len(line))
				}
			}
			_ = feed.Close()
		})
	}, func() {
		defer c.longTokens()()
		c.wantSwept("passfile", usual)
	})
	c.nothingLeft()
}

// crashProxy: the next run removes what a killed proxy left, with a command or without,
// with a session open or not, and listens at the same address. No session is left at
// the database.
func crashProxy(c *crash, kills int) {
	c.useCompute()
	socket := filepath.Join(c.run, "socket")
	must(c.t, os.Mkdir(socket, 0o700))
	restore := c.longTokens()
	usual := c.finish(c.psql("proxy")).wantExit(0).took
	restore()
	c.batches(kills, func(i int) {
		if i%2 == 0 {
			cmd, feed := c.supervisor("proxy", "psql", "-XwAtq") // its session is idle
			c.kill(cmd, crashSpan, func() { _ = feed.Close() })
			return
		}
		c.kill(c.command("lakebase-credential-helper", "proxy", "--listen", socket, "--trust-local"), crashSpan, nil)
	}, func() {
		defer c.longTokens()()
		c.wantSwept("proxy", usual)
		d := c.proxy("--cache", "off", "--listen", socket, "--trust-local")
		if took := time.Since(d.begin); took > usual+busyMachineAllowance {
			c.t.Errorf("the proxy listens after %s; a run usually takes %s", took, usual)
		}
		o := c.do("psql", "-XwAtc", whoAmI, "sslmode=disable host="+socket+" port="+c.lakebase.PGPort()).wantExit(0)
		wantOutput(c.t, "psql", o.stdout, c.me())
		must(c.t, d.cmd.Process.Signal(syscall.SIGTERM))
		wantOutput(c.t, "the proxy", d.wait().wantExit(0).stderrWithoutProgress(), "")
		c.wantTidy(socket)
		eventually(c.t, fmt.Sprintf("no session is left at the database after %d kills", c.kills), func() bool { return c.lakebase.Clients() == 0 })
	})
	c.nothingLeft()
}
