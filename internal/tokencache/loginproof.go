package tokencache

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// LoginProofLife is how long a successful login is trusted.
const LoginProofLife = 45 * time.Second

// Login is everything that a database login depends on.
type Login struct {
	Host, HostAddr, Database, User, SSLMode, SSLRootCert string
	Port                                                 int
	Token                                                credential.Secret
}

func (l Login) digest() string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %d %q %q %q %q ", l.Host, l.HostAddr, l.Port, l.Database, l.User, l.SSLMode, l.SSLRootCert)
	h.Write([]byte(l.Token.Reveal()))
	return hex.EncodeToString(h.Sum(nil))
}

func proofName(key credential.Key) string { return key.ID()[:32] + ".login" }

// RecentLogin reports whether this login succeeded within LoginProofLife.
func (c *Cache) RecentLogin(key credential.Key, l Login) bool {
	if c.o.Files == nil {
		return false
	}
	data, err := c.o.Files.ReadFile(proofName(key), 256)
	if err != nil {
		return false
	}
	var digest string
	var at int64
	if n, err := fmt.Sscanf(string(data), "%s %d", &digest, &at); n != 2 || err != nil || digest != l.digest() {
		return false
	}
	age := c.o.Now().Sub(time.Unix(0, at))
	return age >= 0 && age < LoginProofLife
}

// RecordLogin records that this login has just succeeded.
func (c *Cache) RecordLogin(key credential.Key, l Login) {
	if c.o.Files == nil {
		return
	}
	if err := c.o.Files.WriteFile(proofName(key), fmt.Appendf(nil, "%s %d\n", l.digest(), c.o.Now().UnixNano())); err != nil {
		c.o.Observer.CacheFailed("recording the login", err)
	}
}
