//go:build live

package live

import (
	"flag"
	"os"
	"strings"
	"testing"
	"time"
)

var (
	patient = flag.Bool("patient", false, "wait for the end of a token")
	profile = flag.String("p", "", "the profile that names the target; default: the environment does")
)

// TestLive checks all facts in a workspace.
func TestLive(t *testing.T) {
	environ := map[string]string{}
	for _, e := range os.Environ() {
		name, value, _ := strings.Cut(e, "=")
		environ[name] = value
		if strings.HasPrefix(name, "PG") { // pgconn would read them
			_ = os.Unsetenv(name)
		}
	}
	w, err := open(t.Context(), *profile, environ)
	if err != nil {
		t.Fatal(err)
	}
	w.patient = *patient
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
