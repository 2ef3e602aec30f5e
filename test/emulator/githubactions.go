package emulator

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"net/http"
	"strings"
	"sync"
)

// actions is the token service of a GitHub-like runner. It listens from the
// first call of ActionsURL.
type actions struct {
	api  *api
	cert tls.Certificate
	ctx  context.Context

	mu     sync.Mutex
	url    string
	token  string
	err    error // of listening
	server *http.Server
	closed bool
}

// actionsPath is where the service answers; GitHub's contains a path and a query too.
const actionsPath = "/idtoken"

// ActionsURL is what a runner has in ACTIONS_ID_TOKEN_REQUEST_URL: https, with a
// query to which &audience=… is added. The service starts with the first call;
// "" says that it could not, and Close why.
func (l *Lakebase) ActionsURL() string { return l.actions.start() }

// ActionsToken is the bearer that the service wants (ACTIONS_ID_TOKEN_REQUEST_TOKEN).
func (l *Lakebase) ActionsToken() string {
	a := l.actions
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.token == "" {
		a.token = newOpaque()
		a.api.principals.remember(a.token)
	}
	return a.token
}

func (a *actions) start() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.server != nil || a.closed || a.err != nil {
		return a.url
	}
	var base string
	if a.server, base, a.err = a.api.listen(a.ctx, "127.0.0.1:0", a.cert, a.serve); a.err == nil {
		a.url = base + actionsPath + "?api-version=2.0"
	}
	return a.url
}

// stop closes the service; the api waits for what it serves.
func (a *actions) stop() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	if a.server != nil {
		_ = a.server.Close()
	}
	return a.err
}

func (a *actions) serve(w http.ResponseWriter, r *http.Request) {
	call := CallOther
	if r.URL.Path == actionsPath {
		call = CallActions
	}
	a.api.handle(w, r, call, a.answer)
}

// answer returns a token of the policy's subject for the audience asked for; as at
// GitHub, one that no one asked for is the repository's owner.
func (a *actions) answer(call Call, r *http.Request, _ Settings) reply {
	a.mu.Lock()
	want := a.token
	a.mu.Unlock()
	bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	query := r.URL.Query()
	switch {
	case call != CallActions:
		return apiError(http.StatusNotFound, "NOT_FOUND", "there is nothing here")
	case r.Method != http.MethodGet:
		return apiError(http.StatusMethodNotAllowed, "BAD_REQUEST", "method not allowed")
	case !ok || want == "" || subtle.ConstantTimeCompare([]byte(bearer), []byte(want)) != 1:
		return apiError(http.StatusUnauthorized, "UNAUTHENTICATED", "the request token is not this job's")
	case repeated(query) != "" || query.Get("api-version") == "":
		return apiError(http.StatusBadRequest, "BAD_REQUEST", "the query is not that of the request URL and an audience")
	}
	token, err := a.api.mintWorkload(WorkloadSpec{Audience: orDefault(query.Get("audience"), "https://github.com/lakebase-exec")})
	if err != nil {
		return apiError(http.StatusInternalServerError, "INTERNAL_ERROR", "token could not be signed")
	}
	return jsonReply(http.StatusOK, map[string]any{"count": len(token), "value": token})
}
