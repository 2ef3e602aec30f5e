package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

const (
	comers  = 6                // clients that log in, ask, and go
	stayers = 2                // that stay for as long as their server does
	patient = 90 * time.Second // for a login: more than the proxy takes itself
	asking  = 20 * time.Second // for an answer
)

// errWrong is an answer that nothing excuses.
var errWrong = errors.New("that is the answer to another question")

// crowd is the clients of the proxy.
type crowd struct {
	world  *world
	door   *door
	report *report
	seed   uint64
	turn   atomic.Uint64
	ending atomic.Bool
	all    sync.WaitGroup
}

func newCrowd(w *world, d *door, seed uint64, r *report) *crowd {
	return &crowd{world: w, door: d, report: r, seed: seed}
}

// load is clients and faults until ctx ends; then all finish what they are at.
func (c *crowd) load(ctx context.Context, seed uint64) error {
	c.ending.Store(false)
	for range comers {
		c.all.Go(func() { c.loop(c.come) })
	}
	for range stayers {
		c.all.Go(func() { c.loop(c.stay) })
	}
	c.all.Go(func() { c.loop(c.stranger) })
	err := inject(ctx, c.world, c.report, seed, c.turn.Add(1))
	c.ending.Store(true)
	c.all.Wait()
	return err
}

func (c *crowd) loop(visit func(*rand.Rand)) {
	random := rand.New(rand.NewPCG(c.seed, 100+c.turn.Add(1)))
	for !c.ending.Load() {
		visit(random)
		time.Sleep(time.Duration(50+random.IntN(350)) * time.Millisecond)
	}
}

// open logs in. That it fails is never right: the proxy waits for a compute.
func (c *crowd) open(user string) (*pgconn.PgConn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patient)
	defer cancel()
	cfg, err := pgconn.ParseConfig(fmt.Sprintf("host=%s port=%s user=%s dbname=databricks_postgres sslmode=disable passfile='' application_name=soak", c.door.dir, c.door.port, user))
	if err != nil {
		return nil, err
	}
	return pgconn.ConnectConfig(ctx, cfg)
}

// ask wants one right answer.
func ask(conn *pgconn.PgConn, random *rand.Rand) error {
	ctx, cancel := context.WithTimeout(context.Background(), asking)
	defer cancel()
	n := random.IntN(1_000_000)
	rows, err := conn.Exec(ctx, fmt.Sprintf("select %d, repeat('x', %d)", n, random.IntN(20_000))).ReadAll()
	if err != nil {
		return err
	}
	if len(rows) != 1 || len(rows[0].Rows) != 1 || string(rows[0].Rows[0][0]) != strconv.Itoa(n) {
		return fmt.Errorf("asked for %d: %w", n, errWrong)
	}
	return nil
}

// excused says whether a session may have ended like this: its server was taken
// from it, and it heard so at once. A wrong answer or none at all is never right.
func excused(err error, mayBeCut bool) bool {
	return mayBeCut && !errors.Is(err, errWrong) && !errors.Is(err, context.DeadlineExceeded)
}

// session opens one, lets use use it, and closes it.
func (c *crowd) session(use func(*pgconn.PgConn) error) {
	seen := c.world.cuts.Load()
	begun := time.Now()
	conn, err := c.open(c.door.user)
	if err != nil {
		c.report.failed("login after %s: %v", time.Since(begun).Round(time.Millisecond), err)
		return
	}
	c.report.login(time.Since(begun))
	err = use(conn)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx)
	switch {
	case err == nil:
	case excused(err, c.world.mayBeCut(seen)):
		c.report.cut.Add(1)
	default:
		c.report.failed("session after %s: %v", time.Since(begun).Round(time.Millisecond), err)
	}
}

// come asks some questions and goes.
func (c *crowd) come(random *rand.Rand) {
	c.session(func(conn *pgconn.PgConn) error {
		for range 1 + random.IntN(4) {
			if err := ask(conn, random); err != nil {
				return err
			}
		}
		return nil
	})
}

// stay asks until its server is taken from it.
func (c *crowd) stay(random *rand.Rand) {
	c.session(func(conn *pgconn.PgConn) error {
		for !c.ending.Load() {
			if err := ask(conn, random); err != nil {
				return err
			}
			c.report.kept.Add(1)
			time.Sleep(500 * time.Millisecond)
		}
		return nil
	})
}

// stranger is refused by design, and must be: the door is another user's.
func (c *crowd) stranger(*rand.Rand) {
	conn, err := c.open("somebody")
	var said *pgconn.PgError
	switch {
	case err == nil:
		_ = conn.Close(context.Background())
		c.report.failed("another user was let in")
	case errors.As(err, &said) && said.Code == "28000":
		c.report.refused.Add(1)
	default:
		c.report.failed("another user was not refused, but: %v", err)
	}
	time.Sleep(time.Second)
}
