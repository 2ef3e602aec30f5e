package pglogin

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"sync"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// Trust is what many logins to one target share: the roots, which take
// milliseconds to read, and TLS sessions that can be resumed. The zero value is
// not usable; a nil one shares nothing.
type Trust struct {
	sessions tls.ClientSessionCache

	mu    sync.Mutex
	path  string
	roots *x509.CertPool
	read  time.Time
}

// rootsLast is how long roots are used before they are read again: the system
// renews its bundle under programs that run for weeks.
const rootsLast = time.Hour

// NewTrust shares among the logins of one process.
func NewTrust() *Trust { return &Trust{sessions: tls.NewLRUClientSessionCache(4)} }

// pool gives the roots at path. Those that cannot be read again stay in use.
func (t *Trust) pool(path string) (*x509.CertPool, error) {
	if t == nil {
		return loadRoots(path)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.roots != nil && t.path == path && time.Since(t.read) < rootsLast {
		return t.roots, nil
	}
	pool, err := loadRoots(path)
	switch {
	case err == nil:
		t.path, t.roots, t.read = path, pool, time.Now()
	case t.roots != nil && t.path == path:
		return t.roots, nil
	}
	return pool, err
}

func loadRoots(path string) (*x509.CertPool, error) {
	pem, err := readRoots(path)
	if err != nil {
		return nil, &Error{Kind: BadRootCert, Message: sanitize.Line(err.Error()), cause: err}
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, &Error{Kind: BadRootCert, Message: sanitize.Line(fmt.Sprintf("%s holds no certificate in PEM form", path))}
	}
	return pool, nil
}
