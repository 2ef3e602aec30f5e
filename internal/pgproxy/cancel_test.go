package pgproxy

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// cancel sends a cancel request on a connection of its own and waits for its end.
func (c *client) cancel(pid uint32, key []byte) {
	c.t.Helper()
	c.send(cancelRequest(pid, key))
	c.ended()
}

func TestCancel(t *testing.T) {
	failure := errors.New("failed")
	p := start(t, Options{}, echo, func(f *fakeUpstream) {
		f.onCancel = func(ctx context.Context, pid uint32) error {
			if end, ok := ctx.Deadline(); !ok || time.Until(end) > cancelTimeout {
				t.Error("the context has no deadline")
			}
			if pid > 1 {
				return failure
			}
			return nil
		}
	})
	c := dial(t, p.unix).login()
	other := dial(t, p.unix).login()
	if len(c.key) != 4 || string(c.key) == string(other.key) { // a client of protocol 3.0 cannot read another size
		t.Fatalf("got keys %x and %x, want two of 4 bytes", c.key, other.key)
	}
	expect := func(want ...string) {
		t.Helper()
		if _, got := p.up.received(); !slices.Equal(got, want) {
			t.Fatalf("got cancel requests %v, want %v", got, want)
		}
	}
	dial(t, p.unix).cancel(c.pid, other.key)
	dial(t, p.unix).cancel(c.pid, append(slices.Clone(c.key), 0))
	dial(t, p.tcp).cancel(c.pid+1, c.key)
	expect()
	if _, failed := p.observed(); len(failed) != 3 || !strings.Contains(failed[0].Error(), "unknown connection") {
		t.Errorf("got failures %v, want 3 of an unknown connection", failed)
	}

	const want = "1/a key of protocol 3.2, 1"
	for i, conn := range []*client{dial(t, p.unix), dial(t, p.tcp), dial(t, p.tcp).startTLS()} {
		conn.cancel(c.pid, c.key)
		expect(slices.Repeat([]string{want}, i+1)...)
	}
	c.echo("still open")
	must(t, c.Close())
	eventually(t, "the session to end", func() bool { return p.Stats().Open == 1 })
	dial(t, p.unix).cancel(c.pid, c.key)
	dial(t, p.unix).cancel(other.pid, other.key)
	expect(want, want, want, "2/a key of protocol 3.2, 2")
	if _, failed := p.observed(); len(failed) != 5 || !errors.Is(failed[4], failure) {
		t.Errorf("got failures %v, want two more, the last with the error of the upstream", failed)
	}

	none := start(t, Options{}, echo, func(f *fakeUpstream) { f.noKey = true })
	if c := dial(t, none.unix).login(); c.key != nil {
		t.Errorf("got key %x of a server without one", c.key)
	}
}
