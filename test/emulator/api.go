package emulator

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// api is the workspace: an HTTPS server for OAuth, Lakebase, SCIM, and the token service
// of GitHub Actions.
type api struct {
	*state
	settings     *settingsStore
	record       *recorder
	sign         *signer // of the workspace's tokens
	issuer       *signer // of workload tokens
	actionsToken string
	clientID     string   // whose federation policy there is
	user         string   // who sits at the browser, unless a setting overrides it
	instances    []string // of Lakebase Provisioned, by name
	awake        func() State
	sql          func(ctx context.Context, statements ...string) ([][]string, error) // as the owner of the cluster

	url    string
	mux    *http.ServeMux
	server *http.Server
	done   sync.WaitGroup
}

// state is what requests and the Lakebase's methods change. Whoever uses it holds mu;
// handlers run with mu held.
type state struct {
	mu         sync.Mutex
	principals map[string]*principal // service principals by client ID, and users by name
	secrets    []string              // every secret that ever was, see EverySecret
	resources  []Resource            // in the order of their making
	operations map[string]operation  // by name
	codes      map[string]*code
	refresh    map[string]*refreshToken
}

func newState() *state {
	return &state{principals: map[string]*principal{}, operations: map[string]operation{}, codes: map[string]*code{}, refresh: map[string]*refreshToken{}}
}

// remember keeps a secret for EverySecret.
func (s *state) remember(value string) { s.secrets = appendBounded(s.secrets, value) }

// maxBody bounds what is read of a request's body.
const maxBody = 64 << 10

// reply is an answer before it is sent.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func jsonReply(status int, v any) reply {
	body, err := json.Marshal(v)
	if err != nil {
		return reply{status: http.StatusInternalServerError}
	}
	return reply{status: status, header: http.Header{"Content-Type": {"application/json"}}, body: body}
}

// start listens and serves until stop. Every handler's context ends
// with ctx, so that no latency outlives the emulator.
func (a *api) start(ctx context.Context, certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)) error {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", anyPort)
	if err != nil {
		return err
	}
	a.url = "https://localhost:" + port(ln.Addr().String())
	a.sign.issuer = a.url
	a.route()
	a.server = &http.Server{
		Handler: a.mux,
		TLSConfig: &tls.Config{
			GetCertificate: certificate, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
			GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
				return nil, pause(hello.Context(), a.settings.get().ConnectLatency)
			},
		},
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		ErrorLog:  log.New(io.Discard, "", 0),
		ConnState: a.connState,
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
			return context.WithValue(ctx, handshake{}, &sync.Once{})
		},
	}
	a.done.Go(func() { _ = a.server.ServeTLS(ln, "", "") })
	return nil
}

// handshake is the context key under which a connection counts its own once.
type handshake struct{}

// connState counts connections, and makes stop wait for each.
func (a *api) connState(_ net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		a.done.Add(1)
		a.record.count(func(n *Counters) { n.Connections++ })
	case http.StateClosed, http.StateHijacked:
		a.done.Done()
	}
}

func (a *api) stop() {
	if a.server != nil {
		_ = a.server.Close()
	}
	a.done.Wait()
}

// handler answers a call. caller is the principal that the bearer token names, "" for a
// call that needs none.
type handler func(r *http.Request, s Settings, caller string) reply

// route registers every call. Faults and counters apply to a call whatever its handler is.
func (a *api) route() {
	a.mux = http.NewServeMux()
	handle := func(call Call, pattern string, h handler) {
		a.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { a.serve(w, r, call, h) })
	}
	handle(CallOther, "/", func(r *http.Request, _ Settings, _ string) reply {
		return apiError(http.StatusNotFound, "ENDPOINT_NOT_FOUND", "No API found for '"+r.Method+" "+r.URL.Path+"'")
	})
	for _, root := range []string{"/oidc", "/oidc/accounts/{account}"} {
		handle(CallToken, "POST "+root+"/v1/token", atRoot(a.token))
		handle(CallAuthorize, "GET "+root+"/v1/authorize", atRoot(a.authorize))
		handle(CallAuthorize, "POST "+root+"/v1/authorize", atRoot(a.authorize)) // its form
		handle(CallDiscovery, "GET "+root+serverPath, atRoot(a.discovery))
	}
	handle(CallDiscovery, "GET "+configPath, a.hostConfig)
	handle(CallActions, "GET "+actionsPath, a.actions)

	handle(CallData, "GET /api/2.0/workspace/"+workspaceID+"/rest/"+Database+"/{schema}/{table}", a.data)

	api := func(call Call, pattern string, h handler) {
		handle(call, pattern, a.authenticated(scopeOf(pattern), h))
	}
	const projects, branches, endpoints = resourcesPath + "projects", "/{project}/branches", "/{branch}/endpoints"
	api(CallProjects, "GET "+projects, a.listResources)
	api(CallBranches, "GET "+projects+branches, a.listResources)
	api(CallEndpoints, "GET "+projects+branches+endpoints, a.listResources)
	for _, path := range []string{projects, projects + branches, projects + branches + endpoints} {
		api(CallEndpoint, "GET "+path+"/{id}", a.resource)
	}
	const roles = projects + branches + "/{branch}/roles"
	api(CallRoles, "GET "+roles, a.listRoles)
	api(CallRoleCreate, "POST "+roles, a.createRole)
	api(CallOperation, "GET "+roles+"/{role}/operations/{id}", a.operation)
	api(CallPrincipals, "GET /api/2.0/preview/scim/v2/ServicePrincipals", a.listPrincipals)
	api(CallCredentials, "POST "+resourcesPath+"credentials", a.credentials)
	api(CallInstanceCredentials, "POST /api/2.0/database/credentials", a.instanceCredentials)
	api(CallInstance, "GET /api/2.0/database/instances", a.listInstances)
	api(CallInstance, "GET /api/2.0/database/instances/{name}", a.instance)
	api(CallMe, "GET /api/2.0/preview/scim/v2/Me", a.me)
	api(CallSecretList, "GET "+secretsPath, a.managedSecrets(a.listSecrets))
	api(CallSecretCreate, "POST "+secretsPath, a.managedSecrets(a.createSecret))
	api(CallSecretDelete, "DELETE "+secretsPath+"/{secret}", a.managedSecrets(a.deleteSecret))
}

// scopeOf returns the scope that a call needs. The reference lists SCIM Me under others too.
func scopeOf(pattern string) string {
	switch {
	case strings.Contains(pattern, "/scim/"):
		return scopeAccess
	case strings.Contains(pattern, "/accounts/"):
		return scopeAuthentication
	}
	return scopePostgres
}

// serve answers one request: latency, then the handler's answer, changed by a waiting
// fault. It is recorded before it is sent, so that a client that has its answer finds it
// counted.
func (a *api) serve(w http.ResponseWriter, r *http.Request, call Call, h handler) {
	r.Context().Value(handshake{}).(*sync.Once).Do(func() { a.record.count(func(n *Counters) { n.Handshakes++ }) })
	q := Request{Time: time.Now(), Call: call, Method: r.Method, Path: r.URL.Path, Proto: r.Proto}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	s := a.settings.get()
	if pause(r.Context(), s.Latency) != nil {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Date", s.clock().UTC().Format(http.TimeFormat))
	if s.NoDate {
		w.Header()["Date"] = nil // which net/http would add
	}
	fault := a.settings.take(call)
	var rep reply
	if fault.Status == 0 || fault.Echo { // else nothing is done for the caller
		a.mu.Lock()
		rep = h(r, s, "")
		a.mu.Unlock()
	}
	rep = fault.apply(rep, r)
	if q.Status = rep.status; fault.Drop {
		q.Status = 0
	}
	a.record.request(q)
	fault.send(w, r, rep)
}

// authenticated passes on the calls whose bearer token is accepted and has the scope.
func (a *api) authenticated(scope string, h handler) handler {
	return func(r *http.Request, s Settings, _ string) reply {
		if s.WorkspaceHeader && r.Header.Get("X-Databricks-Workspace-Id") != workspaceID {
			return invalidParameter("This host serves many workspaces: X-Databricks-Workspace-Id must name one of yours")
		}
		caller, refused := a.bearer(r, s, scope)
		if refused != nil {
			return *refused
		}
		return h(r, s, caller)
	}
}

// bearer returns the principal of a workspace token with the scope or of a personal
// access token, or why it is refused.
func (a *api) bearer(r *http.Request, s Settings, scope string) (who string, refused *reply) {
	refuse := func(status int, code, message string) (string, *reply) {
		rep := apiError(status, code, message)
		return "", &rep
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return refuse(http.StatusUnauthorized, "UNAUTHENTICATED", "Credential was not sent or was of an unsupported type for this API.")
	}
	if strings.HasPrefix(token, "dapi") {
		if who = a.byPAT(token); who == "" || s.PATRevoked {
			return refuse(http.StatusForbidden, "403", "Invalid access token.")
		}
	} else {
		c, err := a.sign.verify(token, WorkspaceToken, s.clock())
		switch {
		case errors.Is(err, errExpiredJWT):
			return refuse(http.StatusUnauthorized, "UNAUTHENTICATED", "Access token is expired.")
		case err != nil || a.principals[c.Subject] == nil:
			return refuse(http.StatusUnauthorized, "UNAUTHENTICATED", "Invalid Token")
		}
		if who = c.Subject; !includes(c.Scope, scope) {
			return refuse(http.StatusForbidden, "PERMISSION_DENIED", "Provided OAuth token does not have required scopes: "+scope)
		}
	}
	if s.NoWorkspaceAccess {
		return refuse(http.StatusForbidden, "PERMISSION_DENIED", "API is disabled for users without workspace-access entitlement")
	}
	return who, nil
}

// apiError has the form of databricks-sdk-go apierr.
func apiError(status int, code, message string) reply {
	return jsonReply(status, map[string]string{"error_code": code, "message": message})
}

func invalidParameter(message string) reply {
	return apiError(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", message)
}

// timestamp is a time as the API writes it.
func timestamp(t time.Time) string {
	return t.UTC().Truncate(time.Millisecond).Format(time.RFC3339Nano)
}

func malformed() reply {
	return apiError(http.StatusBadRequest, "MALFORMED_REQUEST", "Invalid JSON given in the body of the request")
}

func notFound(what string) reply {
	return apiError(http.StatusNotFound, "NOT_FOUND", fmt.Sprintf("%s not found [TraceId: %x]", what, random(16)))
}

// maxPage is the most that a client may ask a page to hold.
const maxPage = 100

// page returns the items of all that page_size and page_token ask for, and the next
// page's token, "" after the last one. A page holds size items unless the client asks for
// less, and its token is valid for its own list alone.
func page[T any](r *http.Request, all []T, size int) (items []T, next string, err error) {
	query := r.URL.Query()
	asked, err := strconv.Atoi(cmp.Or(query.Get("page_size"), "0"))
	if err != nil || asked < 0 || asked > maxPage {
		return nil, "", fmt.Errorf("'page_size' is no number of 0 to %d", maxPage)
	}
	if asked > 0 {
		size = min(size, asked)
	}
	mark := fmt.Sprintf("%x-", sha256.Sum256([]byte(r.URL.Path)))[56:]
	from := 0
	if token := query.Get("page_token"); token != "" {
		digits, ok := strings.CutPrefix(token, mark)
		n, err := strconv.Atoi(digits)
		if !ok || err != nil || n <= 0 {
			return nil, "", errors.New("'page_token' is not of this list")
		}
		from = min(n, len(all))
	}
	to := min(from+size, len(all))
	if to < len(all) {
		next = mark + strconv.Itoa(to)
	}
	return all[from:to], next, nil
}

// seconds reads a duration as the API writes it, such as "900s", within bounds.
func seconds(text string, least, most time.Duration) (time.Duration, error) {
	digits, ok := strings.CutSuffix(text, "s")
	n, err := strconv.ParseFloat(digits, 64)
	if d := time.Duration(n * float64(time.Second)); ok && err == nil && d >= least && d <= most {
		return d, nil
	}
	return 0, fmt.Errorf("the duration %q must be between %s and %s", text, least, most)
}

func (rep reply) writeHead(w http.ResponseWriter) {
	for k, v := range rep.header {
		w.Header()[k] = v
	}
	if rep.status != http.StatusNoContent {
		w.Header().Set("Content-Length", strconv.Itoa(len(rep.body)))
	}
	w.WriteHeader(rep.status)
}
