package pgproxy

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"
)

func cancelRequest(pid uint32, key []byte) []byte {
	return raw(codeCancel, string(binary.BigEndian.AppendUint32(nil, pid))+string(key))
}

func TestCancel(t *testing.T) {
	d := open(t, Options{}, echo)
	c := dial(t, d.unix).login()
	carried := func(want ...string) {
		t.Helper()
		if got := d.up.carried(); !slices.Equal(got, want) {
			t.Fatalf("carried: %v, and not %v", got, want)
		}
	}
	for _, key := range [][]byte{{0, 0, 0, 0}, c.key[:3], append(slices.Clone(c.key), 0), {}} {
		wrong := dial(t, d.unix)
		wrong.send(cancelRequest(c.pid, key))
		if len(key) == 4 || len(key) == 5 {
			wrong.ended() // without a word
		} else if e := wrong.failure(); e.Message != "invalid length of query cancel packet" && e.Message != "invalid length of startup packet" {
			t.Errorf("%x: %+v", key, e)
		}
	}
	other := dial(t, d.tcp)
	other.send(cancelRequest(c.pid+1, c.key))
	other.ended()
	carried()
	if ev := d.events(CancelFailed); len(ev) != 3 || !errors.Is(ev[0].Err, ErrUnknownKey) {
		t.Errorf("%+v", ev)
	}

	const want = "1/c0de0001"
	for i, way := range []*client{dial(t, d.unix), dial(t, d.tcp), dial(t, d.tcp).secured()} {
		way.send(cancelRequest(c.pid, c.key))
		way.ended()
		carried(slices.Repeat([]string{want}, i+1)...)
	}
	if n := d.Stats().Cancels; n != 3 || len(d.events(CancelDone)) != 3 {
		t.Errorf("%d carried", n)
	}
	c.says("still here")
	must(t, c.Close())
	eventually(t, "it to close", func() bool { return d.Stats().Open == 0 })
	late := dial(t, d.unix)
	late.send(cancelRequest(c.pid, c.key))
	late.ended()
	carried(want, want, want)
}

// A client of 3.0 could not read the long key of protocol 3.2.
func TestCancelWithALongKey(t *testing.T) {
	long := make([]byte, 32)
	long[0] = 7
	d := open(t, Options{}, echo, func(f *fake) { f.key = long })
	c := dial(t, d.unix).login()
	if len(c.key) != 4 {
		t.Fatalf("the client has a key of %d bytes", len(c.key))
	}
	way := dial(t, d.unix)
	way.send(cancelRequest(c.pid, c.key))
	way.ended()
	if got := d.up.carried(); len(got) != 1 || len(got[0]) != 2+64 {
		t.Errorf("%v", got)
	}
	none := open(t, Options{}, echo, func(f *fake) { f.key = []byte{} })
	if c := dial(t, none.unix).login(); c.key != nil {
		t.Errorf("a key without one: %x", c.key)
	}
}

// Cancels are bounded in number; what waits is carried later, once.
func TestManyCancels(t *testing.T) {
	free := make(chan struct{})
	d := open(t, Options{}, echo, func(f *fake) {
		f.onCancel = func(ctx context.Context) error {
			if end, ok := ctx.Deadline(); !ok || time.Until(end) > cancelTimeout {
				t.Error("without a deadline")
			}
			<-free
			return nil
		}
	})
	c := dial(t, d.unix).login()
	var ways []*client
	for range maxCancels + 5 {
		way := dial(t, d.unix)
		way.send(cancelRequest(c.pid, c.key))
		ways = append(ways, way)
	}
	at := func() int { return len(d.up.carried()) }
	eventually(t, "as many as may be", func() bool { return at() == maxCancels })
	time.Sleep(50 * time.Millisecond)
	if n := at(); n != maxCancels {
		t.Errorf("%d at once", n)
	}
	close(free)
	for _, way := range ways {
		way.ended()
	}
	if n := at(); n != maxCancels+5 {
		t.Errorf("%d in all", n)
	}
}

func TestCancelThatFails(t *testing.T) {
	no := errors.New("no")
	d := open(t, Options{}, echo, func(f *fake) { f.onCancel = func(context.Context) error { return no } })
	c := dial(t, d.unix).login()
	way := dial(t, d.unix)
	way.send(cancelRequest(c.pid, c.key))
	way.ended()
	if ev := d.events(CancelFailed); len(ev) != 1 || !errors.Is(ev[0].Err, no) || d.Stats().Cancels != 0 {
		t.Errorf("%+v", ev)
	}
	if n := len(d.up.carried()); n != 1 {
		t.Errorf("tried %d times", n)
	}
}

// Two connections may have one pid: computes restart.
func TestKeysOfOnePid(t *testing.T) {
	var ks keys
	a, b := ks.add(1, []byte("aaaa")), ks.add(1, []byte("bbbb"))
	if ks.find(1, []byte("aaaa")) != a || ks.find(1, []byte("bbbb")) != b || ks.find(2, []byte("aaaa")) != nil {
		t.Error("not found")
	}
	ks.remove(a)
	if ks.find(1, []byte("aaaa")) != nil || ks.find(1, []byte("bbbb")) != b {
		t.Error("the wrong one was removed")
	}
	if ks.remove(b); len(ks.m) != 0 {
		t.Errorf("left: %v", ks.m)
	}
}
