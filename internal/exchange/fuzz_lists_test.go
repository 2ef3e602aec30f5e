package exchange

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// Whatever a list holds, each of its names can be asked for again, each id stands
// in a path as it is, and no text breaks a line. A page that names a next one ends.
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
	var mu sync.Mutex
	var page []byte
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(page)
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
	f.Fuzz(func(t *testing.T, body []byte) {
		mu.Lock()
		page = body
		mu.Unlock()
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
