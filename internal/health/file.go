package health

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

const (
	lookEvery = time.Second      // so that a file changes once in it at the most
	heartbeat = 10 * time.Second // after which a file is written without a change
)

// File is a status file: one JSON document and a newline.
type File struct {
	Path string
	// Write replaces the file at once, so that readers see the old text or the
	// new. Nil: by a new file of mode 0600 in the same folder, renamed.
	Write func(path string, data []byte) error
	Warn  func(error)      // is called once in a run, at the first failure; may be nil
	Now   func() time.Time // the wall clock; nil: the system's

	warned  bool
	shown   State     // as it stands in the file
	written time.Time // when; zero: never
	ours    fs.FileInfo
}

// NotRegularError says that something else than a file stands at the path. It is
// left alone; a symbolic link is not followed.
type NotRegularError struct {
	Path string
	Mode fs.FileMode
}

func (e *NotRegularError) Error() string {
	return fmt.Sprintf("%s is not a regular file (%s)", e.Path, e.Mode.Type())
}

// Run writes the file now, within a second of each change of what state gives,
// and every 10 s. It removes it when ctx ends, unless another has put its own
// there, and returns. What goes wrong is told to Warn, once, and tried again.
func (f *File) Run(ctx context.Context, state func() State) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	sweep(filepath.Dir(f.Path))
	for {
		f.look(state())
		select {
		case <-ctx.Done():
			f.remove()
			return
		case <-ticker.C:
		}
	}
}

// look writes the state if it has changed or the heartbeat is due, also when the
// clock was put back.
func (f *File) look(s State) {
	now := f.now()
	s.Ready = s.unready(now) == ""
	shown := s
	shown.UpdatedAt, shown.Beat, shown.Started = time.Time{}, time.Time{}, false
	shown.StartedAt, shown.TokenExpiresAt = shown.StartedAt.Round(0).UTC(), shown.TokenExpiresAt.Round(0).UTC()
	if age := now.Sub(f.written); shown == f.shown && age >= 0 && age < heartbeat {
		return
	}
	s.UpdatedAt, s.Goroutines = now, runtime.NumGoroutine()
	if err := f.put(s); err != nil {
		f.warn(err)
		return
	}
	f.shown, f.written = shown, now
}

func (f *File) put(s State) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if _, err := regular(f.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	write := f.Write
	if write == nil {
		write = replace
	}
	if err := write(f.Path, append(data, '\n')); err != nil {
		return err
	}
	f.ours, _ = regular(f.Path)
	return nil
}

// remove compares the time as well, as the number of a file that is gone is soon
// another's.
func (f *File) remove() {
	if f.ours == nil {
		return
	}
	fi, err := regular(f.Path)
	if err != nil || !os.SameFile(fi, f.ours) || !fi.ModTime().Equal(f.ours.ModTime()) {
		return
	}
	if err := os.Remove(f.Path); err != nil {
		f.warn(err)
	}
}

func (f *File) warn(err error) {
	if f.Warn != nil && !f.warned {
		f.Warn(err)
	}
	f.warned = true
}

func (f *File) now() time.Time {
	if f.Now == nil {
		return time.Now().Round(0)
	}
	return f.Now().Round(0)
}

// regular gives what stands at path, if that is a regular file.
func regular(path string) (fs.FileInfo, error) {
	fi, err := os.Lstat(path)
	if err == nil && !fi.Mode().IsRegular() {
		return nil, &NotRegularError{Path: path, Mode: fi.Mode()}
	}
	return fi, err
}

// unfinished begins the name of a file that is not in its place yet.
const unfinished = ".lakebase-status-"

// sweep removes such files of runs that were killed.
func sweep(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if random, ok := strings.CutPrefix(e.Name(), unfinished); !ok || len(random) != len(rand.Text()) {
			continue
		}
		if fi, err := e.Info(); err == nil && fi.Mode().IsRegular() && time.Since(fi.ModTime()) > time.Minute {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}

func replace(path string, data []byte) error {
	temp := filepath.Join(filepath.Dir(path), unfinished+rand.Text())
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return told(path, err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		_ = os.Remove(temp)
	}
	return told(path, err)
}

// told names the file that people know, and not the temporary one.
func told(path string, err error) error {
	if err == nil {
		return nil
	}
	var p *fs.PathError
	var l *os.LinkError
	switch {
	case errors.As(err, &p):
		err = p.Err
	case errors.As(err, &l):
		err = l.Err
	}
	return &fs.PathError{Op: "write", Path: path, Err: err}
}
