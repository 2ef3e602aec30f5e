// Package securefile opens, writes and locks files that hold secrets or decide where
// secrets are sent. Owner and mode are checked on the opened descriptor, never on a name
// that could refer to another file a moment later. It never blocks on a FIFO, and never
// puts a file's content into an error. Every error of a file is or wraps an *Error, or
// fs.ErrNotExist.
//
// On Windows, where modes mean nothing, the owner is checked, and new files get an
// access list for us and the system alone.
package securefile

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// Error is why a file or directory was not used.
type Error struct {
	Path   string
	Reason string
	Advice string // what to do; may be empty
	Err    error  // the system's error, if there was one
}

func (e *Error) Error() string { return fmt.Sprintf("%q: %s", e.Path, e.Reason) }
func (e *Error) Unwrap() error { return e.Err }

// Hint is what to do about it.
func (e *Error) Hint() string {
	path := sanitize.ShellQuote(e.Path)
	switch {
	case e.Advice != "":
		return e.Advice
	case errors.Is(e.Err, fs.ErrPermission):
		return "check owner and mode of " + path + " and of the directories above it: ls -ld " + path
	}
	return cmp.Or(FaultHint(e.Err, e.Path), "check "+path+", or name another path")
}

// reject returns an Error with advice, which may be empty.
func reject(path, advice, format string, args ...any) *Error {
	return &Error{Path: path, Advice: advice, Reason: fmt.Sprintf(format, args...)}
}

// systemError wraps an error of the operating system without the path in it.
func systemError(path string, err error) *Error {
	if known, ok := errors.AsType[*Error](err); ok {
		return known
	}
	reason := err.Error()
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		reason = errno.Error()
	}
	return &Error{Path: path, Reason: reason, Err: err}
}

// Fixes of environmentFaults.
const (
	fixSpace    = "free space on the file system of PATH"
	fixReadOnly = "make the file system of PATH writable"
	fixFiles    = "raise the limit of open files (ulimit -n)"
	fixMemory   = "free memory, or raise the limit of this process"
	fixDisk     = "check the disk of PATH"
)

// FaultHint returns what to do about a fault of the machine, which no configuration
// causes; empty if err is none.
func FaultHint(err error, path string) string {
	for errno, fix := range environmentFaults {
		switch {
		case !errors.Is(err, errno):
		case path == "":
			return strings.ReplaceAll(fix, " of PATH", "")
		default:
			return strings.ReplaceAll(fix, "PATH", sanitize.ShellQuote(path))
		}
	}
	return ""
}

// IsEnvironmentFault reports whether err is a fault of the machine, as a full file system.
func IsEnvironmentFault(err error) bool { return FaultHint(err, "") != "" }

// meta describes an open file.
type meta struct {
	mode  fs.FileMode // type and permissions; on Windows the latter are always 0600
	owner int         // the UID; on Windows geteuid for us, 0 for the system and administrators, else -2
}

const (
	rootUID                 = 0
	othersAny   fs.FileMode = 0o077
	othersWrite fs.FileMode = 0o022
)

// checkPrivate checks that a file is owned by uid and closed to others.
func (m meta) checkPrivate(path string, uid int, fixMode string) error {
	switch {
	case m.owner != uid:
		return m.wrongOwner(path, uid)
	case m.mode&othersAny != 0:
		return reject(path, m.run("chmod "+fixMode, path, uid), "is accessible by others (mode %04o)", m.mode.Perm())
	}
	return nil
}

// checkTrusted checks that a file is uid's or root's, and can be written by its owner alone.
func (m meta) checkTrusted(path string, uid int) error {
	switch {
	case m.owner != uid && m.owner != rootUID:
		return m.wrongOwner(path, uid)
	case m.mode&othersWrite != 0:
		return reject(path, m.run("chmod go-w", path, uid), "is writable by others (mode %04o)", m.mode.Perm())
	}
	return nil
}

func (m meta) wrongOwner(path string, uid int) error {
	if uid < 0 || m.owner < 0 {
		return reject(path, "", "belongs to another user")
	}
	return reject(path, m.run(fmt.Sprintf("chown %d", uid), path, uid), "belongs to uid %d, not to uid %d", m.owner, uid)
}

// run is the advice to apply a command to path.
func (m meta) run(command, path string, uid int) string {
	if m.owner != uid && uid != rootUID {
		command = "sudo " + command
	}
	return "run: " + command + " " + sanitize.ShellQuote(path)
}

// OpenRegular opens a regular file without a check of owner and mode. It does not block on
// a FIFO, and follows links: Kubernetes' secrets and many dotfiles are links.
func OpenRegular(path string, flag int) (*os.File, error) {
	f, err := os.OpenFile(path, flag|nonblock, 0)
	if err != nil {
		if fi, statErr := os.Stat(path); statErr == nil && !fi.Mode().IsRegular() { // a FIFO without a reader
			return nil, notRegular(path, fi.Mode())
		}
		return nil, systemError(path, err)
	}
	fi, err := f.Stat()
	switch {
	case err != nil:
		err = systemError(path, err)
	case !fi.Mode().IsRegular():
		err = notRegular(path, fi.Mode())
	default:
		return f, nil
	}
	_ = f.Close()
	return nil, err
}

func notRegular(path string, m fs.FileMode) *Error {
	return reject(path, "", "is %s, not a regular file", fileType(m))
}

var fileTypes = map[fs.FileMode]string{
	0: "a file", fs.ModeDir: "a directory", fs.ModeNamedPipe: "a pipe", fs.ModeSocket: "a socket", fs.ModeSymlink: "a symbolic link",
}

func fileType(m fs.FileMode) string { return cmp.Or(fileTypes[m.Type()], "a device") }

// ReadRegular reads a file as OpenRegular opens it, of at most max bytes.
func ReadRegular(path string, max int64) ([]byte, error) { return read(path, max, nil) }

// maxProfile is the size limit of a configuration file in bytes.
const maxProfile = 1 << 20

// ReadProfile reads a configuration file of at most maxProfile bytes. It must be ours or
// root's, and writable by no one else, as it decides where a secret is sent.
func ReadProfile(path string) ([]byte, error) {
	return read(path, maxProfile, func(_ *os.File, m meta) error { return m.checkTrusted(path, os.Geteuid()) })
}

// read reads a regular file of at most max bytes that check, unless it is nil, accepts.
func read(path string, max int64, check func(*os.File, meta) error) ([]byte, error) {
	f, err := OpenRegular(path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	return readAll(path, f, max, check)
}

// readAll is read for an open file, which it closes.
func readAll(path string, f *os.File, max int64, check func(*os.File, meta) error) ([]byte, error) {
	defer f.Close()
	if check != nil {
		m, err := metaOf(f)
		if err != nil {
			return nil, systemError(path, err)
		}
		if err := check(f, m); err != nil {
			return nil, err
		}
	}
	data, err := io.ReadAll(io.LimitReader(f, max+1))
	switch {
	case err != nil:
		return nil, systemError(path, err)
	case int64(len(data)) > max:
		return nil, reject(path, "", "is larger than %d bytes", max)
	}
	return data, nil
}
