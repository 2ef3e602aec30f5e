// Package rundir owns the folder that one supervisor has for itself inside the
// runtime folder: made closed to others, locked while its run lives, removed at
// its end, and swept by a later run where it was killed. It must never remove a
// folder whose run lives or that no run made, follow a link, or touch anything
// outside the runtime folder.
package rundir

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"
)

// A folder is made under the first name, and gets the second one once its lock is
// held: nobody who sweeps sees it unlocked.
const (
	making   = "new-"
	made     = "run-"
	lockFile = "lock"
)

// ours is the form of those names. The runtime folder may be a service's own, with
// other folders in it.
var ours = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(` + making + `|` + made + `)[a-z2-7]{8}$`) })

const (
	unfinished = time.Minute // after which a folder that is still being made is swept
	maxNames   = 10000       // of the runtime folder, that are looked at
)

// Dir is a run's folder.
type Dir struct {
	root *os.Root
	name string
	lock *flock.Flock
}

// Make makes a folder of mode 0700 in parent, the runtime folder, which its caller
// has found to be ours and closed to others. Errors: the system's.
func Make(parent string) (*Dir, error) {
	root, err := os.OpenRoot(parent)
	if err != nil {
		return nil, err
	}
	id := strings.ToLower(rand.Text()[:8]) // short: the path of a socket is
	d := &Dir{root: root, name: made + id}
	if err := d.make(parent, making+id); err != nil {
		_ = empty(root, making+id)
		_ = root.Close()
		return nil, err
	}
	return d, nil
}

func (d *Dir) make(parent, first string) error {
	if err := d.root.Mkdir(first, 0o700); err != nil {
		return err
	}
	d.lock = flock.New(filepath.Join(parent, first, lockFile), flock.SetFlag(os.O_CREATE|lockFlags), flock.SetPermissions(0o600))
	got, err := d.lock.TryLock()
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	if err == nil && !got {
		return fmt.Errorf("somebody else holds the lock of %s", first)
	}
	return d.root.Rename(first, d.name)
}

// Path is the folder.
func (d *Dir) Path() string { return filepath.Join(d.root.Name(), d.name) }

// Remove removes the folder with all that is in it, and then gives the lock up.
func (d *Dir) Remove() error {
	err := removeHeld(d.root, d.name, func() { _ = d.lock.Close() })
	return errors.Join(err, d.root.Close())
}

// removeHeld removes a folder while its lock is held, or where that cannot be, as
// Windows removes no file that is open, when it was let go.
func removeHeld(root *os.Root, name string, free func()) error {
	err := empty(root, name)
	if free(); err != nil {
		err = empty(root, name)
	}
	return err
}

// empty removes a folder with what is in it.
func empty(root *os.Root, name string) error {
	inside, err := fs.ReadDir(root.FS(), name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, file := range lockLast(inside) {
		err = errors.Join(err, root.RemoveAll(name+"/"+file))
		if err != nil {
			return err
		}
	}
	return root.Remove(name)
}

// lockLast puts the lock after all else: a folder without one is empty, or nobody's.
func lockLast(inside []fs.DirEntry) (files []string) {
	for _, e := range inside {
		files = append(files, e.Name())
	}
	if i := slices.Index(files, lockFile); i >= 0 {
		files = append(slices.Delete(files, i, i+1), lockFile)
	}
	return files
}

// Sweep removes the folders of runs that were killed, and says how many there
// were. Errors: the system's; what could not be removed is left for the next one.
func Sweep(parent string) (removed int, err error) {
	root, err := os.OpenRoot(parent)
	if err != nil {
		return 0, err
	}
	defer root.Close()
	f, err := root.Open(".")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	names, err := f.Readdirnames(maxNames)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	var failed []error
	for _, name := range names {
		if !ours().MatchString(name) {
			continue
		}
		free, abandoned := abandonedIn(root, parent, name)
		if !abandoned {
			free()
			continue
		}
		if err := removeHeld(root, name, free); err != nil {
			failed = append(failed, err)
		} else {
			removed++
		}
	}
	return removed, errors.Join(failed...)
}

// abandonedIn says whether nobody lives in a folder. Its lock is then ours until
// free is called.
func abandonedIn(root *os.Root, parent, name string) (free func(), abandoned bool) {
	free = func() {}
	info, err := root.Lstat(name)
	if err != nil || !info.IsDir() {
		return free, false
	}
	old := time.Since(info.ModTime()) > unfinished
	lock, err := root.Lstat(name + "/" + lockFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		inside, err := fs.ReadDir(root.FS(), name)
		return free, old && err == nil && len(inside) == 0
	case err != nil || !lock.Mode().IsRegular() || lock.Size() != 0:
		return free, false
	case strings.HasPrefix(name, making) && !old:
		return free, false
	}
	l := flock.New(filepath.Join(parent, name, lockFile), flock.SetFlag(lockFlags))
	if got, err := l.TryLock(); err != nil || !got {
		return func() { _ = l.Close() }, false
	}
	return func() { _ = l.Close() }, true
}
