package cli

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
)

// Failed logins are logged at most once a minute, with the last peer.
func TestFailedLogins_BoundedRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		f := failedLogins{log: NewLogger("prog", &out, config.LogNormal, false)}
		wrong := errors.New("password authentication failed")
		for range 200 {
			f.add("127.0.0.1:5555", wrong)
		}
		const first = "prog: warning: proxy: login from 127.0.0.1:5555 failed: password authentication failed\n"
		if out.String() != first {
			t.Errorf("got %q, want %q", out.String(), first)
		}
		time.Sleep(failedLoginsInterval)
		f.add("10.0.0.7:1", wrong)
		_, second, _ := strings.Cut(out.String(), "\n")
		if !strings.Contains(second, "from 10.0.0.7:1 failed") || !strings.Contains(second, "(and 199 others since ") || strings.Count(second, "\n") != 1 {
			t.Errorf("after a minute: got %q", second)
		}
	})
}
