package pgproxy

import (
	"context"
	"io"
	"net"
	"runtime"
	"testing"
	"time"
)

// ways are a direct TLS connection to the far end, the door with a Wire upstream,
// and the door without.
func ways(b *testing.B, serve func(net.Conn), bench func(b *testing.B, c net.Conn)) {
	b.Run("direct", func(b *testing.B) {
		f := &fake{db: newDatabase(b, serve)}
		c, err := f.dial(context.Background())
		must(b, err)
		defer func() { _ = c.Close() }()
		bench(b, c)
	})
	for _, bare := range []bool{false, true} {
		name := "door"
		if bare {
			name = "door,bare"
		}
		b.Run(name, func(b *testing.B) {
			d := open(b, Options{}, serve, func(f *fake) { f.bare = bare })
			c := dial(b, d.unix).login()
			must(b, c.SetDeadline(time.Time{}))
			bench(b, c.Conn)
		})
	}
}

// A query and its answer, as small as those of pgbench -S.
func BenchmarkPing(b *testing.B) {
	ways(b, echo, func(b *testing.B, c net.Conn) {
		buf := make([]byte, 60)
		for b.Loop() {
			if _, err := c.Write(buf); err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadFull(c, buf); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// piece is what Postgres sends at once, and libpq about.
const piece = 8 << 10

func BenchmarkDown(b *testing.B) {
	serve := func(c net.Conn) {
		for buf := make([]byte, piece); ; {
			if _, err := c.Write(buf); err != nil {
				return
			}
		}
	}
	ways(b, serve, func(b *testing.B, c net.Conn) {
		b.SetBytes(1 << 20)
		buf := make([]byte, 1<<20)
		for b.Loop() {
			if _, err := io.ReadFull(c, buf); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkUp(b *testing.B) {
	serve := func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }
	ways(b, serve, func(b *testing.B, c net.Conn) {
		b.SetBytes(1 << 20)
		buf := make([]byte, piece)
		for b.Loop() {
			for range 1 << 20 / piece {
				if _, err := c.Write(buf); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

// What goes through costs no memory, but for three small readers that crypto/tls
// makes for itself, one of them at the far end.
func TestJoinedDoesNotAllocate(t *testing.T) {
	d := open(t, Options{}, echo)
	c := dial(t, d.unix).login()
	buf := make([]byte, 60)
	var before, after runtime.MemStats
	const rounds = 2000
	run := func() {
		for range rounds {
			_, _ = c.Write(buf)
			_, _ = io.ReadFull(c, buf)
		}
	}
	run()
	runtime.ReadMemStats(&before)
	run()
	runtime.ReadMemStats(&after)
	t.Logf("%d allocations, %d bytes", (after.Mallocs-before.Mallocs)/rounds, (after.TotalAlloc-before.TotalAlloc)/rounds)
	if most := uint64(3.5 * rounds); after.Mallocs-before.Mallocs > most && !raceEnabled { // with it, pools forget at random
		t.Errorf("%d allocations in %d rounds", after.Mallocs-before.Mallocs, rounds)
	}
}

// Connections that were busy and are idle hold no buffer of ours. What is counted
// holds the far end too, and what crypto/tls keeps: 40 KiB at each end.
func TestIdleMemory(t *testing.T) {
	const conns = 200
	lean := func(c net.Conn) {
		for buf := make([]byte, 1<<10); ; {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			if _, err := c.Write(buf[:n]); err != nil {
				return
			}
		}
	}
	d := open(t, Options{}, lean)
	used := func() int64 {
		runtime.GC()
		runtime.GC() // the second one empties the pools
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapInuse + m.StackInuse)
	}
	before := used()
	busy := string(make([]byte, 100<<10))
	for range conns {
		c := dial(t, d.unix).login()
		go func() { _, _ = c.Write([]byte(busy)) }()
		c.bytes(len(busy))
	}
	grown := (used() - before) / conns >> 10
	t.Logf("%d KiB for each connection and both its peers", grown)
	if s := d.Stats(); s.Open != conns || grown > 150 {
		t.Errorf("%d open, %d KiB each", s.Open, grown)
	}
}
