package exchange

import (
	"context"
	"crypto/x509"
	"errors"
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
		for call := range calls {
			r := request{call: call, secrets: append([]credential.Secret{credential.NewSecret(clientSecret)}, said.tokens...)}
			kind := refusalKind(call, status, said)
			if kind == "" || status < 500 && kind == KindUnavailable {
				t.Fatalf("got %q for %d", kind, status)
			}
			e := c.fail(r, &Error{Kind: kind, Status: status, Code: said.code, Message: said.message, RequestID: said.requestID})
			if max(len(e.Message), len(e.Code), len(e.RequestID)) > sanitize.MaxLine {
				t.Fatal("a text is too long")
			}
			if utf8.Valid(body) && !utf8.ValidString(e.Message) || strings.ContainsAny(e.Error(), "\r\n") || strings.Contains(e.Error(), clientSecret) {
				t.Fatalf("got %q", e.Error())
			}
		}
	})
}

// fuzzReplies calls check with a client of a server that answers with any body.
func fuzzReplies(f *testing.F, seeds []string, check func(t *testing.T, ctx context.Context, c *Client)) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	var body atomic.Pointer[[]byte]
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(*body.Load()) }))
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
	f.Fuzz(func(t *testing.T, b []byte) {
		body.Store(&b)
		ctx, cancel := context.WithTimeout(t.Context(), guard)
		defer cancel()
		check(t, ctx, c)
	})
}

func checkKinds(t *testing.T, errs ...error) {
	for _, err := range errs {
		var e *Error
		if err != nil && (!errors.As(err, &e) || e.Kind == "" || strings.ContainsAny(err.Error(), "\r\n")) {
			t.Fatalf("got %v", err)
		}
	}
}

// For any reply, a token is usable and has not expired, and an error has a kind and one
// line.
func FuzzTokenReplies(f *testing.F) {
	fuzzReplies(f, []string{
		tokenReply("abc"), `{"token":"abc","expire_time":"2026-08-01T11:00:00Z"}`, `{"token":"` + jwt(`{"iat":1,"exp":1e308}`) + `"}`,
		`{"token":"a.b.c"}`, `{"access_token":"a","expires_in":"1e3"}`, `{"access_token":"a`, `[]`, `null`, `<html>`, `{}{}`,
		endpointReply, `{"status":{}}`, `{"access_token":"a","refresh_token":"b","id_token":"c"}`, `{"refresh_token":7}`,
		`{"access_token":"a","refresh_token":"a b"}`, `{"Refresh_Token":"x","access_token":"a","refresh_token":"\u0000"}`,
	}, func(t *testing.T, ctx context.Context, c *Client) {
		grant, err1 := c.RefreshedToken(ctx, refreshSecret)
		db, err2 := c.DatabaseCredential(ctx, bearer, endpointName, 0)
		checkKinds(t, err1, err2, calls[CallEndpoint](ctx, c), calls[CallInstance](ctx, c))
		for i, token := range []credential.Token{grant.Token, db} {
			if []error{err1, err2}[i] == nil && (!token.Fresh(token.MintedAt, 0) || badToken(token.Value.Reveal()) != "") {
				t.Fatalf("got a life of %v, token %q", token.ExpiresAt.Sub(token.MintedAt), token.Value.Reveal())
			}
		}
		if r := grant.Refresh; !r.IsZero() && badToken(r.Reveal()) != "" {
			t.Fatalf("got the refresh token %q", r.Reveal())
		}
	})
}

// For any list, each name can be requested again, each ID can be part of a path, and no
// text contains a line break. Paging ends.
func FuzzLists(f *testing.F) {
	fuzzReplies(f, []string{
		`{"projects":[{"name":"projects/p","uid":1,"status":{"display_name":"d\u001b[0m","default_branch":"b"}}]}`,
		`{"branches":[{"name":"projects/p/branches/b","status":{"current_state":"ARCHIVED","default":true}}]}`,
		`{"endpoints":[{"name":"projects/p/branches/b/endpoints/e","status":{"hosts":{"host":"h.example"}}}]}`,
		`{"secrets":[{"id":"a","status":"ACTIVE","expire_time":"2026-08-01T11:00:00Z"}]}`, `{"secrets":[{"id":"../x"}]}`,
		`{"projects":[{"name":"projects/../x"}]}`, `{"next_page_token":"again"}`, `{"next_page_token":1}`, `null`, `{`,
	}, func(t *testing.T, ctx context.Context, c *Client) {
		projects, err1 := c.Projects(ctx, bearer)
		branches, err2 := c.Branches(ctx, bearer, "projects/p")
		endpoints, err3 := c.Endpoints(ctx, bearer, "projects/p/branches/b")
		secrets, err4 := c.ClientSecrets(ctx, bearer, "17")
		checkKinds(t, err1, err2, err3, err4)
		var texts []string
		for _, p := range projects {
			if texts = append(texts, p.UID, p.DisplayName); !isName(p.Name, "projects") || p.DefaultBranch != "" && !isName(p.DefaultBranch, "projects", "branches") {
				t.Fatalf("got %+v", p)
			}
		}
		for _, b := range branches {
			if texts = append(texts, b.UID, b.State); !isName(b.Name, "projects", "branches") {
				t.Fatalf("got %+v", b)
			}
		}
		for _, e := range endpoints {
			if texts = append(texts, e.UID); !isName(e.Name, "projects", "branches", "endpoints") {
				t.Fatalf("got %+v", e)
			}
		}
		for _, s := range secrets {
			if texts = append(texts, s.Status); !isSegment(s.ID) {
				t.Fatalf("got %+v", s)
			}
		}
		if slices.ContainsFunc(texts, func(s string) bool { return strings.ContainsAny(s, "\r\n") || len(s) > 2*sanitize.MaxLine }) {
			t.Fatalf("got %q", texts)
		}
	})
}

// For any discovery document, an endpoint that is accepted is a path on the host
// itself.
func FuzzDiscovery(f *testing.F) {
	for _, s := range []string{"https://dbc-1/oidc", "https://dbc-1:443/oidc/accounts/{account_id}", "https://dbc-1@evil/", "https://dbc-1\\@evil/x",
		"https://dbc-1/..//x", "//dbc-1/x", "HTTPS://DBC-1/x", "https://dbc-1/\r\nX"} {
		f.Add(s, accountID, "a")
	}
	f.Fuzz(func(t *testing.T, endpoint, account, audience string) {
		c, err := New(Options{Host: "https://dbc-1"})
		if err != nil {
			t.Fatal(err)
		}
		d := Discovery{AccountID: account, Audiences: []string{audience}}
		path, failed := c.issuer(endpoint, &d)
		if failed == nil && (!isPath(path) || slices.Contains(strings.Split(path, "/"), "..")) {
			t.Fatalf("%q leads to %q", endpoint, path)
		}
		c.paths.authorize = path
		u, err := url.Parse(c.AuthorizeURL("s", "c", "http://localhost:8020"))
		if err != nil || u.Scheme != "https" || u.Host != "dbc-1" || u.User != nil || u.Query().Get("state") != "s" {
			t.Fatalf("%q was adopted as %v, %v", endpoint, u, err)
		}
		if a, err := c.Audience(d); err == nil && !strings.HasPrefix(strings.ToLower(a), "https://dbc-1") && !credential.IsUUID(a) {
			t.Fatalf("audience %q", a)
		}
	})
}
