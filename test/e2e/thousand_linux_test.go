package e2e

import (
	"strconv"
	"sync/atomic"
	"testing"
)

// everydayHelpers is how many TestThousandHelpers starts without LOAD_HELPERS.
const everydayHelpers = 1000

// TestThousandHelpers: with nothing in the cache, one signs in for all, each has its
// token, and afterwards the token is there. LOAD_HELPERS is the number of helpers;
// atOnce of them run at a time.
func TestThousandHelpers(t *testing.T) {
	t.Parallel()
	n := int(number(t, "LOAD_HELPERS", everydayHelpers))
	l := newLoad(t)
	l.mark()
	text, had := l.one(l.all(n, nil, &atomic.Int32{}), false)
	t.Attr("cases", strconv.Itoa(n))
	if had != n {
		t.Errorf("%d of %d had the token", had, n)
	}
	l.mints(1, 1)
	if c := l.base.Counters(); c.Requests != 2 || c.Handshakes > 2 {
		t.Errorf("%d requests over %d connections: %v", c.Requests, c.Handshakes, c.ByCall)
	}
	l.nothingLeft()

	// The twin is warm: nobody signs in.
	l.base.ResetCounters()
	if again, had := l.one([]*asked{l.ask().wait()}, false); had != 1 || again != text {
		t.Error("the token was not kept")
	}
	l.mints(0, 0)
}
