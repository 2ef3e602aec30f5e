// Package filelock locks files against other processes with flock(2). The kernel
// releases a lock when its holder ends, however it ends.
package filelock

import (
	"context"

	"github.com/gofrs/flock"
)

func open(path string) *flock.Flock {
	return flock.New(path, flock.SetFlag(openFlags), flock.SetPermissions(0o600))
}

// TryLock locks the file at path, which it creates with mode 0600, and reports whether
// it succeeded. It returns an error if the file cannot be opened, or the file system
// does not support locks. unlock is never nil.
func TryLock(path string) (unlock func(), ok bool, err error) {
	l := open(path)
	ok, err = l.TryLock()
	if !ok || err != nil {
		return func() {}, false, err
	}
	return func() { _ = l.Unlock() }, true, nil
}

// Lock is like TryLock, but waits until ctx ends; ok is false if it ended first. It
// waits in the kernel: polling would slow down the holder.
func Lock(ctx context.Context, path string) (unlock func(), ok bool, err error) {
	l := open(path)
	free := func() { _ = l.Unlock() }
	done := make(chan error, 1)
	go func() { done <- l.Lock() }()
	select {
	case err := <-done:
		if err != nil {
			return func() {}, false, err
		}
		return free, true, nil
	case <-ctx.Done():
		go func() { // a lock that arrives late is released
			if <-done == nil {
				free()
			}
		}()
		return func() {}, false, nil
	}
}
