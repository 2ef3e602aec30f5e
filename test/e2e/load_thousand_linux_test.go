package e2e

import (
	"sync/atomic"
	"testing"
)

// defaultHelpers is how many TestThousandHelpers starts without LOAD_HELPERS.
const defaultHelpers = 1000

// TestGet_ThousandAtOnce: with nothing in the cache, one signs in for all, each has its
// token, and afterwards the token is there. LOAD_HELPERS is the number of helpers;
// atOnce of them run at a time.
func TestGet_ThousandAtOnce(t *testing.T) {
	t.Parallel()
	n := int(number(t, "LOAD_HELPERS", defaultHelpers))
	l := newLoad(t)
	l.mark()
	text, had := l.sameToken(l.runAll(n, nil, &atomic.Int32{}), false)
	if had != n {
		t.Errorf("%d of %d had the token", had, n)
	}
	l.wantMints(1, 1)
	if c := l.lakebase.Counters(); c.Requests != 2 || c.Handshakes > 2 {
		t.Errorf("%d requests over %d connections: %v", c.Requests, c.Handshakes, c.ByCall)
	}
	l.nothingLeft()

	// The twin is warm: nobody signs in.
	l.lakebase.ResetCounters()
	if again, had := l.sameToken([]*getProcess{l.startGet().wait()}, false); had != 1 || again != text {
		t.Error("the token was not kept")
	}
	l.wantMints(0, 0)
}
