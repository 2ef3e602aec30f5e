//go:build unix

package pgproxy

import (
	"net"
	"testing"
	"time"
)

func socketPair(t *testing.T) (ours, theirs net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if theirs, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if ours, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = ours.Close(), theirs.Close() })
	return ours, theirs
}

// Looking ends with the first byte on either side, and is not done in company.
func TestLookoutFinds(t *testing.T) {
	for _, side := range []string{"near", "far"} {
		near, nearPeer := socketPair(t)
		far, farPeer := socketPair(t)
		alone := false
		l := newLookout(NewWire(near).raw, NewWire(far).raw, func() bool { return alone })
		peer, ours := nearPeer, near
		if side == "far" {
			peer, ours = farPeer, far
		}
		if _, err := peer.Write([]byte{1, 2}); err != nil {
			t.Fatal(err)
		}
		_ = ours.SetReadDeadline(time.Now().Add(guard))
		if _, err := ours.Read(make([]byte, 1)); err != nil { // so that the other byte is there
			t.Fatal(err)
		}
		if l.out(); l.found {
			t.Errorf("%s: it looked in company", side)
		}
		alone, l.skipped = true, 7
		if l.out(); !l.found || l.skipped != 0 || l.skip != 0 {
			t.Errorf("%s: found is %v, and %d waits are not looked at", side, l.found, l.skip)
		}
	}
}

// A database far away never answers while it is looked at, and then looking costs
// next to nothing.
func TestLookoutGivesUp(t *testing.T) {
	near, _ := socketPair(t)
	far, _ := socketPair(t)
	looked := 0
	l := newLookout(NewWire(near).raw, NewWire(far).raw, func() bool { looked++; return true })
	var rows []int
	for range 4 * mostSkipped {
		if l.out(); l.skip > 0 && l.skip == l.skipped {
			rows = append(rows, l.skip)
		}
	}
	if l.found || looked != 12 || rows[0] != 1 || rows[1] != 3 || rows[len(rows)-1] != mostSkipped {
		t.Errorf("it looked %d times, with %v waits between", looked, rows)
	}
}
