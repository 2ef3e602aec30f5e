package pgproxy

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Bounds of halfOpen.protect.
const (
	maxProtect = time.Second
	minProtect = 50 * time.Millisecond
)

// halfOpen holds the sessions that are not authenticated yet, at most limit of them. If
// there are more, the oldest one of the address that has the most loses its slot: a
// client that connects and then does nothing keeps no other out.
type halfOpen struct {
	limit int
	freed chan struct{} // has an element if a slot may be free

	mu       sync.Mutex
	sessions []*session // oldest first
	// protect is how old a session is at least when it loses its slot. It shrinks with
	// each one that does and grows with each that authenticates: many clients at once
	// get the time that they need, and a flood does not fill the queue of the listener.
	protect time.Duration
}

// admit takes a slot for s. If there is none, it waits until there is one or another
// session can lose its own. It returns false if ctx ends first.
func (h *halfOpen) admit(ctx context.Context, s *session) bool {
	for wait := h.add(s); wait > 0; wait = h.add(s) {
		select {
		case <-h.freed:
		case <-time.After(wait):
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// add takes a slot for s, or returns when to try again.
func (h *halfOpen) add(s *session) (wait time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.sessions) >= h.limit {
		oldest := h.oldest()
		if wait := h.protect - time.Since(oldest.since); wait > 0 {
			return wait
		}
		h.protect = max(minProtect, h.protect*4/5)
		h.delete(oldest)
		oldest.evict()
	}
	h.sessions = append(h.sessions, s)
	return 0
}

// oldest returns the oldest session of the address that has the most.
func (h *halfOpen) oldest() *session {
	count := map[netip.Prefix]int{}
	most := 0
	for _, s := range h.sessions {
		count[s.addr]++
		most = max(most, count[s.addr])
	}
	return h.sessions[slices.IndexFunc(h.sessions, func(s *session) bool { return count[s.addr] == most })]
}

// release releases the slot of s. It returns false if s has lost it.
func (h *halfOpen) release(s *session, authenticated bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if authenticated {
		h.protect = min(maxProtect, h.protect*2)
	}
	return h.delete(s)
}

func (h *halfOpen) delete(s *session) bool {
	i := slices.Index(h.sessions, s)
	if i < 0 {
		return false
	}
	h.sessions = slices.Delete(h.sessions, i, i+1)
	select {
	case h.freed <- struct{}{}:
	default:
	}
	return true
}

// clientAddr returns the key by which connections are grouped: the IPv4 address, or the
// IPv6 network, since a host may use all its addresses. Unix sockets are one group.
func clientAddr(a net.Addr) netip.Prefix {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	addr, bits := tcp.AddrPort().Addr().Unmap().WithZone(""), 32
	if addr.Is6() {
		bits = 64
	}
	p, _ := addr.Prefix(bits)
	return p
}
