// Command drivers is a Postgres client with one of Go's drivers. It connects with
// nothing but its environment. For each line on its input it makes a new login and
// asks one question; the answer, or what went wrong, is one line of its output.
//
//	drivers pq|pgxpool QUESTION
package main

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/lib/pq"
)

// patience bounds one login, the wake of a compute included.
const patience = 30 * time.Second

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(driver, question string) error {
	ask, done, err := open(driver, question)
	if err != nil {
		return err
	}
	defer done()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		answer, err := ask(ctx)
		cancel()
		if err != nil {
			answer = "failed: " + strings.ReplaceAll(err.Error(), "\n", " ")
		}
		fmt.Println(answer)
	}
	return nil
}

func open(driver, question string) (ask func(context.Context) (string, error), done func(), err error) {
	switch driver {
	case "pq":
		db, err := sql.Open("postgres", "")
		if err != nil {
			return nil, nil, err
		}
		db.SetMaxIdleConns(-1) // so that each question has a login of its own
		return func(ctx context.Context) (answer string, err error) {
			err = db.QueryRowContext(ctx, question).Scan(&answer)
			return answer, err
		}, func() { _ = db.Close() }, nil
	case "pgxpool":
		pool, err := pgxpool.New(context.Background(), "")
		if err != nil {
			return nil, nil, err
		}
		return func(ctx context.Context) (string, error) { return pooled(ctx, pool, question) }, pool.Close, nil
	}
	return nil, nil, errors.New("no such driver: " + driver)
}

// pooled asks on two connections: one that the pool has kept, which may have
// died in the meantime, and a new one, which it does not keep.
func pooled(ctx context.Context, pool *pgxpool.Pool, question string) (answer string, err error) {
	kept, err := pool.Acquire(ctx)
	if err != nil {
		return "", err
	}
	defer kept.Release()
	fresh, err := pool.Acquire(ctx)
	if err != nil {
		return "", err
	}
	once := fresh.Hijack()
	defer once.Close(ctx)
	var other string
	if err := kept.QueryRow(ctx, question).Scan(&other); err != nil {
		return "", err
	}
	err = once.QueryRow(ctx, question).Scan(&answer)
	if err == nil && answer != other {
		err = fmt.Errorf("%q and %q", answer, other)
	}
	return answer, err
}
