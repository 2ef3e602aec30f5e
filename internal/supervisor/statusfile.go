package supervisor

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"runtime"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
)

const (
	statusInterval  = time.Second      // between two checks of the state
	statusHeartbeat = 10 * time.Second // after which the file is written without a change
)

// maxStatus is more than a status file's size in bytes.
const maxStatus = 64 << 10

// statusFile is a file with one JSON document and a newline.
type statusFile struct {
	path string
	warn func(error)

	warned  bool
	shown   []byte    // the state without what is set when the file is written
	data    []byte    // of the file
	written time.Time // zero: never
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
	s.StartedAt, s.TokenExpiresAt = seconds(s.StartedAt), seconds(s.TokenExpiresAt)
	shown, _ := json.Marshal(s) // has no value that JSON cannot represent
	if bytes.Equal(shown, f.shown) && now.Sub(f.written) < statusHeartbeat {
		return
	}
	s.UpdatedAt, s.Goroutines = seconds(now), runtime.NumGoroutine()
	data, _ := json.Marshal(s)
	data = append(data, '\n')
	if err := securefile.ReplaceFile(f.path, data); err != nil {
		if !f.warned {
			f.warn(err)
		}
		f.warned = true
		return
	}
	f.shown, f.data, f.written = shown, data, now
}

func seconds(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

func (f *statusFile) remove() {
	if f.data == nil {
		return
	}
	if data, err := securefile.ReadRegular(f.path, maxStatus); err == nil && bytes.Equal(data, f.data) {
		_ = os.Remove(f.path)
	}
}
