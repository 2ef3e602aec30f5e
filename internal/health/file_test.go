package health

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// page is a status file under test, in free time.
type page struct {
	File
	t *testing.T

	lock   sync.Mutex
	state  State
	writes []time.Duration // since the start
	warned []error
	broken error
	jump   time.Duration
}

// bubble runs f while a File runs, ends it, and then calls after.
func bubble(t *testing.T, path string, f, after func(*page)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		p := &page{t: t, state: running()}
		p.Path = path
		p.Write = func(path string, data []byte) error {
			p.lock.Lock()
			defer p.lock.Unlock()
			p.writes = append(p.writes, time.Since(start))
			if p.broken != nil {
				return p.broken
			}
			return replace(path, data)
		}
		p.Warn = func(err error) { p.with(func() { p.warned = append(p.warned, err) }) }
		p.Now = func() time.Time {
			p.lock.Lock()
			defer p.lock.Unlock()
			return time.Now().Add(p.jump)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			p.Run(ctx, func() State {
				p.lock.Lock()
				defer p.lock.Unlock()
				return p.state
			})
			close(done)
		}()
		synctest.Wait()
		f(p)
		cancel()
		<-done
		if after != nil {
			after(p)
		}
	})
}

func (p *page) with(f func()) {
	p.lock.Lock()
	defer p.lock.Unlock()
	f()
}

func (p *page) sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (p *page) wantWrites(at ...int) {
	p.t.Helper()
	p.lock.Lock()
	defer p.lock.Unlock()
	var want []time.Duration
	for _, s := range at {
		want = append(want, time.Duration(s)*time.Second)
	}
	if fmt.Sprint(p.writes) != fmt.Sprint(want) {
		p.t.Errorf("written at %v, and not %v", p.writes, want)
	}
}

func (p *page) read() State {
	p.t.Helper()
	data, err := os.ReadFile(p.Path)
	var s State
	if err = errors.Join(err, json.Unmarshal(data, &s)); err != nil || bytes.Count(data, []byte("\n")) != 1 || !bytes.HasSuffix(data, []byte("}\n")) {
		p.t.Errorf("%v: %s", err, data)
	}
	return s
}

func only(t *testing.T, dir string, want ...string) {
	t.Helper()
	var got []string
	list, err := os.ReadDir(dir)
	for _, e := range list {
		got = append(got, e.Name())
	}
	if err != nil || strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("%v, and not %v: %v", got, want, err)
	}
}

func TestFileFollowsTheState(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "status.json")
	if err := os.WriteFile(path, []byte("what a killed one left"), 0o644); err != nil {
		t.Fatal(err)
	}
	bubble(t, path, func(p *page) {
		if s := p.read(); s.PID != 7 || !s.Ready || !s.UpdatedAt.Equal(time.Now()) {
			t.Errorf("%+v", s)
		}
		if fi, err := os.Lstat(path); err != nil || fi.Mode() != 0o600 {
			t.Errorf("%v %v", fi.Mode(), err)
		}
		only(t, dir, "status.json")
		p.sleep(1500 * time.Millisecond)
		p.wantWrites(0)
		for i := range 100 { // many changes are one
			p.with(func() { p.state.Logins = i })
		}
		p.sleep(time.Second)
		p.wantWrites(0, 2)
		if s := p.read(); s.Logins != 99 {
			t.Errorf("%+v", s)
		}
		p.with(func() { p.state.Beat = time.Now() }) // is not shown
		p.sleep(10 * time.Second)
		p.wantWrites(0, 2, 12)
		if s := p.read(); time.Since(s.UpdatedAt) >= time.Second {
			t.Errorf("updated at %v, now is %v", s.UpdatedAt, time.Now())
		}
		p.with(func() { p.state.TokenExpiresAt = time.Now().Add(4 * time.Second) })
		p.sleep(6 * time.Second) // it expires by itself
		p.wantWrites(0, 2, 12, 13, 17)
		if s := p.read(); s.Ready {
			t.Errorf("%+v", s)
		}
		p.with(func() { p.state.TokenExpiresAt = time.Now().Add(10 * time.Hour) })
		p.sleep(time.Second)
		p.with(func() { p.jump = -time.Hour })
		p.sleep(time.Second)
		p.wantWrites(0, 2, 12, 13, 17, 19, 20)
		p.with(func() { p.jump = time.Hour }) // the machine has slept
		p.sleep(time.Second)
		p.wantWrites(0, 2, 12, 13, 17, 19, 20, 21)
	}, func(p *page) {
		only(t, dir)
		if len(p.warned) != 0 {
			t.Error(p.warned)
		}
	})
}

// The goroutines are those of the moment of writing, and no reason to write.
func TestFileCountsGoroutines(t *testing.T) {
	bubble(t, filepath.Join(t.TempDir(), "status.json"), func(p *page) {
		before := p.read().Goroutines
		over := make(chan struct{})
		for range 50 {
			go func() { <-over }()
		}
		p.sleep(9 * time.Second)
		p.wantWrites(0)
		p.sleep(2 * time.Second)
		p.wantWrites(0, 10)
		if now := p.read().Goroutines; before < 1 || now < before+40 { // those of earlier tests may just be ending
			t.Errorf("%d goroutines, then %d", before, now)
		}
		close(over)
	}, nil)
}

func TestFileThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "status.json")
	full := errors.New("no space left")
	bubble(t, path, func(p *page) {
		p.with(func() { p.broken, p.state.Logins = full, 1 })
		p.sleep(time.Minute)
		if s := p.read(); s.Logins != 0 {
			t.Errorf("%+v", s)
		}
		p.with(func() { p.broken = nil })
		p.sleep(time.Second)
		if s := p.read(); s.Logins != 1 {
			t.Errorf("it is not tried again: %+v", s)
		}
		p.with(func() { p.broken, p.state.Logins = full, 2 })
		p.sleep(time.Minute)
	}, func(p *page) {
		only(t, dir) // the one that was written before is removed
		if len(p.warned) != 1 || p.warned[0] != full {
			t.Errorf("%v", p.warned)
		}
	})
}

func TestFileLeavesOthersAlone(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"a link":   func(path string) error { return os.Symlink("other", path) },
		"a folder": func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "status.json")
		if err := errors.Join(os.WriteFile(filepath.Join(dir, "other"), []byte("theirs"), 0o600), make(path)); err != nil {
			t.Fatal(err)
		}
		before, _ := os.Lstat(path)
		bubble(t, path, func(p *page) { p.sleep(30 * time.Second) }, func(p *page) {
			after, err := os.Lstat(path)
			if err != nil || after.Mode() != before.Mode() || len(p.writes) != 0 {
				t.Errorf("%s: %v, %v, %d writes", name, after, err, len(p.writes))
			}
			var e *NotRegularError
			if len(p.warned) != 1 || !errors.As(p.warned[0], &e) || e.Path != path || !strings.HasPrefix(e.Error(), path+" is not a regular file (") {
				t.Errorf("%s: %v", name, p.warned)
			}
		})
		if text, err := os.ReadFile(filepath.Join(dir, "other")); err != nil || string(text) != "theirs" {
			t.Errorf("%s: %q %v", name, text, err)
		}
		only(t, dir, "other", "status.json")
	}
}

// Who wrote last owns the file: an older supervisor does not take it away.
func TestFileOfAnotherSupervisorStays(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "status.json")
	bubble(t, path, func(p *page) {
		for range 2 { // so that the number of our file is used again
			if err := replace(path, []byte("theirs")); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(path, time.Time{}, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
	}, func(*page) {
		if text, err := os.ReadFile(path); err != nil || string(text) != "theirs" {
			t.Errorf("%q %v", text, err)
		}
	})
	bubble(t, path, func(*page) { // written at the very same time
		fi, err := os.Lstat(path)
		if err = errors.Join(err, os.Rename(path, path+".kept"), replace(path, []byte("theirs"))); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, fi.ModTime()); err != nil {
			t.Fatal(err)
		}
	}, func(*page) { only(t, dir, "status.json", "status.json.kept") })
	bubble(t, path, func(*page) {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}, func(p *page) {
		if len(p.warned) != 0 {
			t.Errorf("removed by hand: %v", p.warned)
		}
	})
}
