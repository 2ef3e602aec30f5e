package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/url"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// Login holds the random values of one login by authorization code (RFC 6749 4.1,
// RFC 7636). They are used once.
type Login struct {
	State     string            // the redirect returns it; 130 bits
	Verifier  credential.Secret // 43 characters (RFC 7636 4.1)
	Challenge string            // its SHA-256, for the method S256 (RFC 7636 4.2)
}

// NewLogin returns new random values.
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

// Errors of a CallbackServer.
var (
	// ErrNotRedirect reports a pasted text that is neither a redirect nor a code.
	ErrNotRedirect = errors.New("neither the redirect URL of the browser nor a code")
	// errState reports a redirect of another login.
	errState = errors.New("the URL belongs to another login")
	// errUsed reports that this login already has its code.
	errUsed = errors.New("this login already has its code")
	// ErrClosed is returned by Wait after Close.
	ErrClosed = errors.New("auth: the callback server is closed")
)

// DeniedError is a redirect that reports an error (RFC 6749 4.1.2.1). Its texts come
// from the server by way of a browser: they are bounded, but not escaped.
type DeniedError struct {
	Code        string // access_denied, …
	Description string // one line; may be empty
}

func (e *DeniedError) Error() string {
	return strings.TrimSuffix("the workspace refused the login: "+e.Code+": "+e.Description, ": ")
}

// Hint returns what to do about it.
func (e *DeniedError) Hint() string {
	return "run the login again, and allow it in the browser as the right user"
}

// Bounds in bytes.
const (
	maxCode   = 4 << 10
	maxPasted = 16 << 10
	minCode   = 8 // of a bare code: a word that was typed by mistake is not sent
)

// isCode reports whether s can be a code: visible ASCII (RFC 6749 A.11).
func isCode(s string) bool {
	return s != "" && len(s) <= maxCode && !strings.ContainsFunc(s, func(c rune) bool { return c <= 0x20 || c > 0x7e })
}

// parseQuery returns the code in a redirect's query. A repeated parameter is refused
// (RFC 6749 3.1): it is ambiguous. The error is ErrNotRedirect, errState or a
// *DeniedError.
func (l Login) parseQuery(query string) (code credential.Secret, err error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return code, ErrNotRedirect // its text would contain the code
	}
	for _, name := range []string{"state", "code", "error", "error_description"} {
		if len(values[name]) > 1 {
			return code, ErrNotRedirect
		}
	}
	ours := l.State != "" && subtle.ConstantTimeCompare([]byte(values.Get("state")), []byte(l.State)) == 1
	switch denied := sanitize.Line(values.Get("error")); {
	case !ours && (values.Has("code") || values.Has("error")):
		return code, errState
	case ours && denied != "":
		return code, &DeniedError{Code: denied, Description: sanitize.Line(values.Get("error_description"))}
	case !ours || !isCode(values.Get("code")):
		return code, ErrNotRedirect
	}
	return credential.NewSecret(values.Get("code")), nil
}

// ParsePasted returns the code in what a user copied from the browser: the address
// that it was sent to, with or without its scheme, its query alone, or the bare code.
// An address must be on loopback and have this login's state. A bare code has no
// state; only the verifier proves that it is of this login. The errors are those of
// parseQuery.
func (l Login) ParsePasted(text string) (code credential.Secret, err error) {
	text = strings.Trim(strings.TrimSpace(text), `"'<>`)
	address, query, found := strings.Cut(text, "?")
	switch {
	case len(text) > maxPasted:
	case found && isLoopback(address):
		query, _, _ = strings.Cut(query, "#")
		return l.parseQuery(query)
	case found:
	case strings.Contains(text, "&") || strings.HasPrefix(text, "code=") || strings.HasPrefix(text, "state="):
		return l.parseQuery(text)
	case isCode(text) && len(text) >= minCode && !strings.ContainsAny(text, `:\#%`):
		return credential.NewSecret(text), nil
	}
	return code, ErrNotRedirect
}

// isLoopback reports whether address can be a CallbackServer's as a browser shows
// it, or is empty. The port is not compared: the state is stronger.
func isLoopback(address string) bool {
	host := strings.ToLower(strings.TrimSuffix(address, "/"))
	if host == "" {
		return true
	}
	host = strings.TrimPrefix(host, "http://")
	u, err := url.Parse("http://" + host)
	return err == nil && u.Host == host && (u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1" || u.Hostname() == "::1")
}
