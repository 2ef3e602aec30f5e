package auth

import (
	"net/url"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// answer is what a query says, if it is this login's.
type answer struct {
	redirect Redirect
	denied   *DeniedError // the workspace said no; there is no code then
}

// read takes a redirect's query. A parameter that stands twice is refused (RFC
// 6749 3.1): which of the two counts is anybody's guess.
func (l Login) read(query string) (answer, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return answer{}, ErrNotRedirect // the text would show the code
	}
	for _, name := range []string{"state", "code", "error", "error_description"} {
		if len(values[name]) > 1 {
			return answer{}, ErrNotRedirect
		}
	}
	if !l.matches(values.Get("state")) {
		if !values.Has("code") && !values.Has("error") {
			return answer{}, ErrNotRedirect
		}
		return answer{}, ErrState
	}
	if code := sanitize.Line(values.Get("error")); code != "" {
		return answer{denied: &DeniedError{Code: code, Description: sanitize.Line(values.Get("error_description"))}}, nil
	}
	if !isCode(values.Get("code")) {
		return answer{}, ErrNotRedirect
	}
	return answer{redirect: Redirect{Code: credential.NewSecret(values.Get("code"))}}, nil
}

// maxPasted bounds what a person gives us, in bytes.
const maxPasted = 16 << 10

// minCode keeps a word that was typed by mistake from being sent as a code.
const minCode = 8

// ParsePasted reads what a person copied from the browser: the address that it
// was sent to, with or without its scheme, its query alone, or the bare code. An
// address must be on loopback, and its state this login's. A bare code has no
// state; that it is of this login is then proved by the verifier alone. The error
// is ErrNotRedirect, ErrState or a *DeniedError.
func (l Login) ParsePasted(text string) (Redirect, error) {
	text = strings.Trim(strings.TrimSpace(text), `"'<>`)
	if len(text) > maxPasted {
		return Redirect{}, ErrNotRedirect
	}
	query, ok := pastedQuery(text)
	if !ok {
		return Redirect{}, ErrNotRedirect
	}
	if query == "" {
		return Redirect{Code: credential.NewSecret(text)}, nil
	}
	a, err := l.read(query)
	if err != nil {
		return Redirect{}, err
	}
	if a.denied != nil {
		return Redirect{}, a.denied
	}
	return a.redirect, nil
}

// pastedQuery gives the query of an address; none, and ok, for a bare code.
func pastedQuery(text string) (query string, ok bool) {
	address, query, found := strings.Cut(text, "?")
	if !found {
		if strings.Contains(text, "&") || strings.HasPrefix(text, "code=") || strings.HasPrefix(text, "state=") {
			return text, true
		}
		return "", isCode(text) && len(text) >= minCode && !strings.ContainsAny(text, `:\#%`)
	}
	query, _, _ = strings.Cut(query, "#")
	return query, query != "" && isLoopback(address)
}

// isLoopback says whether address is the door's, as a browser may show it. Its
// port is not compared: the state says more.
func isLoopback(address string) bool {
	rest := address
	if scheme, after, ok := strings.Cut(address, "://"); ok {
		if !strings.EqualFold(scheme, "http") {
			return false
		}
		rest = after
	}
	rest = strings.TrimSuffix(rest, "/")
	if rest == "" {
		return address == "" || address == "/"
	}
	u, err := url.Parse("http://" + rest)
	if err != nil || u.Host != rest {
		return false
	}
	switch strings.ToLower(u.Hostname()) {
	case "localhost", "127.0.0.1", "::1":
		return true
	}
	return false
}
