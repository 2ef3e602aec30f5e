package cli

import (
	"bytes"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
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

// The goroutine of os/signal starts here, and so in no bubble of synctest.
func init() { signal.Notify(make(chan os.Signal, 1), os.Interrupt) }

func TestProgress_OffTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out screen
		p := newProgress(NewLogger("prog", &out, config.LogNormal, false), false)
		p.SetStatus("signing in")
		time.Sleep(showAfter - time.Millisecond)
		if synctest.Wait(); out.String() != "" {
			t.Errorf("before two seconds: %q", out.String())
		}
		time.Sleep(2 * time.Millisecond)
		if synctest.Wait(); out.String() != "prog: signing in\n" {
			t.Errorf("after two seconds: %q", out.String())
		}
		p.SetDetail("unreachable")
		time.Sleep(time.Minute)
		p.SetStatus("waiting for the compute")
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

// A stage that ends quickly is not shown, also in a slow run.
func TestProgress_QuickStage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out screen
		p := newProgress(NewLogger("prog", &out, config.LogNormal, false), false)
		p.SetStatus("signing in")
		time.Sleep(3 * time.Second)
		p.SetStatus("looking")
		time.Sleep(minStage / 2)
		p.SetStatus("waiting for the compute")
		time.Sleep(2 * minStage)
		p.SetStatus("reading")
		time.Sleep(minStage / 2)
		p.Stop()
		if out.String() != "prog: signing in\nprog: waiting for the compute\n" {
			t.Errorf("%q", out.String())
		}
	})
}

func TestProgress_QuickRun(t *testing.T) {
	for _, terminal := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var out screen
			p := newProgress(NewLogger("prog", &out, config.LogNormal, false), terminal)
			p.SetStatus("signing in")
			time.Sleep(showAfter - time.Millisecond)
			p.Stop()
			time.Sleep(time.Minute)
			if out.String() != "" {
				t.Errorf("terminal %v: %q", terminal, out.String())
			}
		})
	}
}

func TestProgress_OnTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out screen
		p := newProgress(NewLogger("prog", &out, config.LogNormal, false), true)
		p.SetStatus("waiting\x1b[31m")
		p.SetDetail("no\nanswer")
		time.Sleep(showAfter + 1050*time.Millisecond)
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

func TestProgress_Silent(t *testing.T) {
	for name, c := range map[string]struct {
		level  string
		json   bool
		status string
		want   string
	}{
		"quiet":         {config.LogQuiet, false, "signing in", ""},
		"nothing to do": {config.LogNormal, false, "", ""},
		"JSON":          {config.LogNormal, true, "signing in", `"level":"progress","message":"signing in","program":"p"}` + "\n"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var out screen
			p := newProgress(NewLogger("p", &out, c.level, c.json), true)
			if c.status != "" {
				p.SetStatus(c.status)
			}
			time.Sleep(10 * time.Second)
			p.Stop()
			if got := out.String(); !strings.HasSuffix(got, c.want) || (got == "") != (c.want == "") || strings.Count(got, "\n") > 1 {
				t.Errorf("%s: got %q, want %q", name, got, c.want)
			}
		})
	}
}

// A frame never wraps, also after the terminal has become narrower.
func TestProgress_FitsTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out screen
		p := newProgress(NewLogger("prog", &out, config.LogNormal, false), true)
		var width atomic.Int64
		width.Store(40)
		p.width = func() int { return int(width.Load()) }
		p.SetStatus("signing in to a-workspace-with-a-long-name.cloud.databricks.com")
		time.Sleep(showAfter + time.Second)
		width.Store(12)
		time.Sleep(time.Second)
		p.Stop()
		widths := map[int]bool{}
		for _, frame := range strings.Split(out.String(), "\r") {
			widths[len([]rune(strings.TrimSuffix(frame, "\x1b[K")))] = true
		}
		if !widths[39] || !widths[11] || len(widths) != 3 { // and the empty line at the end
			t.Errorf("got widths %v, want 0, 11 and 39", widths)
		}
	})
}

func TestCanRedraw(t *testing.T) {
	for env, want := range map[string]bool{
		"TERM=xterm LANG=de_DE.UTF-8":            true,
		"TERM=xterm LC_CTYPE=C.utf8 LANG=C":      true,
		"TERM=xterm LANG=en_US.UTF-8 NO_COLOR=1": true,
		"TERM=dumb LANG=de_DE.UTF-8":             false,
		"TERM=xterm":                             false,
		"LANG=C.UTF-8":                           false,
		"TERM=xterm LC_ALL=C LANG=de_DE.UTF-8":   false,
		"TERM=xterm LANG=de_DE.ISO-8859-1":       false,
	} {
		vars := map[string]string{}
		for _, v := range strings.Fields(env) {
			name, value, _ := strings.Cut(v, "=")
			vars[name] = value
		}
		if got := canRedraw("linux", func(name string) string { return vars[name] }); got != want {
			t.Errorf("%s: got %v, want %v", env, got, want)
		}
	}
}
