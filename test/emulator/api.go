package emulator

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
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
	settings     *settingsStore
	record       *recorder
	sign         *signer // of the workspace's tokens
	issuer       *signer // of workload tokens
	actionsToken string
	principals   *principals
	clientID     string // whose federation policy there is
	user         string // who sits at the browser, unless a setting overrides it
	catalog      *catalog
	sessions     *sessions
	instances    []string // of Lakebase Provisioned, by name
	awake        func() State

	url    string
	server *http.Server
	done   sync.WaitGroup
}

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
func (a *api) start(ctx context.Context, cert tls.Certificate) error {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", anyPort)
	if err != nil {
		return err
	}
	a.url = "https://localhost:" + port(ln.Addr().String())
	a.sign.issuer = a.url
	a.server = &http.Server{
		Handler: http.HandlerFunc(a.serve),
		TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
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

// serve answers one request: latency, then the call's own answer, spoiled by a
// waiting fault. It is recorded before it is sent, so that a client that has its
// answer finds it counted.
func (a *api) serve(w http.ResponseWriter, r *http.Request) {
	r.Context().Value(handshake{}).(*sync.Once).Do(func() { a.record.count(func(n *Counters) { n.Handshakes++ }) })
	q := Request{Time: time.Now(), Call: classify(r), Method: r.Method, Path: r.URL.Path, Proto: r.Proto}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	s := a.settings.get()
	if pause(r.Context(), s.Latency) != nil {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Date", s.clock().UTC().Format(http.TimeFormat))
	fault := a.settings.take(q.Call)
	var rep reply
	if fault.Status == 0 || fault.Echo { // else nothing is done for the caller
		rep = a.answer(q.Call, r, s)
	}
	rep = fault.apply(rep, r)
	if q.Status = rep.status; fault.Drop {
		q.Status = 0
	}
	a.record.request(q)
	fault.send(w, r, rep)
}

func classify(r *http.Request) Call {
	path := r.URL.Path
	switch {
	case oidcPath(path) == "/v1/token":
		return CallToken
	case oidcPath(path) == "/v1/authorize":
		return CallAuthorize
	case path == configPath, oidcPath(path) == serverPath:
		return CallDiscovery
	case path == actionsPath:
		return CallActions
	case path == "/api/2.0/postgres/credentials":
		return CallCredentials
	case path == "/api/2.0/database/credentials":
		return CallInstanceCredentials
	case path == instancesPath, strings.HasPrefix(path, instancesPath+"/"):
		return CallInstance
	case path == "/api/2.0/preview/scim/v2/Me":
		return CallMe
	case path == resourcesPath+"projects", strings.HasPrefix(path, resourcesPath+"projects/"):
		return resourceCall(path)
	}
	if _, secret, ok := secretsPath(path); ok {
		return secretCall(r.Method, secret)
	}
	return CallOther
}

func (a *api) answer(call Call, r *http.Request, s Settings) reply {
	method := http.MethodGet
	switch call {
	case CallToken, CallCredentials, CallInstanceCredentials, CallSecretCreate:
		method = http.MethodPost
	case CallSecretDelete:
		method = http.MethodDelete
	}
	switch {
	case call == CallOther:
		return apiError(http.StatusNotFound, "ENDPOINT_NOT_FOUND", "No API found for '"+r.Method+" "+r.URL.Path+"'")
	case r.Method != method && (call != CallAuthorize || r.Method != http.MethodPost): // its form posts
		return apiError(http.StatusMethodNotAllowed, "BAD_REQUEST", "method not allowed")
	case call == CallToken:
		return a.token(r, s)
	case call == CallAuthorize:
		return a.authorize(r, s)
	case call == CallDiscovery:
		return a.discovery(r, s)
	case call == CallActions:
		return a.actions(r)
	case s.WorkspaceHeader && r.Header.Get("X-Databricks-Workspace-Id") != workspaceID:
		return invalidParameter("This host serves many workspaces: X-Databricks-Workspace-Id must name one of yours")
	}
	who, refused := a.bearer(r, s)
	if refused != nil {
		return *refused
	}
	switch call {
	case CallCredentials:
		return a.credentials(r, s, who)
	case CallInstanceCredentials:
		return a.instanceCredentials(r, s, who)
	case CallInstance:
		return a.instance(r.URL.Path, s)
	case CallMe:
		return a.me(who)
	case CallSecretList, CallSecretCreate, CallSecretDelete:
		return a.secrets(call, r, s, who)
	}
	return a.resource(r, s)
}

// bearer returns the principal of a workspace token or personal access token, or why it
// is refused.
func (a *api) bearer(r *http.Request, s Settings) (who string, refused *reply) {
	refuse := func(status int, code, message string) (string, *reply) {
		rep := apiError(status, code, message)
		return "", &rep
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return refuse(http.StatusUnauthorized, "UNAUTHENTICATED", "Credential was not sent or was of an unsupported type for this API.")
	}
	if strings.HasPrefix(token, "dapi") {
		if who = a.principals.byPAT(token); who == "" || s.PATRevoked {
			return refuse(http.StatusForbidden, "403", "Invalid access token.")
		}
	} else {
		c, err := a.sign.verify(token, WorkspaceToken, s.clock())
		switch {
		case errors.Is(err, errExpiredJWT):
			return refuse(http.StatusUnauthorized, "UNAUTHENTICATED", "Access token is expired.")
		case err != nil || a.principals.get(c.Subject).id == "":
			return refuse(http.StatusUnauthorized, "UNAUTHENTICATED", "Invalid Token")
		}
		who = c.Subject
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

func (rep reply) writeHead(w http.ResponseWriter) {
	for k, v := range rep.header {
		w.Header()[k] = v
	}
	if rep.status != http.StatusNoContent {
		w.Header().Set("Content-Length", strconv.Itoa(len(rep.body)))
	}
	w.WriteHeader(rep.status)
}
