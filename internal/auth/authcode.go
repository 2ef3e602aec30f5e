package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// Login is the random part of one login. The verifier stays here until the code
// is traded; state and challenge stand in the address that the person opens.
type Login struct {
	State     string            // returned by the redirect, 130 bits
	Verifier  credential.Secret // 43 characters (RFC 7636 4.1)
	Challenge string            // its SHA-256, for the method S256 (RFC 7636 4.2)
}

// NewLogin makes the values of one login. They are for one use.
func NewLogin() Login {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails, since Go 1.24
	verifier := base64.RawURLEncoding.EncodeToString(b[:])
	return Login{State: rand.Text(), Verifier: credential.NewSecret(verifier), Challenge: challenge(verifier)}
}

func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// matches compares in constant time. An empty state is nobody's.
func (l Login) matches(state string) bool {
	return l.State != "" && subtle.ConstantTimeCompare([]byte(state), []byte(l.State)) == 1
}

// Redirect is what the browser brought back.
type Redirect struct{ Code credential.Secret }

// What is wrong with something that was pasted.
var (
	// ErrNotRedirect: it is neither a code nor the address that the browser was
	// sent to.
	ErrNotRedirect = errors.New("that is neither the address that the browser was sent back to, nor a code")
	// ErrState: it is of another login.
	ErrState = errors.New("that address belongs to another login")
	// ErrUsed: this login has had its code.
	ErrUsed = errors.New("this login has its code already")
	// ErrClosed is Wait's, once the door is closed.
	ErrClosed = errors.New("auth: the door is closed")
	// ErrNoDeadline is for a context without a deadline: a mistake in the program.
	ErrNoDeadline = errors.New("auth: the context has no deadline")
)

// DeniedError is a redirect that says no (RFC 6749 4.1.2.1). Its texts come from
// the server by way of a browser, and may hold any character: escape them before
// showing them.
type DeniedError struct {
	Code        string // access_denied, …
	Description string // one line; may be empty
}

func (e *DeniedError) Error() string {
	if e.Description == "" {
		return "the workspace refused the login: " + e.Code
	}
	return "the workspace refused the login: " + e.Code + ": " + e.Description
}

// PortsError says that there is no place for the door.
type PortsError struct {
	First, Last int
	Err         error // of the last one tried
}

func (e *PortsError) Error() string {
	return fmt.Sprintf("none of the ports %d to %d on 127.0.0.1 is free: %v", e.First, e.Last, e.Err)
}

// Unwrap gives why the last port could not be had.
func (e *PortsError) Unwrap() error { return e.Err }

// maxCode bounds a code, in bytes.
const maxCode = 4 << 10

// isCode says whether s can be a code: visible ASCII (RFC 6749 A.11), so that it
// has one form.
func isCode(s string) bool {
	if s == "" || len(s) > maxCode {
		return false
	}
	for i := 0; i < len(s); i++ {
		if s[i] <= 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}
