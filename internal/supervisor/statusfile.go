package supervisor

import (
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
)

const (
	statusInterval  = time.Second      // between two checks of the state
	statusHeartbeat = 10 * time.Second // after which the file is written without a change
)

// statusFile is a file with one JSON document and a newline.
type statusFile struct {
	path string
	warn func(error) // called once, at the first failure

	warned  sync.Once
	shown   State     // as it is in the file
	written time.Time // zero: never
	own     fs.FileInfo
}

// WriteStatus writes the state to the file at path now, within a second of each change of
// state, and every 10 s. When ctx ends it removes the file, unless another process has
// replaced it. A failed write is tried again; warn is called at the first.
func WriteStatus(ctx context.Context, path string, state func() State, warn func(error)) {
	f := &statusFile{path: path, warn: warn}
	ticker := time.NewTicker(statusInterval)
	defer ticker.Stop()
	for {
		f.update(state())
		select {
		case <-ctx.Done():
			f.remove()
			return
		case <-ticker.C:
		}
	}
}

// update writes the state if it has changed or the heartbeat is due.
func (f *statusFile) update(s State) {
	now := time.Now()
	s.Ready = s.notReady(now) == ""
	shown := s
	shown.Beat, shown.Started, shown.BytesToDatabase, shown.BytesToClient = time.Time{}, false, 0, 0
	if shown == f.shown && now.Sub(f.written) < statusHeartbeat {
		return
	}
	s.UpdatedAt, s.Goroutines = now, runtime.NumGoroutine()
	data, err := json.Marshal(s)
	if err == nil {
		err = securefile.ReplaceFile(f.path, append(data, '\n'))
	}
	if err != nil {
		f.fail(err)
		return
	}
	f.shown, f.written = shown, now
	f.own, _ = os.Lstat(f.path)
	os.SameFile(f.own, f.own) // on Windows, os reads a file's ID only when it is compared
}

// remove compares the modification time, too, as inode numbers are reused.
func (f *statusFile) remove() {
	fi, err := os.Lstat(f.path)
	if f.own == nil || err != nil || !os.SameFile(fi, f.own) || !fi.ModTime().Equal(f.own.ModTime()) {
		return
	}
	if err := os.Remove(f.path); err != nil {
		f.fail(err)
	}
}

func (f *statusFile) fail(err error) { f.warned.Do(func() { f.warn(err) }) }
