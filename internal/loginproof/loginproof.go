// Package loginproof remembers for a short while that a database login has
// succeeded, so that programs that start after each other need not all make one.
package loginproof

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// Life is how long a successful login is trusted.
const Life = 45 * time.Second

// Files is a directory that belongs to the user and is closed to others.
type Files interface {
	ReadFile(name string, max int64) ([]byte, error)
	WriteFile(name string, data []byte) error // mode 0600, atomic
}

// Proofs are the logins recorded in one directory.
type Proofs struct {
	files Files
	now   func() time.Time
}

// New returns the proofs in files; nil remembers none.
func New(files Files, now func() time.Time) Proofs { return Proofs{files, now} }

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

func fileName(key credential.Key) string { return key.ID()[:32] + ".login" }

// Recent reports whether this login succeeded within Life.
func (p Proofs) Recent(key credential.Key, l Login) bool {
	if p.files == nil {
		return false
	}
	data, err := p.files.ReadFile(fileName(key), 256)
	if err != nil {
		return false
	}
	var digest string
	var at int64
	if n, err := fmt.Sscanf(string(data), "%s %d", &digest, &at); n != 2 || err != nil || digest != l.digest() {
		return false
	}
	age := p.now().Sub(time.Unix(0, at))
	return age >= 0 && age < Life
}

// Record records that this login has just succeeded.
func (p Proofs) Record(key credential.Key, l Login) error {
	if p.files == nil {
		return nil
	}
	return p.files.WriteFile(fileName(key), fmt.Appendf(nil, "%s %d\n", l.digest(), p.now().UnixNano()))
}
