package securefile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// openTries bounds how often Open starts again when a file comes or goes between
// its steps: other processes of ours replace and remove files.
const openTries = 10

// Open opens a file in the folder by its plain name, for os.O_RDONLY, O_WRONLY
// or O_RDWR with any of O_CREATE, O_EXCL, O_TRUNC and O_APPEND. A new file has
// mode 0600. What is no regular file, a symbolic link too, not ours, or open to
// others is refused, and is not truncated.
//
// Errors: *Error, which is also fs.ErrNotExist or fs.ErrExist where that is so.
func (d *Dir) Open(name string, flag int) (*os.File, error) {
	path := filepath.Join(d.path, name)
	if !plain(name) {
		return nil, refuse(d.path, fmt.Sprintf("%q is no plain file name", name), "")
	}
	for range openTries {
		f, again, err := d.open(name, path, flag&^os.O_TRUNC)
		if again {
			continue
		}
		if err == nil && flag&os.O_TRUNC != 0 {
			if e := f.Truncate(0); e != nil {
				_ = f.Close()
				return nil, systemError(path, e)
			}
		}
		return f, err
	}
	return nil, refuse(path, "it comes and goes faster than it can be opened", "")
}

func (d *Dir) open(name, path string, flag int) (f *os.File, again bool, err error) {
	named, err := d.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist) && flag&os.O_CREATE != 0:
		named = nil
		f, err = d.root.OpenFile(name, flag|os.O_EXCL|nonblock, 0o600)
		if errors.Is(err, fs.ErrExist) && flag&os.O_EXCL == 0 {
			return nil, true, nil
		}
		if err == nil {
			err = ownerOnly(f)
		}
	case err != nil:
	case flag&os.O_CREATE != 0 && flag&os.O_EXCL != 0:
		err = fs.ErrExist
	case !named.Mode().IsRegular():
		return nil, false, refuse(path, "it is "+kind(named.Mode())+", not a regular file", "")
	default:
		f, err = d.root.OpenFile(name, flag&^os.O_CREATE|nonblock, 0)
		if errors.Is(err, fs.ErrNotExist) && flag&os.O_CREATE != 0 {
			return nil, true, nil
		}
	}
	if err != nil {
		if f != nil {
			_ = f.Close()
		}
		return nil, false, systemError(path, err)
	}
	fi, err := f.Stat()
	if err == nil && named != nil && !os.SameFile(fi, named) {
		_ = f.Close() // replaced since, perhaps by a link
		return nil, true, nil
	}
	m, err2 := metaOf(f)
	if err = errors.Join(err, err2); err != nil {
		_ = f.Close()
		return nil, false, systemError(path, err)
	}
	if e := closed(path, m, os.Geteuid(), "600"); e != nil {
		_ = f.Close()
		return nil, false, e
	}
	return f, false, nil
}

// ReadFile reads a file of at most max bytes, under the rules of Open.
func (d *Dir) ReadFile(name string, max int64) ([]byte, error) {
	f, err := d.Open(name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readBounded(filepath.Join(d.path, name), f, max)
}

// WriteFile replaces a file at once: readers see the old text or the new. It is
// not synced to the disk; what a crash of the machine takes is made anew.
func (d *Dir) WriteFile(name string, data []byte) error { return d.write(name, data, false) }

// KeepFile is WriteFile for what cannot be made anew: it lasts through a crash
// of the machine, where the file system can do that.
func (d *Dir) KeepFile(name string, data []byte) error { return d.write(name, data, true) }

func (d *Dir) write(name string, data []byte, lasting bool) error {
	if !plain(name) {
		return refuse(d.path, fmt.Sprintf("%q is no plain file name", name), "")
	}
	temp := "." + name + "." + rand.Text()
	f, err := d.Open(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if lasting {
		err = errors.Join(err, f.Sync())
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = d.root.Rename(temp, name)
	}
	if err != nil {
		_ = d.root.Remove(temp)
		return systemError(filepath.Join(d.path, name), err)
	}
	if lasting {
		syncDir(d.path)
	}
	d.sweep()
	return nil
}

// sweep removes what writers have left that were killed: a file called
// ".NAME.RANDOM" is there for an instant, or for ever. One that cannot be removed
// does no harm.
func (d *Dir) sweep() {
	names, err := d.Names(maxSwept)
	if err != nil {
		return
	}
	for _, n := range names {
		random := strings.TrimPrefix(filepath.Ext(n), ".")
		if n[0] != '.' || len(random) != len(rand.Text()) || strings.Trim(random, base32) != "" {
			continue
		}
		if fi, err := d.root.Lstat(n); err == nil && abandoned(fi) {
			_ = d.root.Remove(n)
		}
	}
}

const (
	maxSwept = 10_000
	base32   = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567" // of rand.Text
)

// Names lists what is in the folder, sorted; more than max entries are an error.
func (d *Dir) Names(max int) ([]string, error) {
	f, err := d.root.Open(".")
	if err != nil {
		return nil, systemError(d.path, err)
	}
	defer f.Close()
	names, err := f.Readdirnames(max + 1)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, systemError(d.path, err)
	case len(names) > max:
		return nil, refuse(d.path, fmt.Sprintf("it has more than %d files in it", max), "")
	}
	slices.Sort(names)
	return names, nil
}

// Remove removes a file. One that is not there is no error.
func (d *Dir) Remove(name string) error {
	if !plain(name) {
		return refuse(d.path, fmt.Sprintf("%q is no plain file name", name), "")
	}
	if err := d.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return systemError(filepath.Join(d.path, name), err)
	}
	return nil
}

// maxName is the longest name that most file systems take, in bytes.
const maxName = 255

// plain says whether name is one element of a path on every system.
func plain(name string) bool {
	return name != "" && name != "." && name != ".." && len(name) <= maxName && !strings.ContainsAny(name, "/\\:\x00") && filepath.IsLocal(name)
}
