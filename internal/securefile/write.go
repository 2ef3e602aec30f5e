package securefile

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// makeTarget follows the symbolic links of path, and makes its directory.
func makeTarget(path string) (string, error) {
	target, err := filepath.EvalSymlinks(path)
	switch {
	case err == nil:
		return target, nil
	case !errors.Is(err, fs.ErrNotExist):
		return "", systemError(path, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", systemError(filepath.Dir(path), err)
	}
	return path, nil
}

// UpdateFile waits for another process until updateTimeout, and then continues without
// the lock: the check before the rename remains, after which it begins again.
const (
	updateTimeout  = 30 * time.Second
	maxUpdateTries = 10
)

// errChanged means that a file changed between reading and replacing it.
var errChanged = errors.New("another program keeps changing it")

// UpdateFile atomically replaces a configuration file, read as by ReadProfile, by what
// change makes of its content, which is nil if there is no file; nil leaves it as it is.
// A lock file beside it keeps other callers away; if another program changes the file
// meanwhile, it is read again. The mode becomes 0600. If path is a symbolic link, its
// target, which must exist, is replaced. Missing directories are made with mode 0700.
func UpdateFile(ctx context.Context, path string, change func(old []byte) ([]byte, error)) error {
	target, err := makeTarget(path)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, updateTimeout)
	defer cancel()
	unlock, _, _ := Lock(ctx, lockPath(target))
	defer unlock()
	for range maxUpdateTries {
		if err = updateOnce(target, change); !errors.Is(err, errChanged) {
			return err
		}
	}
	return err
}

func updateOnce(path string, change func(old []byte) ([]byte, error)) error {
	old, err := readIfExists(path)
	if err != nil {
		return err
	}
	data, err := change(old)
	if err != nil || data == nil || old != nil && bytes.Equal(data, old) {
		return err
	}
	return replacePath(path, data, true, func() error {
		now, err := readIfExists(path)
		if err == nil && !bytes.Equal(now, old) {
			err = errChanged
		}
		return err
	})
}

// readIfExists is ReadProfile, and returns nil if there is no file.
func readIfExists(path string) ([]byte, error) {
	data, err := ReadProfile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// lockPath is the lock file of a file that is updated. It stays: removing it would
// let two processes hold a lock each.
func lockPath(path string) string {
	return filepath.Join(filepath.Dir(path), "."+strings.TrimPrefix(filepath.Base(path), ".")+".lock")
}

// CheckWritable returns why UpdateFile could not write a file of this size.
func CheckWritable(path string, size int) error {
	target, err := makeTarget(path)
	if err != nil {
		return err
	}
	err = replacePath(target, make([]byte, size), true, func() error { return errChecked })
	if errors.Is(err, errChecked) {
		return nil
	}
	return err
}

var errChecked = errors.New("only a check")

// ReplaceFile atomically replaces a file that can be recreated after a crash of the
// machine: it is not synced. Its mode is 0600. A symbolic link is rejected.
func ReplaceFile(path string, data []byte) error { return replacePath(path, data, false, nil) }

// replacePath calls check, unless it is nil, immediately before the rename.
func replacePath(path string, data []byte, durable bool, check func() error) error {
	switch fi, err := os.Lstat(path); {
	case err == nil && !fi.Mode().IsRegular():
		return notRegular(path, fi.Mode())
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return systemError(path, err)
	}
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return systemError(path, err)
	}
	defer root.Close()
	defer removeTemporary(root, "."+filepath.Base(path)+".")
	return replace(root, path, data, durable, check)
}

// replace is replacePath for a path in root. It writes a temporary file and renames it.
// renameio would work on paths, which can be swapped for a link, and on Unix only.
func replace(root *os.Root, path string, data []byte, durable bool, check func() error) error {
	name := filepath.Base(path)
	temp := "." + name + "." + rand.Text()
	f, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return systemError(path, err)
	}
	if err = restrictToOwner(f); err == nil {
		_, err = f.Write(data)
	}
	if err == nil && durable {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil && check != nil {
		err = check()
	}
	if err == nil {
		err = rename(root, temp, name)
	}
	if err != nil {
		_ = root.Remove(temp)
		return systemError(path, err)
	}
	if !durable {
		return nil
	}
	if dir, err := root.Open("."); err == nil {
		_ = dir.Sync() // so that the rename survives, too, if the file system can do that
		_ = dir.Close()
	}
	return nil
}

// abandonedAfter is the age of a temporary file whose writer was killed.
const abandonedAfter = time.Minute

// removeTemporary removes files ".NAME.RANDOM" with prefix, which killed writers left.
func removeTemporary(root *os.Root, prefix string) {
	entries, _ := fs.ReadDir(root.FS(), ".")
	for _, e := range entries {
		random := strings.TrimPrefix(filepath.Ext(e.Name()), ".")
		if !strings.HasPrefix(e.Name(), prefix) || len(random) != len(rand.Text()) || strings.Trim(random, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "" {
			continue
		}
		if fi, err := e.Info(); err == nil && fi.Mode().IsRegular() && time.Since(fi.ModTime()) > abandonedAfter {
			_ = root.Remove(e.Name())
		}
	}
}
