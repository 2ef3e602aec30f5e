package pgproxy

import (
	"context"
	"crypto/rand"
	"errors"

	"github.com/jackc/pgx/v5/pgproto3"
)

// errUnknownKey is reported for a cancel request whose key belongs to no open connection.
var errUnknownKey = errors.New("cancel request for an unknown connection")

// cancelID is what a client sends to cancel the query of a connection. Two connections
// may have the same pid, as a compute may restart.
type cancelID struct {
	pid uint32
	key string
}

// addKey registers a connection for cancel requests and returns the client's key, which
// has the size of protocol 3.0; the server's may have another. It returns nil for a
// connection that cannot be canceled.
func (p *Proxy) addKey(pid uint32, upstream []byte) (key []byte, forget func()) {
	if len(upstream) == 0 {
		return nil, func() {}
	}
	key = make([]byte, 4)
	_, _ = rand.Read(key) // never fails
	id := cancelID{pid, string(key)}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys[id] = upstream
	return key, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.keys, id)
	}
}

// cancel sends a cancel request upstream, once, if its key belongs to an open
// connection. As in PostgreSQL the key is the only authentication.
func (p *Proxy) cancel(ctx context.Context, r pgproto3.CancelRequest) {
	p.mu.Lock()
	key, ok := p.keys[cancelID{r.ProcessID, string(r.SecretKey)}]
	p.mu.Unlock()
	if !ok {
		p.o.Event(Event{Kind: CancelFailed, Err: errUnknownKey})
		return
	}
	ctx, stop := context.WithTimeout(ctx, cancelTimeout)
	defer stop()
	if err := p.o.Upstream.Cancel(ctx, r.ProcessID, key); err != nil {
		p.o.Event(Event{Kind: CancelFailed, Err: err})
	}
}
