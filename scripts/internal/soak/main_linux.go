// Command soak is the part of scripts/soak that lasts: a proxy in front of a local
// Lakebase whose tokens live for seconds, clients that come and go, and faults of
// the workspace, the database and the keychain all the time. At the end it prints
// what happened, and exits 1 when a client failed for another reason than one that
// nobody can help, or when the proxy has grown.
//
// It expects the programs on PATH, and those that test/emulator and test/testkeyring
// need.
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

func main() {
	span := flag.Duration("for", 30*time.Minute, "how long")
	life := flag.Duration("token-life", 10*time.Second, "of each database token")
	seed := flag.Uint64("seed", rand.Uint64(), "of the faults and of the clients' pauses")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := soak(ctx, *span, *life, *seed); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// soak brings everything up, lets it run for span, and judges.
func soak(ctx context.Context, span, life time.Duration, seed uint64) (err error) {
	if life < 3*time.Second || span < 3*window(life)+10*time.Second {
		return fmt.Errorf("%s with tokens of %s is too short: nothing would happen between the measurements", span, life)
	}
	fmt.Printf("for %s with tokens of %s; the seed is %d\n", span, life, seed)
	w, err := newWorld(ctx, life)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	d, err := openDoor(ctx, w)
	if err != nil {
		return err
	}
	r := &report{begun: time.Now(), life: life}
	err = run(ctx, w, d, r, span, seed)
	r.said = d.said()
	if ended := d.end(); ended != nil {
		r.failed("%v", ended)
	}
	if err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("%w\nthe proxy said: %s", err, r.said)
	}
	r.leaked, r.dialogs = w.reveals(r.said), w.desk.Calls()["BeginPrompting"]
	r.print(os.Stdout)
	return r.judge()
}

// run is load, and a measurement without it, three times: when all is warm, in the
// middle and at the end.
func run(ctx context.Context, w *world, d *door, r *report, span time.Duration, seed uint64) error {
	c := newCrowd(w, d, seed, r)
	load := span - 3*window(r.life)
	warm := min(15*time.Second, load/5)
	for _, part := range []time.Duration{warm, (load - warm) / 2, (load - warm) / 2} {
		limited, cancel := context.WithTimeout(ctx, part)
		err := c.load(limited, seed)
		cancel()
		if err != nil {
			return err
		}
		m, err := d.measure(ctx, window(r.life))
		if err != nil {
			return err
		}
		m.at = time.Since(r.begun)
		r.measured = append(r.measured, m)
		fmt.Println(m)
	}
	var err error
	r.status, err = d.status()
	return err
}

// window is how long a measurement lasts: a token is renewed in it, after which
// the status file is written.
func window(life time.Duration) time.Duration { return life*3/4 + 2*time.Second }
