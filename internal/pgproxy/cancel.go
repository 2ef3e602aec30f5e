package pgproxy

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"slices"
	"sync"
)

// errUnknownKey is reported for a cancel request whose key belongs to no open connection.
var errUnknownKey = errors.New("cancel request for an unknown connection")

// clientKeySize is the size of a secret key in protocol 3.0.
const clientKeySize = 4

// cancelKey is the secret key of one open connection, as its client and as the server
// have it. A nil *cancelKey belongs to a connection that cannot be cancelled.
type cancelKey struct {
	pid              uint32
	client, upstream []byte
}

// clientKey returns the key that the client receives.
func (k *cancelKey) clientKey() []byte {
	if k == nil {
		return nil
	}
	return k.client
}

// cancelKeys are the keys of the open connections. Two connections may have the same
// pid, as a compute may restart.
type cancelKeys struct {
	mu sync.Mutex
	m  map[uint32][]*cancelKey
}

// add registers a connection. If the server's key has another size than in protocol
// 3.0, the client gets a random one instead.
func (ks *cancelKeys) add(pid uint32, upstream []byte) *cancelKey {
	if len(upstream) == 0 {
		return nil
	}
	k := &cancelKey{pid: pid, client: upstream, upstream: upstream}
	if len(upstream) != clientKeySize {
		k.client = make([]byte, clientKeySize)
		_, _ = rand.Read(k.client) // never fails
	}
	ks.mu.Lock()
	defer ks.mu.Unlock()
	if ks.m == nil {
		ks.m = map[uint32][]*cancelKey{}
	}
	ks.m[pid] = append(ks.m[pid], k)
	return k
}

func (ks *cancelKeys) remove(k *cancelKey) {
	if k == nil {
		return
	}
	ks.mu.Lock()
	defer ks.mu.Unlock()
	rest := slices.DeleteFunc(ks.m[k.pid], func(o *cancelKey) bool { return o == k })
	if len(rest) > 0 {
		ks.m[k.pid] = rest
	} else {
		delete(ks.m, k.pid)
	}
}

func (ks *cancelKeys) find(pid uint32, client []byte) *cancelKey {
	ks.mu.Lock()
	defer ks.mu.Unlock()
	for _, k := range ks.m[pid] {
		if subtle.ConstantTimeCompare(k.client, client) == 1 {
			return k
		}
	}
	return nil
}

// cancel sends a cancel request upstream, once, if its key belongs to an open
// connection. As in PostgreSQL the key is the only authentication.
func (p *Proxy) cancel(ctx context.Context, pid uint32, client []byte) {
	k := p.keys.find(pid, client)
	if k == nil {
		p.event(Event{Kind: CancelFailed, Err: errUnknownKey})
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
