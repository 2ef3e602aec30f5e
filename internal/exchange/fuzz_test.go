package exchange

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// For any reply, a token is usable and has not expired, a listed name can be requested
// again, and an error has a kind and one line. Paging ends.
func FuzzReplies(f *testing.F) {
	for _, s := range []string{
		tokenReply("abc"), `{"token":"abc","expire_time":"2026-08-01T11:00:00Z"}`, `{"token":"a.b.c"}`, `{"access_token":"a","expires_in":"1e3"}`, `{"access_token":"a`, `[]`, `null`, `<html>`, `{}{}`,
		endpointReply, `{"status":{}}`, `{"access_token":"a","refresh_token":"b","id_token":"c"}`, `{"refresh_token":7}`,
		`{"access_token":"a","refresh_token":"a b"}`, `{"Refresh_Token":"x","access_token":"a","refresh_token":"\u0000"}`,
		`{"projects":[{"name":"projects/p","uid":1,"status":{"display_name":"d\u001b[0m","default_branch":"b"}}]}`,
		`{"projects":[{"name":"projects/../x"}]}`, `{"next_page_token":"again"}`, `{"next_page_token":1}`,
	} {
		f.Add([]byte(s))
	}
	var body atomic.Pointer[[]byte]
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(*body.Load()) }))
	f.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	c, err := New(Options{Host: server.URL, LoadRoots: func() (*x509.CertPool, error) { return roots, nil }})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(c.Close)
	f.Fuzz(func(t *testing.T, b []byte) {
		body.Store(&b)
		ctx, cancel := context.WithTimeout(t.Context(), guard)
		defer cancel()
		grant, err1 := c.RefreshedToken(ctx, refreshSecret)
		db, err2 := c.DatabaseCredential(ctx, bearer, endpointName, 0)
		projects, err3 := c.Projects(ctx, bearer)
		for _, err := range []error{err1, err2, err3, calls[CallEndpoint](ctx, c), calls[CallInstance](ctx, c), calls[CallListSecrets](ctx, c)} {
			if e, ok := errors.AsType[*Error](err); err != nil && (!ok || e.Kind == "" || strings.ContainsAny(err.Error(), "\r\n")) {
				t.Fatalf("got %v", err)
			}
		}
		for i, token := range []credential.Token{grant.Token, db} {
			if []error{err1, err2}[i] == nil && (!token.Fresh(token.MintedAt, 0) || badToken(token.Value.Reveal()) != "") {
				t.Fatalf("got a life of %v, token %q", token.ExpiresAt.Sub(token.MintedAt), token.Value.Reveal())
			}
		}
		if r := grant.Refresh; !r.IsZero() && badToken(r.Reveal()) != "" {
			t.Fatalf("got the refresh token %q", r.Reveal())
		}
		for _, p := range projects {
			if !isName(p.Name, "projects") || p.DefaultBranch != "" && !isName(p.DefaultBranch, "projects", "branches") || strings.ContainsAny(p.UID+p.DisplayName, "\r\n") {
				t.Fatalf("got %+v", p)
			}
		}
	})
}
