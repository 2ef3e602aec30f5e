// Package loginproof records successful database logins for a short time, so that
// commands started in succession need not each make one.
package loginproof

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// Files reads and writes files of a private directory: a *securefile.Dir.
type Files interface {
	ReadFile(name string, max int64) ([]byte, error)
	WriteFile(name string, data []byte) error
}

// Life is how long a recorded login is valid.
const Life = 45 * time.Second

// Proofs are the logins recorded in one directory.
type Proofs struct {
	files Files
	now   func() time.Time
}

// New returns the proofs in files. If files is nil, nothing is recorded.
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

// Recent reports whether the login succeeded less than Life ago.
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

// Record records that the login has just succeeded.
func (p Proofs) Record(key credential.Key, l Login) error {
	if p.files == nil {
		return nil
	}
	return p.files.WriteFile(fileName(key), fmt.Appendf(nil, "%s %d\n", l.digest(), p.now().UnixNano()))
}
