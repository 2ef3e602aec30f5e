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

// TryLock takes the lock of the file at path, which it creates with mode 0600, and
// reports whether it got it. Errors: the system's, such as for a file system
// without locks. unlock is never nil.
func TryLock(path string) (unlock func(), ok bool, err error) {
	l := open(path)
	ok, err = l.TryLock()
	if !ok || err != nil {
		return func() {}, false, err
	}
	return func() { _ = l.Unlock() }, true, nil
}

// Lock is TryLock that waits until ctx ends. The wait is in the kernel: polling
// would take the processor from the holder. ok is false if ctx ended first.
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
