package cli

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
)

// screen is a writer that can be read while it is written to.
type screen struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestProgressOffTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out screen
		p := StartProgress(&Say{Program: "prog", Out: &out, Level: config.LogNormal}, false)
		p.At("signing in")
		time.Sleep(patience - time.Millisecond)
		if synctest.Wait(); out.String() != "" {
			t.Errorf("before two seconds: %q", out.String())
		}
		time.Sleep(2 * time.Millisecond)
		if synctest.Wait(); out.String() != "prog: signing in\n" {
			t.Errorf("after two seconds: %q", out.String())
		}
		p.Detail("unreachable")
		time.Sleep(time.Minute)
		p.At("waiting for the compute")
		time.Sleep(time.Minute)
		if synctest.Wait(); out.String() != "prog: signing in\nprog: waiting for the compute\n" {
			t.Errorf("after two minutes: %q", out.String())
		}
		p.Stop()
		if out.String() != "prog: signing in\nprog: waiting for the compute\n" {
			t.Errorf("at the end: %q", out.String())
		}
	})
}

// Of a slow run a quick stage is not the one that is waited for.
func TestProgressOfAQuickStage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out screen
		p := StartProgress(&Say{Program: "prog", Out: &out, Level: config.LogNormal}, false)
		p.At("signing in")
		time.Sleep(3 * time.Second)
		p.At("looking")
		time.Sleep(settled / 2)
		p.At("waiting for the compute")
		time.Sleep(2 * settled)
		p.At("reading")
		time.Sleep(settled / 2)
		p.Stop()
		if out.String() != "prog: signing in\nprog: waiting for the compute\n" {
			t.Errorf("%q", out.String())
		}
	})
}

func TestProgressOfAQuickRun(t *testing.T) {
	for _, terminal := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var out screen
			p := StartProgress(&Say{Program: "prog", Out: &out}, terminal)
			p.At("signing in")
			time.Sleep(patience - time.Millisecond)
			p.Stop()
			time.Sleep(time.Minute)
			if out.String() != "" {
				t.Errorf("terminal %v: %q", terminal, out.String())
			}
		})
	}
}

func TestProgressOnTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out screen
		p := StartProgress(&Say{Program: "prog", Out: &out}, true)
		p.At("waiting\x1b[31m")
		p.Detail("no\nanswer")
		time.Sleep(patience + 1050*time.Millisecond)
		synctest.Wait()
		got := out.String()
		if !strings.Contains(got, `prog: waiting\x1B[31m (3 s, no\x0Aanswer)`) || strings.Contains(got, "\n") || strings.Count(got, "\r") < 10 {
			t.Errorf("%q", got)
		}
		p.Stop()
		if !strings.HasSuffix(out.String(), "\r\x1b[K") {
			t.Errorf("the spinner stays: %q", out.String())
		}
	})
}

func TestProgressIsSilent(t *testing.T) {
	for name, c := range map[string]struct {
		say  *Say
		text string
		want string
	}{
		"quiet":         {&Say{Level: config.LogQuiet}, "signing in", ""},
		"nothing to do": {&Say{}, "", ""},
		"JSON":          {&Say{Program: "p", JSON: true}, "signing in", `{"level":"progress","message":"signing in","program":"p"}` + "\n"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var out screen
			c.say.Out = &out
			p := StartProgress(c.say, true)
			if c.text != "" {
				p.At(c.text)
			}
			time.Sleep(10 * time.Second)
			p.Stop()
			if out.String() != c.want {
				t.Errorf("%s: %q", name, out.String())
			}
		})
	}
}
