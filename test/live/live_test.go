//go:build live

package live

import (
	"flag"
	"os"
	"strings"
	"testing"
	"time"
)

// TestLive checks all facts in the workspace that the arguments after -args --, the
// environment or a profile name.
func TestLive(t *testing.T) {
	environ := map[string]string{}
	for _, e := range os.Environ() {
		name, value, _ := strings.Cut(e, "=")
		environ[name] = value
		if strings.HasPrefix(name, "PG") { // pgconn would read them
			_ = os.Unsetenv(name)
		}
	}
	w, err := open(t.Context(), flag.Args(), environ)
	if err != nil {
		t.Fatal(err)
	}
	defer w.client.CloseIdleConnections()
	for _, f := range facts {
		t.Run(f.name, func(t *testing.T) {
			seen, v := w.check(t.Context(), f, 90*time.Second)
			t.Logf("%s: %s", v, seen)
			switch v {
			case fails:
				t.Fail()
			case unknown:
				t.SkipNow()
			}
		})
	}
}
