package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
	"github.com/lakebase-exec/lakebase-exec/test/testkeyring"
)

const (
	defaultSoak    = 40 * time.Second // about as short as the measurements allow
	soakClients    = 6                // log in, query, and leave
	soakSessions   = 2                // stay for as long as their server does
	soakFaultLimit = time.Minute      // for the proxy to meet a fault
)

// TestSoak runs a proxy whose tokens live for seconds, clients that come and go, and
// faults of workspace, database and keychain all the time. No client may fail, except
// one whose server is taken from it, and one whose token the server refuses while the
// renewal fails. The proxy may not grow. SOAK_TIME is the
// duration; SOAK_SEED repeats the order of faults and the clients' pauses.
func TestSoak(t *testing.T) {
	t.Parallel()
	span, life := defaultSoak, 10*time.Second
	if text := os.Getenv("SOAK_TIME"); text != "" {
		var err error
		if span, err = time.ParseDuration(text); err != nil {
			t.Fatalf("SOAK_TIME: %v", err)
		}
		life = 20 * time.Second
	}
	seed := number(t, "SOAK_SEED", rand.Uint64())
	t.Logf("for %s with tokens of %s; SOAK_SEED=%d", span, life, seed)
	s := newSoak(t, life, seed)
	window := life*3/4 + 2*time.Second // a token is renewed in it, and the status file written
	load := span - 3*window
	if load < 5*time.Second {
		t.Fatalf("SOAK_TIME: %s is too short with tokens of %s", span, life)
	}
	// Measured without load: when all is warm, in the middle, and at the end.
	warm := min(15*time.Second, load/5)
	var measured []usage
	for _, part := range []time.Duration{warm, (load - warm) / 2, (load - warm) / 2} {
		s.load(part)
		measured = append(measured, s.measure(window))
	}
	s.check(measured)
}

// soak is a proxy with the servers that it uses, and what happened.
type soak struct {
	*fixture
	t          *testing.T
	seed       uint64
	proxy      *proxyProcess
	begin      time.Time
	keyringPID int
	turn       atomic.Uint64 // of the random generators
	cuts       atomic.Int64  // beginnings and ends of what cuts sessions; odd while one is under way
	ending     atomic.Bool

	logins, cut, queries, refused, outages atomic.Int64

	mu     sync.Mutex
	faults map[string]int
	recent []string
}

func newSoak(t *testing.T, life time.Duration, seed uint64) *soak {
	l := startLakebase(t, emulator.Options{Settings: emulator.Settings{DatabaseTokenLife: life}})
	p := newKeyringFixture(t, l, testkeyring.Unlocked)
	// As released: the race detector has memory of its own.
	p.set("PATH=" + filepath.Dir(released(t)) + string(os.PathListSeparator) + p.env["PATH"])
	p.login()
	p.set("LAKEBASE_CACHE=off") // a locked keychain as a cache would delay each renewal
	s := &soak{fixture: p, t: t, seed: seed, begin: time.Now(), faults: map[string]int{}}
	conn, err := dbus.Connect(p.keyring.Address())
	must(t, err)
	defer conn.Close()
	must(t, conn.BusObject().Call("org.freedesktop.DBus.GetConnectionUnixProcessID", 0, "org.freedesktop.secrets").Store(&s.keyringPID))
	s.proxy = p.proxy("--listen", "127.0.0.1:0", "--trust-local", "--status-file", s.statusFile())
	// From the first renewal on it has the secret, and does without the keychain.
	eventually(t, "the proxy renews its token", func() bool { d, err := s.status(); return err == nil && d.Refreshes > 0 })
	return s
}

func (s *soak) statusFile() string { return filepath.Join(s.home, "status.json") }

func (s *soak) status() (d statusDocument, err error) {
	data, err := os.ReadFile(s.statusFile())
	if err == nil {
		err = json.Unmarshal(data, &d)
	}
	return d, err
}

// failed reports a failure with the faults before it.
func (s *soak) failed(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.t.Errorf("after %s: %s (faults before: %s)", time.Since(s.begin).Round(100*time.Millisecond), fmt.Sprintf(format, args...),
		strings.Join(s.recent, ", "))
}

// load runs clients and faults for a while; then all finish what they are doing.
func (s *soak) load(span time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), span)
	defer cancel()
	s.ending.Store(false)
	var clients, faults sync.WaitGroup
	loop := func(n int, client func(*rand.Rand)) {
		for range n {
			clients.Go(func() {
				random := rand.New(rand.NewPCG(s.seed, s.turn.Add(1)))
				for !s.ending.Load() {
					client(random)
					time.Sleep(time.Duration(50+random.IntN(350)) * time.Millisecond)
				}
			})
		}
	}
	loop(soakClients, func(random *rand.Rand) { s.session(random, 1+random.IntN(4)) })
	loop(soakSessions, func(random *rand.Rand) { s.session(random, 1_000_000) })
	loop(1, s.otherUser)
	// Faults of workspace and keychain meet a renewal, those of the database a login.
	for _, kinds := range [][]soakFault{s.renewalFaults(), s.loginFaults()} {
		random := rand.New(rand.NewPCG(s.seed, s.turn.Add(1)))
		faults.Go(func() { s.inject(ctx, kinds, random) })
	}
	faults.Wait()
	s.lakebase.Set(func(w *emulator.Settings) { w.Faults, w.LoginFaults = nil, nil })
	s.ending.Store(true)
	clients.Wait()
}

// connect logs in, which never fails for the service principal: the proxy waits for
// the compute, but less than this.
func (s *soak) connect(user string) (*pgconn.PgConn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	cfg, err := pgconn.ParseConfig(fmt.Sprintf("postgres://%s@%s/databricks_postgres?sslmode=disable&passfile=/none&application_name=soak", user, s.proxy.address))
	if err != nil {
		return nil, err
	}
	return pgconn.ConnectConfig(ctx, cfg)
}

var errWrongAnswer = errors.New("that is the answer to another query")

// query wants its own answer.
func (s *soak) query(conn *pgconn.PgConn, random *rand.Rand) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	n := random.IntN(1_000_000)
	rows, err := conn.Exec(ctx, fmt.Sprintf("select %d, repeat('x', %d)", n, random.IntN(20_000))).ReadAll()
	if err == nil && (len(rows) != 1 || len(rows[0].Rows) != 1 || string(rows[0].Rows[0][0]) != strconv.Itoa(n)) {
		err = errWrongAnswer
	}
	return err
}

// session makes some queries, or as many as it can until the load ends. It may fail
// only if its server was taken from it, and it hears so at once.
func (s *soak) session(random *rand.Rand, queries int) {
	seen, begin := s.cuts.Load(), time.Now()
	before, _ := s.status()
	conn, err := s.connect(s.lakebase.ClientID)
	if err != nil {
		if s.isOutage(err, before) {
			s.outages.Add(1)
			s.t.Logf("after %s: login refused during an outage: %v", time.Since(s.begin).Round(100*time.Millisecond), err)
		} else {
			s.failed("login after %s: %v", time.Since(begin), err)
		}
		return
	}
	s.logins.Add(1)
	for i := 0; i < queries && err == nil && (i < 4 || !s.ending.Load()); i++ {
		if i > 0 && queries > 4 {
			time.Sleep(500 * time.Millisecond)
		}
		err = s.query(conn, random)
		s.queries.Add(1)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx)
	mayBeCut := seen%2 == 1 || s.cuts.Load() != seen
	switch {
	case err == nil:
	case mayBeCut && !errors.Is(err, errWrongAnswer) && !errors.Is(err, context.DeadlineExceeded):
		s.cut.Add(1)
	default:
		s.failed("session after %s: %v", time.Since(begin), err)
	}
}

// isOutage reports whether a login failed because the server refused the token or
// there was none, and a refresh has failed since before: clients are told so.
func (s *soak) isOutage(err error, before statusDocument) bool {
	var refusal *pgconn.PgError
	if !errors.As(err, &refusal) || refusal.Code != "28P01" && refusal.Code != "08001" &&
		!strings.Contains(refusal.Message, "JWT token has expired") {
		return false
	}
	ended := time.Now()
	var d statusDocument
	eventually(s.t, "the status file shows the failed login", func() bool { d, err = s.status(); return err == nil && d.UpdatedAt.After(ended) })
	return d.FailedRefreshes > before.FailedRefreshes
}

// otherUser has to be refused.
func (s *soak) otherUser(*rand.Rand) {
	conn, err := s.connect("other")
	var refusal *pgconn.PgError
	switch {
	case err == nil:
		_ = conn.Close(context.Background())
		s.failed("another user could log in")
	case errors.As(err, &refusal) && refusal.Code == "28000":
		s.refused.Add(1)
	default:
		s.failed("another user: got %v, want SQLSTATE 28000", err)
	}
	time.Sleep(time.Second)
}

// soakFault is one kind. put injects it, and returns when the proxy has met it.
type soakFault struct {
	name string
	put  func(ctx context.Context, random *rand.Rand) error
}

// inject injects faults one after the other until ctx ends, each once before any comes again.
func (s *soak) inject(ctx context.Context, kinds []soakFault, random *rand.Rand) {
	for {
		for _, i := range random.Perm(len(kinds)) {
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Duration((0.3 + random.Float64()) * float64(time.Second))):
			}
			limited, cancel := context.WithTimeout(ctx, soakFaultLimit)
			err := kinds[i].put(limited, random)
			cancel()
			// A connection's deadline may pass before that of ctx, which is the same.
			if end, ok := ctx.Deadline(); ctx.Err() != nil || ok && !time.Now().Before(end) {
				return
			}
			if err != nil {
				s.failed("fault %q was not met: %v", kinds[i].name, err)
			}
			s.mu.Lock()
			s.faults[kinds[i].name]++
			s.recent = append(s.recent[max(0, len(s.recent)-3):],
				fmt.Sprintf("%s at %s", kinds[i].name, time.Since(s.begin).Round(100*time.Millisecond)))
			s.mu.Unlock()
		}
	}
}

// refreshed waits until the proxy has another token than the one of the status seen.
func (s *soak) refreshed(ctx context.Context, seen statusDocument) error {
	return until(ctx, func() bool { d, err := s.status(); return err == nil && d.Refreshes > seen.Refreshes })
}

func (s *soak) renewalFaults() []soakFault {
	// Faults do not add up in one renewal, which would then come too late.
	call := func(f emulator.Fault) func(context.Context, *rand.Rand) error {
		return func(ctx context.Context, _ *rand.Rand) error {
			seen, err := s.status()
			if err != nil {
				return err
			}
			s.lakebase.Set(func(w *emulator.Settings) { w.Faults = []emulator.Fault{f} })
			err = until(ctx, func() bool { return len(s.lakebase.Settings().Faults) == 0 })
			return errors.Join(err, s.refreshed(ctx, seen))
		}
	}
	// renewed waits for a new token, which does not need the keychain.
	renewed := func(ctx context.Context) error {
		before := s.lakebase.Counters().ByCall[emulator.CallCredentials]
		return until(ctx, func() bool { return s.lakebase.Counters().ByCall[emulator.CallCredentials] > before })
	}
	return []soakFault{
		{"workspace 503", call(emulator.Answer(emulator.CallCredentials, 2, 503, ""))},
		{"workspace 503 at sign-in", call(emulator.Answer(emulator.CallToken, 1, 503, ""))},
		{"workspace 429", call(emulator.Answer(emulator.CallCredentials, 1, 429, "1"))},
		{"workspace reset", call(emulator.Fault{Call: emulator.CallToken, Drop: true})},
		{"workspace cut short", call(emulator.Fault{Call: emulator.CallCredentials, Truncate: true})},
		{"workspace slow", call(emulator.Fault{Call: emulator.CallCredentials, Slow: 1500 * time.Millisecond})},
		{"keychain locked", func(ctx context.Context, _ *rand.Rand) error {
			if err := s.keyring.Lock(ctx); err != nil {
				return err
			}
			err := renewed(ctx)
			unlock, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			return errors.Join(s.keyring.Unlock(unlock), err)
		}},
		{"keychain silent", func(ctx context.Context, _ *rand.Rand) error {
			defer func() { _ = syscall.Kill(s.keyringPID, syscall.SIGCONT) }()
			return errors.Join(syscall.Kill(s.keyringPID, syscall.SIGSTOP), renewed(ctx))
		}},
	}
}

func (s *soak) loginFaults() []soakFault {
	login := func(f emulator.LoginFault) func(context.Context, *rand.Rand) error {
		return func(ctx context.Context, _ *rand.Rand) error {
			s.lakebase.Set(func(w *emulator.Settings) { w.LoginFaults = []emulator.LoginFault{f} })
			return until(ctx, func() bool { return len(s.lakebase.Settings().LoginFaults) == 0 })
		}
	}
	// nextToken waits for another token, and until a tenth of its life is over.
	nextToken := func(ctx context.Context) error {
		seen, err := s.status()
		if err != nil {
			return err
		}
		err = s.refreshed(ctx, seen)
		time.Sleep(s.lakebase.Settings().DatabaseTokenLife / 10)
		return err
	}
	cutting := func(do func() error) error {
		s.cuts.Add(1)
		defer s.cuts.Add(1)
		return do()
	}
	return []soakFault{
		{"login reset", login(emulator.LoginFault{At: emulator.StageStartup, Action: emulator.ActionReset, Times: 3})},
		{"login reset before TLS", login(emulator.LoginFault{At: emulator.StageRequest, Action: emulator.ActionReset, Times: 3})},
		{"login closed", login(emulator.LoginFault{At: emulator.StageReady, Action: emulator.ActionClose, Times: 2})},
		{"compute starting", login(emulator.LoginFault{Code: "57P03", Message: "starting", Times: 3})},
		{"too many connections", login(emulator.LoginFault{Code: "53300", Message: "full", Times: 3})},
		// A new token is refused: the client gets the error, or the next token if it
		// arrives in time (see supervisor.Refresher.Token).
		{"token refused", func(ctx context.Context, random *rand.Rand) error {
			if err := nextToken(ctx); err != nil {
				return err
			}
			return errors.Join(login(emulator.LoginFault{Code: "28P01", Message: "refused"})(ctx, random), nextToken(ctx))
		}},
		{"compute suspended", func(ctx context.Context, random *rand.Rand) error {
			modes := emulator.WakeModes()
			s.lakebase.SetWake(modes[random.IntN(len(modes))], 700*time.Millisecond)
			err := cutting(func() error { return s.lakebase.Suspend(ctx) })
			return errors.Join(err, until(ctx, func() bool { return s.lakebase.State() == emulator.Up }))
		}},
		{"connections cut", func(ctx context.Context, _ *rand.Rand) error { // as a restart or an administrator does
			query := "select count(pg_terminate_backend(pid, 1000)) from pg_stat_activity where usename = '" + s.lakebase.ClientID + "'"
			for ctx.Err() == nil {
				var rows [][]string
				err := cutting(func() (err error) { rows, err = s.lakebase.SQL(ctx, query); return err })
				if err != nil || rows[0][0] != "0" {
					return err
				}
			}
			return ctx.Err()
		}},
	}
}

// usage is what the proxy uses.
type usage struct {
	after                            time.Duration
	mib                              float64 // resident
	descriptors, goroutines, threads int
}

// measure returns the least that the proxy uses within a while without clients: a
// renewal comes and goes.
func (s *soak) measure(span time.Duration) usage {
	s.t.Helper()
	begin := time.Now()
	least := usage{after: time.Since(s.begin), mib: 1e9, descriptors: 1e9, threads: 1e9}
	dir := filepath.Join("/proc", strconv.Itoa(s.proxy.cmd.Process.Pid))
	for ; time.Since(begin) < span || least.goroutines == 0; time.Sleep(100 * time.Millisecond) {
		tasks, err := os.ReadDir(filepath.Join(dir, "task"))
		must(s.t, err)
		text, err := os.ReadFile(filepath.Join(dir, "status"))
		must(s.t, err)
		_, rss, _ := strings.Cut(string(text), "VmRSS:")
		kib, err := strconv.ParseFloat(strings.Fields(rss + " ?")[0], 64)
		must(s.t, err)
		least.mib, least.threads = min(least.mib, kib/1024), min(least.threads, len(tasks))
		least.descriptors = min(least.descriptors, descriptors(s.t, s.proxy.cmd.Process.Pid))
		// A status from before has the clients' goroutines. Its time is in whole seconds.
		if d, err := s.status(); err == nil && d.OpenConnections == 0 && d.UpdatedAt.After(begin) {
			least.goroutines = d.Goroutines
		}
		if time.Since(begin) > span+runLimit {
			s.t.Fatal("the status file shows no proxy without clients")
		}
	}
	s.t.Logf("%+v", least)
	return least
}

func descriptors(t *testing.T, pid int) int {
	t.Helper()
	list, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "fd"))
	if err != nil {
		t.Fatal(err) // a hardened process is open to root alone
	}
	return len(list)
}

// check ends the proxy and looks at the numbers.
func (s *soak) check(measured []usage) {
	d, err := s.status()
	must(s.t, err)
	must(s.t, s.proxy.cmd.Process.Signal(syscall.SIGTERM))
	end := s.proxy.wait().wantExit(0)
	s.t.Logf("output of the proxy:\n%s", end.stderr)
	for line := range strings.Lines(end.stderr) {
		if !strings.HasPrefix(line, "lakebase-credential-helper: ") {
			s.t.Errorf("got output %q", line)
		}
	}
	if _, err := os.Lstat(s.statusFile()); err == nil {
		s.t.Error("the status file is left")
	}
	injected := 0
	for _, name := range slices.Sorted(maps.Keys(s.faults)) {
		s.t.Logf("%-26s %d", name, s.faults[name])
		injected += s.faults[name]
	}
	s.t.Logf("%d logins, %d queries, %d sessions cut, %d refused, %d during outages, %d renewals, %d faults", s.logins.Load(),
		s.queries.Load(), s.cut.Load(), s.refused.Load(), s.outages.Load(), d.Refreshes, injected)
	check := func(ok bool, format string, args ...any) {
		if !ok {
			s.t.Errorf(format, args...)
		}
	}
	first, last := measured[0], measured[len(measured)-1]
	cuts := s.faults["compute suspended"] + s.faults["connections cut"]
	life := s.lakebase.Settings().DatabaseTokenLife
	failed := s.refused.Load() + s.outages.Load()
	check(int64(d.FailedLogins) == failed, "got %d failed logins, want %d, those of another user and during outages", d.FailedLogins, failed)
	check(s.outages.Load() <= s.logins.Load()/20, "got %d logins refused during outages, of %d", s.outages.Load(), s.logins.Load())
	check(s.logins.Load() > 0 && s.refused.Load() > 0 && int64(d.Logins) >= s.logins.Load(),
		"got %d logins in the status file, %d of clients", d.Logins, s.logins.Load())
	check(s.cut.Load() <= int64((cuts+1)*(soakClients+soakSessions)), "got %d sessions cut by %d faults", s.cut.Load(), cuts)
	// A token is renewed after two thirds of its life; a silent keychain takes a whole one.
	check(d.Refreshes >= int(last.after/(2*life)), "got %d renewals in %s", d.Refreshes, last.after)
	check(injected >= int(last.after.Seconds()/15), "got %d faults in %s", injected, last.after)
	check(last.after < 3*time.Minute || len(s.faults) == len(s.renewalFaults())+len(s.loginFaults()), "got only these faults: %v", s.faults)
	check(d.OpenConnections == 0 && d.WaitingLogins == 0, "got %d open connections and %d waiting logins, want none", d.OpenConnections,
		d.WaitingLogins)
	check(s.keyring.Calls()["BeginPrompting"] == 0, "the keychain showed a dialog")
	for _, m := range measured[1:] { // a heap breathes, and Go keeps its threads
		check(m.mib <= first.mib*1.2+6, "memory grew from %.1f to %.1f MiB", first.mib, m.mib)
		check(m.descriptors <= first.descriptors+2, "descriptors grew from %d to %d", first.descriptors, m.descriptors)
		check(m.goroutines <= first.goroutines+3, "goroutines grew from %d to %d", first.goroutines, m.goroutines)
		check(m.threads <= first.threads+4, "threads grew from %d to %d", first.threads, m.threads)
	}
}
