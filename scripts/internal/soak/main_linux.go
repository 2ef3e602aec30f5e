// Command soak is the part of scripts/soak that lasts: a proxy in front of a
// local Lakebase whose tokens live for seconds, clients that come and go, and a
// fault every few seconds. At the end it prints what happened, and exits 1 when a
// client failed for another reason than one that nobody can help, or when the
// proxy has grown.
//
// It expects the variables of a local Lakebase, a keychain that holds its secret,
// and the programs on PATH.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const (
	warmUp   = 15 * time.Second // under load, before the first measurement
	quiet    = 8 * time.Second  // without clients, before each measurement: more than a renewal takes
	betweenF = 3 * time.Second  // from one fault to the next, on average
)

func main() {
	span := flag.Duration("for", 30*time.Minute, "how long")
	seed := flag.Uint64("seed", rand.Uint64(), "of the faults and of the clients' pauses")
	dir := flag.String("dir", "", "empty `folder` for the socket, whose path is short")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := soak(ctx, *span, *seed, *dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// soak runs everything for span.
func soak(ctx context.Context, span time.Duration, seed uint64, dir string) error {
	fmt.Printf("for %s, with the seed %d\n", span, seed)
	d, err := openDoor(ctx, dir)
	if err != nil {
		return err
	}
	defer d.end()
	r := &report{begun: time.Now()}
	c := newCrowd(d, seed, r)
	f := &faults{random: rand.New(rand.NewPCG(seed, 1)), compute: &c.compute, report: r}

	load := func(d time.Duration) error { // faults and clients for so long, then neither
		part, cancel := context.WithTimeout(ctx, d)
		defer cancel()
		c.start()
		err := f.run(part)
		c.stop()
		return errors.Join(err, f.calm())
	}
	measure := func() error {
		time.Sleep(quiet)
		m, err := d.measure()
		m.at = time.Since(r.begun)
		r.measured = append(r.measured, m)
		fmt.Println(m)
		return err
	}
	left := func() time.Duration { return span - time.Since(r.begun) }
	for _, part := range []func() time.Duration{func() time.Duration { return warmUp }, func() time.Duration { return left() / 2 }, func() time.Duration { return left() - quiet }} {
		if err := errors.Join(load(part()), measure()); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	if r.status, err = d.status(); err != nil {
		return err
	}
	r.said = d.said()
	return r.judge()
}
