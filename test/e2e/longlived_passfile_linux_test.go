package e2e

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// passfileLives: clients that read the file at each login go on and on.
func passfileLives(t *testing.T) {
	l := startLakebase(t, emulator.Options{Settings: emulator.Settings{DatabaseTokenLife: shortLife}})
	p := newSandbox(t, l)
	path := drivers(t)
	s := p.supervise("--refresh", "passfile")
	file := s.value("PGPASSFILE")
	if dir, err := os.Stat(filepath.Dir(file)); err != nil || dir.Mode() != os.ModeDir|0o700 || !slices.Equal(p.runDirs(), []string{filepath.Dir(file)}) {
		t.Fatalf("the folder of %q: %v (%v), of %v", file, dir, err, p.runDirs())
	}
	holdsNoToken(t, l, s)
	w := watch(l, file)
	l.ResetCounters()
	span, least := longLivedSpan()
	r := &renewals{t: t, base: l}
	talkers := s.readers(path)
	r.run(span, talkers)
	w.check(t, least)
	r.tokens(talkers, least-1) // the first came before the counters
	for _, n := range l.Logins() {
		if n.SQLState != "00000" {
			t.Errorf("a login failed: %+v", n)
		}
	}
	if o := s.end(); o.stdout+o.stderrWithoutProgress() != "" {
		t.Errorf("it says %q, %q", o.stdout, o.stderr)
	}
}

// arguments are those of a process; empty when it is gone.
func arguments(pid int) string {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return string(data)
}

// holdsNoToken checks that neither token nor secret is in the environment.
func holdsNoToken(t *testing.T, l *emulator.Lakebase, s *supervised) {
	t.Helper()
	if len(s.env) < 5 || s.value("PGUSER") != l.ClientID {
		t.Errorf("this is not the command's environment: %q", s.env)
	}
	for what, text := range map[string]string{"environment": strings.Join(s.env, "\n"), "arguments": arguments(s.child)} {
		if found := leakIn(l, text); found != "" || strings.Contains(text, "eyJ") {
			t.Errorf("%s is in the command's %s", found, what)
		}
	}
}

// watched reads a password file all the time. It keeps each file that it saw
// open, so that no inode number is used twice, and a later change of it is seen.
type watched struct {
	path  string
	line  *regexp.Regexp
	stop  chan struct{}
	ended chan struct{}
	reads int
	wrong error
	seen  []generation
}

type generation struct {
	file *os.File
	info os.FileInfo
	text string
}

func watch(l *emulator.Lakebase, path string) *watched {
	line := fmt.Sprintf(`\Alocalhost:%s:[^:\n]+:%s:eyJ[A-Za-z0-9_.-]+\n\z`, l.PGPort(), l.ClientID)
	w := &watched{path: path, line: regexp.MustCompile(line), stop: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		for w.wrong == nil {
			w.wrong = w.look()
			select {
			case <-w.stop:
				return
			case <-time.After(4 * time.Millisecond):
			}
		}
	}()
	return w
}

func (w *watched) look() error {
	w.reads++
	f, err := os.Open(w.path)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	text, err2 := io.ReadAll(f)
	switch {
	case err != nil || err2 != nil:
		return errors.Join(err, err2)
	case info.Mode() != 0o600:
		return fmt.Errorf("its mode is %s", info.Mode())
	case !w.line.Match(text):
		return fmt.Errorf("it is not one whole line, but %d bytes", len(text))
	}
	if n := len(w.seen); n > 0 && os.SameFile(info, w.seen[n-1].info) {
		return f.Close()
	}
	w.seen = append(w.seen, generation{f, info, string(text)})
	return nil
}

func (w *watched) check(t *testing.T, least int) {
	t.Helper()
	close(w.stop)
	<-w.ended
	if w.wrong != nil {
		t.Errorf("the password file: %v", w.wrong)
	}
	tokens := map[string]bool{}
	for i, g := range w.seen {
		defer g.file.Close()
		tokens[g.text] = true
		now, err := io.ReadAll(io.NewSectionReader(g.file, 0, 1<<20))
		info, err2 := g.file.Stat()
		if err != nil || err2 != nil || string(now) != g.text || !info.ModTime().Equal(g.info.ModTime()) {
			t.Errorf("the password file no. %d was written again (%v, %v)", i, err, err2)
		} else if last := i == len(w.seen)-1; (info.Sys().(*syscall.Stat_t).Nlink == 1) != last {
			t.Errorf("the password file no. %d of %d is not what was replaced", i, len(w.seen))
		}
	}
	if len(w.seen) < least || len(tokens) != len(w.seen) || w.reads < 1000 {
		t.Errorf("%d reads saw %d files with %d tokens, not %d at the least", w.reads, len(w.seen), len(tokens), least)
	}
}
