package e2e

import (
	"context"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// clientLoad are the programs that have many connections at once, or make one after
// the other.
type clientLoad struct {
	*supervised
	renewals  *renewals
	span      time.Duration
	begin     time.Time
	suspended chan struct{} // closed when the compute was
	dumped    int
}

// The database of pgbench and the dumps.
const (
	benchRate = 10 // connections per second
	tables    = 8
	rows      = 500
)

func newClientLoad(s *supervised, r *renewals, span time.Duration) *clientLoad {
	s.t.Helper()
	c := &clientLoad{supervised: s, renewals: r, span: span, suspended: make(chan struct{})}
	c.good("pgbench", "pgbench", "-i", "-q", "-I", "dtgp")
	var sql strings.Builder
	sql.WriteString("create schema shop;")
	for i := range tables {
		n := strconv.Itoa(i)
		sql.WriteString("create table shop.t" + n + " as select g as id, md5(g::text) as name from generate_series(1, " + strconv.Itoa(rows) + ") g;" +
			"create index on shop.t" + n + " (id);")
	}
	c.good("psql", "psql", "-Xqc", sql.String())
	c.begin = time.Now()
	return c
}

// good runs a client and returns its output. It may be called from any goroutine.
func (c *clientLoad) good(app string, argv ...string) string {
	ctx, cancel := context.WithTimeout(context.Background(), runLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env, cmd.Dir = append(c.env[:len(c.env):len(c.env)], "PGAPPNAME="+app), c.home
	out, err := cmd.CombinedOutput()
	if err != nil {
		c.t.Errorf("%v: %v\n%s", argv, err, out)
	}
	return string(out)
}

// pgbench makes a connection for each transaction, before and after the compute
// is suspended.
func (c *clientLoad) pgbench() {
	for _, span := range []time.Duration{c.span * 4 / 10, c.span * 3 / 10} {
		c.renewals.gate.RLock()
		seconds := int(span.Seconds())
		out := c.good("pgbench", "pgbench", "-n", "-S", "-C", "-c", "20", "-j", "2", "-T", strconv.Itoa(seconds), "--rate", strconv.Itoa(benchRate))
		c.renewals.gate.RUnlock()
		m := regexp.MustCompile(`number of transactions actually processed: (\d+)\nnumber of failed transactions: 0 `).FindStringSubmatch(out)
		if m == nil {
			c.t.Errorf("pgbench says:\n%s", out)
		} else if n, _ := strconv.Atoi(m[1]); n < seconds*benchRate/10 {
			c.t.Errorf("pgbench made %d transactions in %d s", n, seconds)
		}
		<-c.suspended
	}
}

// dumps writes a schema with four connections and reads it back with four, again
// and again.
func (c *clientLoad) dumps() {
	for ; time.Since(c.begin) < c.span*9/10 && !c.t.Failed(); c.dumped++ {
		if now := time.Since(c.begin); now > c.span*4/10 && now < c.span/2 {
			<-c.suspended
		}
		c.renewals.gate.RLock()
		dir := filepath.Join(c.home, "dump-"+strconv.Itoa(c.dumped))
		c.good("pg_dump", "pg_dump", "-Fd", "-j", "4", "-n", "shop", "-f", dir)
		c.good("psql", "psql", "-Xqc", "set client_min_messages = error", "-c", "drop schema shop cascade")
		c.good("pg_restore", "pg_restore", "-j", "4", "--exit-on-error", "-d", emulator.Database, dir)
		c.whole()
		c.renewals.gate.RUnlock()
		time.Sleep(3 * time.Second)
	}
}

func (c *clientLoad) whole() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	got, err := c.lakebase.SQL(ctx, "select sum((xpath('/row/n/text()', query_to_xml('select count(*) as n from shop.' || tablename, false, true, '')))[1]::text::int) "+
		"from pg_tables where schemaname = 'shop'")
	if err != nil || len(got) != 1 || got[0][0] != strconv.Itoa(tables*rows) {
		c.t.Errorf("the restored tables have %v rows (%v)", got, err)
	}
}

// suspend suspends the compute in the middle of the run, while there are no logins, for
// so long that a pool checks its idle connections.
func (c *clientLoad) suspend() {
	defer close(c.suspended)
	time.Sleep(c.span / 2)
	c.renewals.gate.Lock()
	defer c.renewals.gate.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	c.lakebase.SetWake(emulator.StartingUp, 1500*time.Millisecond)
	if err := c.lakebase.Suspend(ctx); err != nil {
		c.t.Error(err)
	}
	time.Sleep(1200 * time.Millisecond)
}

// check reads the server's records: each client logged in with at least so many tokens,
// and no login was refused except during the suspension.
func (c *clientLoad) check(least int) {
	c.t.Helper()
	if c.lakebase.WokenAt().IsZero() {
		c.t.Error("the compute was not woken")
	}
	all := c.lakebase.Logins()
	for _, app := range []string{"pgbench", "pg_dump", "pg_restore"} {
		if got := tokensIn(by(app, all), shortLife); got < least-1 {
			c.t.Errorf("%s: its logins show %d tokens, not %d at the least", app, got, least-1)
		}
	}
	given := 0 // up by the proxy itself, which tries anew while the compute wakes
	for _, n := range all {
		switch {
		case n.SQLState == "":
			given++
		case n.SQLState == "57P03" && n.Time.Before(c.lakebase.UpAt()):
		case n.SQLState != "00000":
			c.t.Errorf("a login was refused upstream: %+v", n)
		}
	}
	c.t.Logf("%d dumps, %d logins, of which the proxy gave up %d", c.dumped, len(all), given)
	if c.dumped < 2 { // one before the compute was suspended, one after
		c.t.Errorf("%d dumps", c.dumped)
	}
}
