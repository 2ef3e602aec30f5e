package cache

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// StampLife is how long a proven login is believed.
const StampLife = 45 * time.Second

// Login is all that a login was proven with.
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

func stampName(key credential.Key) string { return key.ID()[:32] + ".stamp" }

// Proven says whether this very login worked within StampLife.
func (c *Cache) Proven(key credential.Key, l Login) bool {
	if c.Files == nil {
		return false
	}
	data, err := c.Files.ReadFile(stampName(key), 256)
	if err != nil {
		return false
	}
	var digest string
	var at int64
	if n, err := fmt.Sscanf(string(data), "%s %d", &digest, &at); n != 2 || err != nil || digest != l.digest() {
		return false
	}
	age := c.Now().Sub(time.Unix(0, at))
	return age >= 0 && age < StampLife
}

// Prove remembers that this login has just worked.
func (c *Cache) Prove(key credential.Key, l Login) {
	if c.Files == nil {
		return
	}
	if err := c.Files.WriteFile(stampName(key), fmt.Appendf(nil, "%s %d\n", l.digest(), c.Now().UnixNano())); err != nil {
		c.told("writing the stamp", err)
	}
}
