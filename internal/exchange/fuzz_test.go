package exchange

import (
	"context"
	"crypto/x509"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"unicode/utf8"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

func FuzzParseRefusal(f *testing.F) {
	for _, s := range []string{
		`{"error_code":403,"message":"m","details":[{"@type":"google.rpc.RequestInfo","request_id":"r"}]}`,
		`{"error":"invalid_client","error_id":"e","error_description":"d"}`, `{"detail":"d","scimType":"t","status":"409"}`,
		`CODE: message`, `<pre>p</pre>`, `<title>t`, `{`, `{"message":null,"token":"` + clientSecret + `"}`, "", clientSecret, "\xff\n",
	} {
		f.Add([]byte(s), 400)
	}
	c, err := New(Options{Host: "https://dbc-1"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte, status int) {
		said := parseRefusal(body)
		for _, call := range slices.Collect(maps.Keys(calls)) {
			r := request{call: call, secrets: append([]credential.Secret{credential.NewSecret(clientSecret)}, said.tokens...)}
			kind := refusalKind(call, status, said)
			if kind == "" || status < 500 && kind == KindUnavailable {
				t.Fatalf("kind %q for %d", kind, status)
			}
			e := c.fail(r, &Error{Kind: kind, Status: status, Code: said.code, Message: said.message, RequestID: said.requestID})
			if len(e.Message) > sanitize.MaxLine || len(e.Code) > sanitize.MaxLine || len(e.RequestID) > sanitize.MaxLine {
				t.Fatal("a text is too long")
			}
			if utf8.Valid(body) && !utf8.ValidString(e.Message) {
				t.Fatalf("a character was cut: %q", e.Message)
			}
			if strings.ContainsAny(e.Error(), "\r\n") || strings.Contains(e.Error(), clientSecret) {
				t.Fatalf("text = %q", e.Error())
			}
		}
	})
}

// replies serves the body that it holds.
type replies struct {
	*Client
	body atomic.Pointer[[]byte]
}

func newReplies(f *testing.F) *replies {
	r := &replies{}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(*r.body.Load())
	}))
	f.Cleanup(server.Close)
	c, err := New(Options{Host: server.URL, LoadRoots: func() (*x509.CertPool, error) {
		pool := x509.NewCertPool()
		pool.AddCert(server.Certificate())
		return pool, nil
	}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(c.Close)
	r.Client = c
	return r
}

// For any reply, a token is usable and has not expired, and an error has a kind and one
// line.
func FuzzTokenReplies(f *testing.F) {
	for _, s := range []string{
		tokenReply("abc"), `{"token":"abc","expire_time":"2026-08-01T11:00:00Z"}`, `{"token":"` + jwt(`{"iat":1,"exp":1e308}`) + `"}`,
		`{"token":"a.b.c"}`, `{"access_token":"a","expires_in":"1e3"}`, `{"access_token":"a`, `[]`, `null`, `<html>`, `{}{}`,
		endpointReply, `{"status":{}}`, `{"access_token":"a","refresh_token":"b","id_token":"c"}`, `{"refresh_token":7}`,
		`{"access_token":"a","refresh_token":"a b"}`, `{"Refresh_Token":"x","access_token":"a","refresh_token":"\u0000"}`,
	} {
		f.Add([]byte(s))
	}
	c := newReplies(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		c.body.Store(&body)
		ctx, cancel := context.WithTimeout(t.Context(), guard)
		defer cancel()
		grant, err1 := c.RefreshedToken(ctx, refreshSecret)
		db, err2 := c.DatabaseCredential(ctx, bearer, endpointName, 0)
		_, err3 := c.Endpoint(ctx, bearer, endpointName)
		_, err4 := c.Endpoint(ctx, bearer, instanceTarget)
		for _, err := range []error{err1, err2, err3, err4} {
			var e *Error
			if err != nil && (!errors.As(err, &e) || e.Kind == "" || strings.ContainsAny(err.Error(), "\r\n")) {
				t.Fatalf("error %v", err)
			}
		}
		for i, token := range []credential.Token{grant.Token, db} {
			if []error{err1, err2}[i] == nil && (!token.Fresh(token.MintedAt, 0) || badToken(token.Value.Reveal()) != "") {
				t.Fatalf("life %v, token %q", token.ExpiresAt.Sub(token.MintedAt), token.Value.Reveal())
			}
		}
		if r := grant.Refresh; !r.IsZero() && badToken(r.Reveal()) != "" {
			t.Fatalf("refresh token %q", r.Reveal())
		}
	})
}

// For any list, each name can be requested again, each ID can be part of a path, and no
// text contains a line break. Paging ends.
func FuzzLists(f *testing.F) {
	for _, s := range []string{
		`{"projects":[{"name":"projects/p","uid":1,"status":{"display_name":"d\u001b[0m","default_branch":"b"}}]}`,
		`{"branches":[{"name":"projects/p/branches/b","status":{"current_state":"ARCHIVED","default":true}}]}`,
		`{"endpoints":[{"name":"projects/p/branches/b/endpoints/e","status":{"hosts":{"host":"h.example"}}}]}`,
		`{"secrets":[{"id":"a","status":"ACTIVE","expire_time":"2026-08-01T11:00:00Z"}]}`, `{"secrets":[{"id":"../x"}]}`,
		`{"projects":[{"name":"projects/../x"}]}`, `{"next_page_token":"again"}`, `{"next_page_token":1}`, `null`, `{`,
	} {
		f.Add([]byte(s))
	}
	c := newReplies(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		c.body.Store(&body)
		ctx, cancel := context.WithTimeout(t.Context(), guard)
		defer cancel()
		var names, texts []string
		var failures [4]error
		projects, err := c.Projects(ctx, bearer)
		failures[0] = err
		for _, p := range projects {
			names, texts = append(names, p.Name), append(texts, p.UID, p.DisplayName, p.DefaultBranch)
		}
		branches, err := c.Branches(ctx, bearer, "projects/p")
		failures[1] = err
		for _, b := range branches {
			names, texts = append(names, b.Name), append(texts, b.UID, b.State)
		}
		endpoints, err := c.Endpoints(ctx, bearer, "projects/p/branches/b")
		failures[2] = err
		for _, e := range endpoints {
			names = append(names, e.Name)
		}
		secrets, err := c.ClientSecrets(ctx, bearer, "17")
		failures[3] = err
		for _, s := range secrets {
			if !isID(s.ID) {
				t.Fatalf("the id %q", s.ID)
			}
		}
		for _, err := range failures {
			var e *Error
			if err != nil && (!errors.As(err, &e) || e.Kind == "" || strings.ContainsAny(err.Error(), "\r\n")) {
				t.Fatalf("%v", err)
			}
		}
		for _, name := range names {
			if !isName(name, "projects") && !isName(name, "projects", "branches") && !isName(name, "projects", "branches", "endpoints") {
				t.Fatalf("the name %q", name)
			}
		}
		if slices.ContainsFunc(texts, func(s string) bool { return strings.ContainsAny(s, "\r\n") || len(s) > 2*sanitize.MaxLine }) {
			t.Fatalf("%q", texts)
		}
	})
}

// For any discovery document, an endpoint that is accepted is a path on the host
// itself.
func FuzzDiscovery(f *testing.F) {
	for _, s := range []string{"https://dbc-1/oidc", "https://dbc-1:443/oidc/accounts/{account_id}", "https://dbc-1@evil/", "https://dbc-1\\@evil/x", "https://dbc-1/..//x", "//dbc-1/x", "HTTPS://DBC-1/x", "https://dbc-1/\r\nX"} {
		f.Add(s, accountID, `["a"]`)
	}
	f.Fuzz(func(t *testing.T, endpoint, account, audiences string) {
		c, err := New(Options{Host: "https://dbc-1"})
		if err != nil {
			t.Fatal(err)
		}
		w := wireConfig{OIDCEndpoint: flexString(endpoint), AccountID: flexString(account), Audiences: []byte(audiences)}
		d := w.discovery()
		if len(d.Audiences) > maxAudiences {
			t.Fatalf("%d audiences", len(d.Audiences))
		}
		if path, failed := c.issuer(w, &d); failed == nil && (!isPath(path) || slices.Contains(strings.Split(path, "/"), "..")) {
			t.Fatalf("%q leads to %q", endpoint, path)
		}
		c.SetEndpoints(Discovery{TokenEndpoint: endpoint, AuthorizationEndpoint: endpoint, WorkspaceID: account})
		u, err := url.Parse(c.AuthorizeURL("s", "c", "http://localhost:8020"))
		if err != nil || u.Scheme != "https" || u.Host != "dbc-1" || u.User != nil || u.Query().Get("state") != "s" {
			t.Fatalf("%q was adopted as %v, %v", endpoint, u, err)
		}
		if a, err := c.Audience(d); err == nil && !strings.HasPrefix(strings.ToLower(a), "https://dbc-1") && !credential.IsUUID(a) {
			t.Fatalf("audience %q", a)
		}
	})
}
