package supervisor

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// newStatusFile returns a status file and the warnings about it.
func newStatusFile(t *testing.T) (f *statusFile, warned *[]error) {
	warned = new([]error)
	path := filepath.Join(t.TempDir(), "status.json")
	return &statusFile{path: path, warn: func(err error) { *warned = append(*warned, err) }}, warned
}

var inSeconds = regexp.MustCompile(`_at":"[-0-9]+T[0-9:]+Z"`)

// assertShown updates the file with s, and checks what it shows and when that was written.
func (f *statusFile) assertShown(t *testing.T, s State, ready bool, logins int, age time.Duration) {
	t.Helper()
	f.update(s)
	data, err := os.ReadFile(f.path)
	var got State
	if err := errors.Join(err, json.Unmarshal(data, &got)); err != nil || bytes.IndexByte(data, '\n') != len(data)-1 {
		t.Fatalf("got %v: %q; want one line", err, data)
	}
	if n := len(inSeconds.FindAll(data, -1)); n != 3 {
		t.Errorf("got %s, want three times in UTC and whole seconds", data)
	}
	at := time.Since(got.UpdatedAt).Truncate(time.Second)
	if got.PID != 7 || got.Goroutines == 0 || got.Ready != ready || got.Logins != logins || at != age {
		t.Errorf("got %+v written %v ago, want ready %v, %d logins, %v ago", got, at, ready, logins, age)
	}
}

func TestStatusFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, warned := newStatusFile(t)
		must(t, os.WriteFile(f.path, []byte("left by a killed run"), 0o644))
		s := running()
		f.assertShown(t, s, true, 0, 0)
		if info, err := os.Lstat(f.path); err != nil || info.Mode() != 0o600 && runtime.GOOS != "windows" {
			t.Errorf("got %v, %v", info, err)
		}
		s.Logins = 99
		f.assertShown(t, s, true, 99, 0)
		time.Sleep(9 * time.Second)
		s.Beat = time.Now() // is not shown
		f.assertShown(t, s, true, 99, 9*time.Second)
		time.Sleep(time.Second)
		f.assertShown(t, s, true, 99, 0) // the heartbeat
		s.TokenExpiresAt = time.Now().Add(2 * time.Second)
		f.assertShown(t, s, true, 99, 0)
		time.Sleep(2 * time.Second)
		f.assertShown(t, s, false, 99, 0) // it expires by itself
		f.remove()
		if _, err := os.Lstat(f.path); !os.IsNotExist(err) || len(*warned) != 0 {
			t.Errorf("got %v, warnings %v", err, *warned)
		}
	})
}

// A path that is not a regular file is not replaced. A write that fails is reported once
// and tried again.
func TestStatusFile_NotWritable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, warned := newStatusFile(t)
		must(t, os.Mkdir(f.path, 0o700))
		f.update(running())
		f.update(running())
		if len(*warned) != 1 || !strings.Contains((*warned)[0].Error(), "is a directory, not a regular file") {
			t.Errorf("got warnings %v", *warned)
		}
		must(t, os.Remove(f.path))
		f.assertShown(t, running(), true, 0, 0)
	})
}

// A file that another process has put there is not removed.
func TestStatusFile_Replaced(t *testing.T) {
	f, warned := newStatusFile(t)
	must(t, os.WriteFile(f.path, nil, 0o600))
	f.remove() // before the first write
	if _, err := os.Stat(f.path); err != nil {
		t.Error(err)
	}
	f.update(running())
	theirs := strings.Replace(string(f.data), `"pid":7`, `"pid":8`, 1)
	must(t, os.WriteFile(f.path, []byte(theirs), 0o600))
	f.remove()
	if text, err := os.ReadFile(f.path); err != nil || string(text) != theirs || len(*warned) != 0 {
		t.Errorf("got %q, %v, warnings %v", text, err, *warned)
	}
}
