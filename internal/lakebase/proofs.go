package lakebase

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// ProofFiles reads and writes files of a private directory: a *securefile.Dir.
type ProofFiles interface {
	ReadFile(name string, max int64) ([]byte, error)
	WriteFile(name string, data []byte) error
}

// proofLife is how long a recorded login is valid.
const proofLife = 45 * time.Second

// Proofs records successful database logins in a directory, so that commands started in
// succession need not each make one. Without Files it records none.
type Proofs struct {
	Files ProofFiles
	Now   func() time.Time
}

// digest is that of everything that a login depends on.
func (s Session) digest() string {
	h := sha256.New()
	fmt.Fprintf(h, "%#v ", s.Target)
	h.Write([]byte(s.Token.Value.Reveal()))
	return hex.EncodeToString(h.Sum(nil))
}

func proofFile(key credential.Key) string { return key.ID()[:32] + ".login" }

// recent reports whether the session's login succeeded less than proofLife ago.
func (p Proofs) recent(s Session) bool {
	if p.Files == nil {
		return false
	}
	data, err := p.Files.ReadFile(proofFile(s.key), 256)
	if err != nil {
		return false
	}
	var digest string
	var at int64
	if n, err := fmt.Sscanf(string(data), "%s %d", &digest, &at); n != 2 || err != nil || digest != s.digest() {
		return false
	}
	age := p.Now().Sub(time.Unix(0, at))
	return age >= 0 && age < proofLife
}

// record records that the session's login has just succeeded.
func (p Proofs) record(s Session) error {
	if p.Files == nil {
		return nil
	}
	return p.Files.WriteFile(proofFile(s.key), fmt.Appendf(nil, "%s %d\n", s.digest(), p.Now().UnixNano()))
}
