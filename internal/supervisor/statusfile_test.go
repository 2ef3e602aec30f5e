package supervisor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// statusTest is a status file that is kept in fake time.
type statusTest struct {
	t    *testing.T
	path string

	lock   sync.Mutex
	state  State
	warned []error
}

// runStatusFile calls f while the file is kept, and returns the warnings and the names
// of the files that are there when that has ended.
func runStatusFile(t *testing.T, path string, f func(*statusTest)) (warned []error, left []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &statusTest{t: t, path: path, state: running()}
		file := &statusFile{path: path, warn: func(err error) { s.warned = append(s.warned, err) }}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			file.run(ctx, func() State {
				s.lock.Lock()
				defer s.lock.Unlock()
				return s.state
			})
		}()
		synctest.Wait()
		f(s)
		cancel()
		<-done
		warned = s.warned
	})
	list, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		left = append(left, e.Name())
	}
	return warned, left
}

func (s *statusTest) set(f func(*State)) {
	s.lock.Lock()
	defer s.lock.Unlock()
	f(&s.state)
}

// sleep also returns the document, which was last written this long ago.
func (s *statusTest) sleep(d time.Duration) (State, time.Duration) {
	s.t.Helper()
	time.Sleep(d)
	synctest.Wait()
	data, err := os.ReadFile(s.path)
	var state State
	if err = errors.Join(err, json.Unmarshal(data, &state)); err != nil || bytes.Count(data, []byte("\n")) != 1 || !bytes.HasSuffix(data, []byte("}\n")) {
		s.t.Errorf("got %v: %s", err, data)
	}
	return state, time.Since(state.UpdatedAt).Truncate(time.Second)
}

func TestStatusFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "status.json")
	if err := os.WriteFile(path, []byte("left by a killed run"), 0o644); err != nil {
		t.Fatal(err)
	}
	warned, left := runStatusFile(t, path, func(s *statusTest) {
		state, age := s.sleep(500 * time.Millisecond)
		if fi, err := os.Lstat(path); err != nil || fi.Mode() != 0o600 || state.PID != 7 || !state.Ready || state.Goroutines == 0 || age != 0 {
			t.Errorf("got %v, %v, %+v", fi, err, state)
		}
		s.set(func(s *State) { s.Logins = 99 }) // written within a second
		if state, _ := s.sleep(time.Second); state.Logins != 99 {
			t.Errorf("got %+v", state)
		}
		s.set(func(s *State) { s.Beat = time.Now() }) // is not shown
		if _, age := s.sleep(8 * time.Second); age != 8*time.Second {
			t.Errorf("got a file written %v ago, want 8s", age)
		}
		if _, age := s.sleep(2 * time.Second); age != 0 { // the heartbeat
			t.Errorf("got a file written %v ago, want 0s", age)
		}
		s.set(func(s *State) { s.TokenExpiresAt = time.Now().Add(2 * time.Second) })
		if state, _ := s.sleep(4 * time.Second); state.Ready { // it expires by itself
			t.Errorf("got %+v", state)
		}
	})
	if len(left) != 0 || len(warned) != 0 {
		t.Errorf("got %q left, warnings %v", left, warned)
	}
}

// A path that is not a regular file is not replaced. A write that fails is reported once
// and tried again.
func TestStatusFile_NotWritable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "status.json")
	if err := os.Symlink("other", path); err != nil {
		t.Fatal(err)
	}
	warned, left := runStatusFile(t, path, func(s *statusTest) {
		time.Sleep(time.Minute)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if state, _ := s.sleep(time.Second); state.PID != 7 {
			t.Errorf("got %+v", state)
		}
	})
	if len(left) != 0 || len(warned) != 1 || !strings.Contains(warned[0].Error(), "is a symbolic link, not a regular file") {
		t.Errorf("got %q left, warnings %v", left, warned)
	}
}

// A file that another process has put there is not removed.
func TestStatusFile_Replaced(t *testing.T) {
	for name, after := range map[string]time.Duration{"later": time.Second, "at the same time": 0} {
		path := filepath.Join(t.TempDir(), "status.json")
		warned, _ := runStatusFile(t, path, func(*statusTest) {
			fi, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			err = errors.Join(os.Rename(path, path+".kept"), os.WriteFile(path, []byte("theirs"), 0o600), os.Chtimes(path, time.Time{}, fi.ModTime().Add(after)))
			if err != nil {
				t.Fatal(err)
			}
		})
		if text, err := os.ReadFile(path); err != nil || string(text) != "theirs" || len(warned) != 0 {
			t.Errorf("%s: got %q, %v, warnings %v", name, text, err, warned)
		}
	}
}
