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
// succession need not each make one.
type Proofs struct {
	files ProofFiles
	now   func() time.Time
}

// NewProofs returns the proofs in files. If files is nil, nothing is recorded.
func NewProofs(files ProofFiles, now func() time.Time) Proofs { return Proofs{files, now} }

// digest is that of everything that a login depends on.
func (s Session) digest() string {
	h := sha256.New()
	fmt.Fprintf(h, "%#v ", s.Target)
	h.Write([]byte(s.Token.Value.Reveal()))
	return hex.EncodeToString(h.Sum(nil))
}

func proofFile(key credential.Key) string { return key.ID()[:32] + ".login" }

// recent reports whether the session's login succeeded less than proofLife ago.
func (p Proofs) recent(key credential.Key, s Session) bool {
	if p.files == nil {
		return false
	}
	data, err := p.files.ReadFile(proofFile(key), 256)
	if err != nil {
		return false
	}
	var digest string
	var at int64
	if n, err := fmt.Sscanf(string(data), "%s %d", &digest, &at); n != 2 || err != nil || digest != s.digest() {
		return false
	}
	age := p.now().Sub(time.Unix(0, at))
	return age >= 0 && age < proofLife
}

// record records that the session's login has just succeeded.
func (p Proofs) record(key credential.Key, s Session) error {
	if p.files == nil {
		return nil
	}
	return p.files.WriteFile(proofFile(key), fmt.Appendf(nil, "%s %d\n", s.digest(), p.now().UnixNano()))
}
