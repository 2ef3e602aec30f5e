package securefile

import (
	"context"
	"os"

	"github.com/gofrs/flock"
)

func newLock(path string) *flock.Flock {
	return flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR|noFollow), flock.SetPermissions(0o600))
}

// TryLock locks the file at path against other processes, with flock(2): the kernel
// releases the lock when its holder ends. It creates the file with mode 0600, and reports
// whether it got the lock. It returns an error if the file cannot be opened, or the file
// system does not support locks. unlock is never nil.
func TryLock(path string) (unlock func(), ok bool, err error) {
	l := newLock(path)
	ok, err = l.TryLock()
	return func() { _ = l.Unlock() }, ok, err
}

// Lock is like TryLock, but waits until ctx ends; ok is false if it ended first. It
// waits in the kernel: polling would slow down the holder.
func Lock(ctx context.Context, path string) (unlock func(), ok bool, err error) {
	l := newLock(path)
	release := func() { _ = l.Unlock() }
	done := make(chan error, 1)
	go func() { done <- l.Lock() }()
	select {
	case err := <-done:
		return release, err == nil, err
	case <-ctx.Done():
		go func() { // a lock that arrives late is released
			<-done
			release()
		}()
		return func() {}, false, nil
	}
}
