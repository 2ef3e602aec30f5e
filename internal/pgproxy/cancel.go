package pgproxy

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"slices"
	"sync"
)

// ErrUnknownKey is reported for a cancel request that names no open connection.
var ErrUnknownKey = errors.New("a cancel request for no open connection")

// keyLength is that of protocol 3.0, the one spoken with clients.
const keyLength = 4

// key is how one open connection can be cancelled. Its methods know nil: the
// server gave no key.
type key struct {
	pid      uint32
	local    []byte // what the client was given
	upstream []byte
}

func (k *key) shown() []byte {
	if k == nil {
		return nil
	}
	return k.local
}

// keys are those of the open connections. Two may share a pid: computes restart.
type keys struct {
	mu sync.Mutex
	m  map[uint32][]*key
}

// add makes a connection known. A server's key of another length is stood for by
// a random one: a client of protocol 3.0 could not read it.
func (ks *keys) add(pid uint32, upstream []byte) *key {
	if len(upstream) == 0 {
		return nil
	}
	k := &key{pid: pid, local: upstream, upstream: upstream}
	if len(upstream) != keyLength {
		k.local = make([]byte, keyLength)
		_, _ = rand.Read(k.local) // never fails
	}
	ks.mu.Lock()
	defer ks.mu.Unlock()
	if ks.m == nil {
		ks.m = map[uint32][]*key{}
	}
	ks.m[pid] = append(ks.m[pid], k)
	return k
}

func (ks *keys) remove(k *key) {
	if k == nil {
		return
	}
	ks.mu.Lock()
	defer ks.mu.Unlock()
	rest := slices.DeleteFunc(ks.m[k.pid], func(o *key) bool { return o == k })
	if len(rest) > 0 {
		ks.m[k.pid] = rest
	} else {
		delete(ks.m, k.pid)
	}
}

func (ks *keys) find(pid uint32, local []byte) *key {
	ks.mu.Lock()
	defer ks.mu.Unlock()
	for _, k := range ks.m[pid] {
		if subtle.ConstantTimeCompare(k.local, local) == 1 {
			return k
		}
	}
	return nil
}

// carry sends a cancel request upstream, once, if it is for a connection that is
// open here. It asks for no password, as Postgres does not: the key is one.
func (p *Proxy) carry(ctx context.Context, pid uint32, local []byte) {
	k := p.keys.find(pid, local)
	if k == nil {
		p.event(Event{Kind: CancelFailed, Err: ErrUnknownKey})
		return
	}
	ctx, stop := context.WithTimeout(ctx, cancelTimeout)
	defer stop()
	var err error
	select {
	case p.cancels <- struct{}{}:
		err = p.o.Upstream.Cancel(ctx, pid, k.upstream)
		<-p.cancels
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		p.event(Event{Kind: CancelFailed, Err: err})
		return
	}
	p.n.cancel.Add(1)
	p.event(Event{Kind: CancelDone})
}
