//go:build !unix

package pgproxy

// The sockets of Windows cannot be read without waiting; pieces does it there.
const canReadOnce = false

func (w *Wire) readOnce(uintptr) bool { return true }

func nap() {}

type lookout struct{}

func (*lookout) out() {}

func watch(_, _ *Wire, _ func() bool) {}
