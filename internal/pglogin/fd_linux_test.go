package pglogin

import (
	"os"
	"testing"
	"time"
)

// A failed, a held and a proven login leave no descriptor behind.
func TestNoDescriptorIsLeft(t *testing.T) {
	count := func() int {
		all, err := os.ReadDir("/proc/self/fd")
		must(t, err)
		return len(all)
	}
	f := newFake(t, func(n int, s *session) {
		switch {
		case n < 10:
			s.start() // broken off in start-up
		case n == 10:
			s.drain()
		default:
			welcome(s)
		}
	})
	before := count()
	w := &Waker{Beside: 50 * time.Millisecond}
	must(t, w.Wait(within(t, guard), f.target(), secret))
	f.seen()
	for end := time.Now().Add(guard); count() >= before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) { // the listener is gone, so one fewer than before
			t.Fatalf("%d descriptors, %d before", count(), before)
		}
	}
}
