// Package securefile owns opening and writing files that hold secrets or that
// steer us: secret files, profiles, and the runtime folder with its lock, stamp
// and cache. Files are judged by the opened descriptor, never by a name that
// could mean something else a moment later. It must never print what a file
// holds, never loosen a file's mode by itself, and never block on a fifo.
//
// On Windows modes say nothing; there the owner is checked and what we write
// gets an access list for its owner alone (not run by anyone yet).
package securefile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// Error says why a file or folder was not used, and, where one command mends it,
// which one.
type Error struct {
	Path   string
	Reason string
	Fix    string // a command to run, or ""
	Err    error  // the system's own error, if there was one
}

func (e *Error) Error() string { return fmt.Sprintf("%q: %s", e.Path, e.Reason) }
func (e *Error) Unwrap() error { return e.Err }

func refuse(path, reason, fix string) *Error { return &Error{Path: path, Reason: reason, Fix: fix} }

// systemError wraps an error of the operating system without its own path.
func systemError(path string, err error) *Error {
	inner := err
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		inner = pe.Err
	}
	return &Error{Path: path, Reason: inner.Error(), Err: err}
}

// meta is what a descriptor says of its file.
type meta struct {
	mode    fs.FileMode // type and permission; on Windows the permission is always 0600
	owner   int         // the uid; on Windows euid for us, 0 for the system and administrators, else -2
	roTmpfs bool        // it is on a tmpfs that is mounted read-only
}

const rootUID = 0

// Bits of a mode that are somebody else's.
const (
	othersAny   fs.FileMode = 0o077
	othersWrite fs.FileMode = 0o022
)

// closed says why a file is not ours and closed to others; nil if it is.
func closed(path string, m meta, uid int, fixMode string) *Error {
	switch {
	case m.owner != uid:
		return foreign(path, m, uid)
	case m.mode&othersAny != 0:
		return refuse(path, fmt.Sprintf("others than its owner may use it (mode %04o)", m.mode.Perm()), "chmod "+fixMode+" "+sanitize.ShellQuote(path))
	}
	return nil
}

// foreign refuses what belongs to somebody else.
func foreign(path string, m meta, uid int) *Error {
	fix := fmt.Sprintf("chown %d %s", uid, sanitize.ShellQuote(path))
	switch {
	case uid < 0 || m.owner < 0:
		return refuse(path, "it belongs to somebody else", "")
	case uid != rootUID:
		fix = "sudo " + fix
	}
	return refuse(path, fmt.Sprintf("it belongs to uid %d, and we are %d", m.owner, uid), fix)
}

// OpenRegular opens a regular file that somebody else answers for, such as the
// platform that runs us, and waits for no other end of a pipe. Errors: *Error.
func OpenRegular(path string, flag int) (*os.File, error) {
	f, _, err := openChecked(path, flag)
	return f, err
}

// openChecked opens a regular file. It follows symbolic links: a
// Kubernetes secret is a link to ..data/NAME, and dotfiles often are links; what
// counts is the file at the end, which is what the descriptor shows.
func openChecked(path string, flag int) (*os.File, meta, error) {
	f, err := os.OpenFile(path, flag|nonblock, 0)
	if err != nil {
		if fi, statErr := os.Stat(path); statErr == nil && !fi.Mode().IsRegular() { // a pipe that nobody reads
			return nil, meta{}, refuse(path, "it is "+kind(fi.Mode())+", not a regular file", "")
		}
		return nil, meta{}, systemError(path, err)
	}
	m, err := metaOf(f)
	if err == nil && !m.mode.IsRegular() {
		err = refuse(path, "it is "+kind(m.mode)+", not a regular file", "")
	} else if err != nil {
		err = systemError(path, err)
	}
	if err != nil {
		_ = f.Close()
		return nil, meta{}, err
	}
	return f, m, nil
}

func kind(m fs.FileMode) string {
	switch {
	case m.IsRegular():
		return "a file"
	case m.IsDir():
		return "a directory"
	case m&fs.ModeNamedPipe != 0:
		return "a pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	case m&fs.ModeSymlink != 0:
		return "a symbolic link"
	}
	return "a device"
}

// readBounded reads at most max bytes; more is an error.
func readBounded(path string, f *os.File, max int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(f, max+1))
	if err != nil {
		return nil, systemError(path, err)
	}
	if int64(len(data)) > max {
		return nil, refuse(path, fmt.Sprintf("it is larger than %d bytes", max), "")
	}
	return data, nil
}

// abandoned says whether the writer of a temporary file must have been killed.
func abandoned(fi fs.FileInfo) bool {
	return fi.Mode().IsRegular() && time.Since(fi.ModTime()) > time.Minute
}
