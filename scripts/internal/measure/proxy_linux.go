package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"runtime"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

const (
	proxyRuns   = 5
	benchTime   = 3 * time.Second
	shortTime   = 2 * time.Second
	mostClients = 32
	idleClients = 500
	settleTime  = 2 * time.Second
)

// joined compares our proxy with pgbouncer and with no proxy at all.
func joined(t *table, dir string) error {
	runtime.LockOSThread() // launch says why
	defer runtime.UnlockOSThread()
	user, token, port, err := identity()
	if err != nil {
		return err
	}
	o, err := serverOwner()
	if err != nil {
		return err
	}
	u, err := startUpstream(dir, o, port, user, token)
	if err != nil {
		return err
	}
	defer u.end()
	b, err := startBouncer(dir, o, u)
	if err != nil {
		return err
	}
	defer b.end()
	d, err := startDoor(dir, u)
	if err != nil {
		return err
	}
	defer d.end()
	fmt.Printf("%s, configured so:\n\n%s\n", b.version, b.conf)
	c := comparison{t: t, direct: u.direct(), ours: d.way(), bouncer: b.way()}
	for _, step := range []func() error{c.prepare, c.throughput, c.latency, c.logins, c.copies} {
		if err := step(); err != nil {
			return err
		}
	}
	if err := d.told(func(n counts) bool { return n.Logins >= c.ours.logins && n.Failed == 0 && n.Open == 0 }); err != nil {
		return fmt.Errorf("%d logins went through the proxy: %w", c.ours.logins, err)
	}
	return idle(t, d)
}

// identity is the service principal, and a token for an upstream that is yet to
// come, on port. The proxy takes the same token from the keychain.
func identity() (user, token string, port int, err error) {
	if port, err = freePort(); err != nil {
		return "", "", 0, err
	}
	out, err := exec.Command(helper, append([]string{"get"}, target(port)...)...).Output()
	if err != nil {
		return "", "", 0, fmt.Errorf("%s get: %w", helper, err)
	}
	var answer struct{ User, Password string }
	if err := json.Unmarshal(out, &answer); err != nil || answer.User == "" || answer.Password == "" {
		return "", "", 0, fmt.Errorf("%s get: no user and password: %v", helper, err)
	}
	return answer.User, answer.Password, port, nil
}

// comparison has the three ways.
type comparison struct {
	t                     *table
	direct, ours, bouncer *way
}

// prepare fills the tables, and sees that all ways lead to the same server, which
// speaks TLS with whoever comes.
func (c comparison) prepare() error {
	cmd := c.direct.command("pgbench", "-i", "-q", "-s", "10", c.direct.conninfo)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pgbench -i: %w: %s", err, out)
	}
	if _, err := c.direct.psql("create unlogged table sink (pad text); create sequence arrived", nil); err != nil {
		return err
	}
	const where = "select current_user, inet_server_port(), pg_postmaster_start_time(), version from pg_stat_ssl where ssl and pid = pg_backend_pid()"
	first := ""
	for _, w := range []*way{c.direct, c.ours, c.bouncer} {
		at, err := w.psql(where, nil)
		if err != nil {
			return err
		}
		if at == "" || first != "" && at != first {
			return fmt.Errorf("%s leads to %q, not to %q over TLS", w.name, at, first)
		}
		first = at
	}
	return nil
}

func (c comparison) throughput() error {
	for _, clients := range []int{8, mostClients} {
		tps, err := rounds(proxyRuns, func(w *way) (float64, error) { return w.pgbench(clients, benchTime) }, c.direct, c.ours, c.bouncer)
		if err != nil {
			return err
		}
		c.beside(fmt.Sprintf("pgbench -S, %d clients; pgbouncer", clients), "%.0f tps", tps, tps[c.ours]/tps[c.bouncer])
	}
	return nil
}

func (c comparison) copies() error {
	for _, w := range []*way{c.direct, c.ours, c.bouncer} {
		if err := w.countOut(); err != nil {
			return err
		}
	}
	for _, k := range []struct {
		what string
		run  func(*way) (float64, error)
	}{{"COPY of 1 GiB out; pgbouncer", (*way).copyOut}, {"COPY of 1 GiB in; pgbouncer", (*way).copyIn}} {
		took, err := rounds(proxyRuns, k.run, c.direct, c.ours, c.bouncer)
		if err != nil {
			return err
		}
		c.beside(k.what, "%.2f s", took, took[c.bouncer]/took[c.ours])
	}
	return nil
}

// beside adds a row on how ours does beside pgbouncer, as a share of its speed.
func (c comparison) beside(what, format string, medians map[*way]float64, share float64) {
	other := fmt.Sprintf(format+" (direct "+format+")", medians[c.bouncer], medians[c.direct])
	c.t.atLeast(what, fmt.Sprintf(format, medians[c.ours]), other, share, 0.9, "%.2f")
}

// latency is what the proxy adds to one client's transaction.
func (c comparison) latency() error {
	took, err := rounds(proxyRuns, func(w *way) (float64, error) {
		tps, err := w.pgbench(1, shortTime)
		return 1e6 / tps, err
	}, c.direct, c.ours)
	if err != nil {
		return err
	}
	us := func(w *way) string { return fmt.Sprintf("%.1f µs", took[w]) }
	c.t.limited("pgbench -S, 1 client; direct", us(c.ours), us(c.direct), took[c.ours]-took[c.direct], 25, "%.1f µs more")
	return nil
}

// logins has every transaction come with a login.
func (c comparison) logins() error {
	tps, err := rounds(proxyRuns, func(w *way) (float64, error) { return w.pgbench(4, shortTime, "-C") }, c.direct, c.ours)
	if err != nil {
		return err
	}
	c.t.atLeast("pgbench -S -C, 4 clients; direct", fmt.Sprintf("%.0f tps", tps[c.ours]), fmt.Sprintf("%.0f tps", tps[c.direct]), tps[c.ours]/tps[c.direct], 0.9, "%.2f")
	return nil
}

// idle takes the proxy's memory while clients are connected that do nothing,
// after all that it has done before.
func idle(t *table, d *door) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	w := d.way()
	conf, err := pgconn.ParseConfig(w.conninfo)
	if err != nil {
		return err
	}
	conf.Password = w.password
	conns, errs := make([]*pgconn.PgConn, idleClients), make([]error, 8)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			for j := i; j < idleClients && errs[i] == nil; j += len(errs) {
				conns[j], errs[i] = pgconn.ConnectConfig(ctx, conf)
			}
		})
	}
	all.Wait()
	for _, conn := range conns {
		if conn != nil {
			defer conn.Close(ctx)
		}
	}
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("one of %d clients: %w", idleClients, err)
		}
	}
	if err := d.told(func(n counts) bool { return n.Open == idleClients }); err != nil {
		return err
	}
	time.Sleep(settleTime)
	mib, err := residentMiB(d.cmd.Process.Pid)
	if err != nil {
		return err
	}
	t.limited(fmt.Sprintf("memory with %d idle clients", idleClients), fmt.Sprintf("%.1f MiB", mib), "", mib, 64, "%.1f MiB")
	return nil
}
