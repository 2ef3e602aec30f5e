// Command drivers is a Postgres client with one of Go's drivers, which it configures by
// its environment only. For each line of its input it logs in again and runs one query;
// the result, or the error, is one line of its output.
//
//	drivers pq|pgx|pgxpool QUERY
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
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "github.com/lib/pq"
)

// queryTimeout bounds one login and query, including the wake of a compute.
const queryTimeout = 30 * time.Second

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(driver, query string) error {
	ask, done, err := open(driver, query)
	if err != nil {
		return err
	}
	defer done()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		ctx, cancel := context.WithTimeout(context.Background(), queryTimeout)
		answer, err := ask(ctx)
		cancel()
		if err != nil {
			answer = "failed: " + strings.ReplaceAll(err.Error(), "\n", " ")
		}
		fmt.Println(answer)
	}
	return nil
}

func open(driver, query string) (ask func(context.Context) (string, error), done func(), err error) {
	switch driver {
	case "pq", "pgx":
		db, err := sql.Open(map[string]string{"pq": "postgres", "pgx": "pgx"}[driver], "")
		if err != nil {
			return nil, nil, err
		}
		db.SetMaxIdleConns(-1) // so that each query logs in anew
		return func(ctx context.Context) (answer string, err error) {
			err = db.QueryRowContext(ctx, query).Scan(&answer)
			return answer, err
		}, func() { _ = db.Close() }, nil
	case "pgxpool":
		pool, err := pgxpool.New(context.Background(), "")
		if err != nil {
			return nil, nil, err
		}
		return func(ctx context.Context) (string, error) { return pooled(ctx, pool, query) }, pool.Close, nil
	}
	return nil, nil, errors.New("no such driver: " + driver)
}

// pooled asks on two connections: one that the pool has kept, which may have
// died in the meantime, and a new one, which it does not keep.
func pooled(ctx context.Context, pool *pgxpool.Pool, query string) (answer string, err error) {
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
	if err := kept.QueryRow(ctx, query).Scan(&other); err != nil {
		return "", err
	}
	err = once.QueryRow(ctx, query).Scan(&answer)
	if err == nil && answer != other {
		err = fmt.Errorf("%q and %q", answer, other)
	}
	return answer, err
}
