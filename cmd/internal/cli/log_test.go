package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/signal"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
)

func TestLogger_Levels(t *testing.T) {
	const secret = "dose0123456789abcdef0123456789abcdef"
	for level, want := range map[string]string{
		config.LogQuiet:   "prog: error: e\\x0Ax\n",
		config.LogNormal:  "prog: error: e\\x0Ax\nprog: hint: [redacted]\nprog: warning: w [redacted]\nprog: p\n",
		config.LogVerbose: "prog: error: e\\x0Ax\nprog: hint: [redacted]\nprog: warning: w [redacted]\nprog: note: n 2\nprog: p\n",
	} {
		var out bytes.Buffer
		l := NewLogger("prog", &out, level, false)
		l.Error("e\nx", secret)
		l.Warn("w %s", secret)
		l.Note("n %d", 2)
		l.Progress("p")
		if got := out.String(); got != want {
			t.Errorf("%s: got %q, want %q", level, got, want)
		}
	}
}

func TestLogger_JSON(t *testing.T) {
	var out bytes.Buffer
	l := NewLogger("prog", &out, config.LogNormal, true)
	l.Error("e\x1b \"q\"", "h")
	l.Progress("dose0123456789abcdef0123456789abcdef")
	lines := json.NewDecoder(&out)
	for _, want := range [][2]string{{"ERROR", `e\x1B "q"`}, {"INFO", "hint: h"}, {"INFO", "[redacted]"}} {
		var got map[string]string
		err := lines.Decode(&got)
		if at, bad := time.Parse(time.RFC3339, got["time"]); bad != nil || time.Since(at) > time.Hour {
			t.Errorf("got the time %q: %v", got["time"], bad)
		}
		if err != nil || got["program"] != "prog" || got["level"] != want[0] || got["msg"] != want[1] {
			t.Errorf("got %v, %v, want %q", got, err, want)
		}
	}
}

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

// The goroutine of os/signal starts here, and so in no bubble of synctest.
func init() { signal.Notify(make(chan os.Signal, 1), os.Interrupt) }

// Off a terminal, a stage is one line once the run takes long, unless it is short itself.
func TestProgress_Lines(t *testing.T) {
	type stage struct {
		status string
		lasts  time.Duration
	}
	long := []stage{{"signing in", 10 * time.Second}}
	for _, c := range []struct {
		name     string
		level    string
		json     bool
		terminal bool
		stages   []stage
		want     string
	}{
		{"long", config.LogNormal, false, false, []stage{{"signing in", time.Minute}, {"waiting", time.Minute}}, "prog: signing in\nprog: waiting\n"},
		{"quick stages", config.LogNormal, false, false, []stage{{"signing in", 3 * time.Second}, {"looking", minStage / 2}, {"waiting", 2 * minStage}, {"reading", minStage / 2}}, "prog: signing in\nprog: waiting\n"},
		{"quick run", config.LogNormal, false, false, []stage{{"signing in", showAfter - time.Millisecond}}, ""},
		{"quick run on a terminal", config.LogNormal, false, true, []stage{{"signing in", showAfter - time.Millisecond}}, ""},
		{"quiet", config.LogQuiet, false, true, long, ""},
		{"no stage", config.LogNormal, false, true, []stage{{"", 10 * time.Second}}, ""},
		{"JSON", config.LogNormal, true, true, long, `"level":"INFO","msg":"signing in","program":"prog"}` + "\n"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var out screen
			p := newProgress(NewLogger("prog", &out, c.level, c.json), c.terminal)
			for _, s := range c.stages {
				if s.status != "" {
					p.SetStatus(s.status)
				}
				time.Sleep(s.lasts)
			}
			p.Stop()
			if got := out.b.String(); !strings.HasSuffix(got, c.want) || !c.json && got != c.want {
				t.Errorf("%s: got %q, want %q", c.name, got, c.want)
			}
		})
	}
}

// A frame is safe and never wraps, also after the terminal has become narrower.
func TestProgress_FitsTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out screen
		p := newProgress(NewLogger("prog", &out, config.LogNormal, false), true)
		begin := time.Now()
		p.width = func() int {
			if time.Since(begin) > showAfter+time.Second {
				return 12
			}
			return 60
		}
		p.SetStatus("waiting\x1b[31m\nagain " + strings.Repeat("x", 40))
		time.Sleep(showAfter + 2*time.Second)
		p.Stop()
		got, widths := out.b.String(), map[int]bool{}
		for _, frame := range strings.Split(got, "\r") {
			widths[len([]rune(strings.TrimSuffix(frame, "\x1b[K")))] = true
		}
		if !widths[59] || !widths[11] || len(widths) != 3 { // and the empty line at the end
			t.Errorf("got widths %v, want 0, 11 and 59", widths)
		}
		if !strings.Contains(got, `prog: waiting\x1B[31m\x0Aagain xxx`) || strings.Contains(got, "\n") || !strings.HasSuffix(got, clearLine) {
			t.Errorf("got %q", got)
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
		if got := canRedraw("linux", newEnvironment(strings.Fields(env)...).Env); got != want {
			t.Errorf("%s: got %v, want %v", env, got, want)
		}
	}
}

// Failed logins are logged at most once a minute, with the peer.
func TestWarnFailedLogin_BoundedRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		v := Services{log: NewLogger("prog", &out, config.LogNormal, false)}
		for range 200 {
			v.warnFailedLogin("127.0.0.1:5555", errors.New("no"))
		}
		time.Sleep(failedLoginsInterval)
		v.warnFailedLogin("10.0.0.7:1", errors.New("no"))
		const want = "prog: warning: proxy: login from 127.0.0.1:5555 failed: no\nprog: warning: proxy: login from 10.0.0.7:1 failed: no\n"
		if got := out.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}
