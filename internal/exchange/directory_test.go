package exchange

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

func TestMe(t *testing.T) {
	w := newWorkspace(t, false, says(200, `{"id":"4103581907723516","userName":"ada@example.com","active":true}`))
	me, err := w.client(t).Me(soon(t), bearer)
	if err != nil || me != (Identity{UserName: "ada@example.com", ID: "4103581907723516"}) {
		t.Errorf("%+v, %v", me, err)
	}
	if r := w.seen[0]; r.URL.String() != "/api/2.0/preview/scim/v2/Me" || r.Header.Get("Authorization") != "Bearer "+bearer.Reveal() {
		t.Errorf("%s %v", r.URL, r.Header)
	}
	for name, good := range map[string]bool{
		"Ada Lovelace": true, "ada+x@example.com": true, "ädä@example.com": true, clientID: true,
		"": false, "a\\nb": false, "a\\u0000b": false, "a\\u202eb": false, "a\\u2028b": false, strings.Repeat("a", sanitize.MaxLine+1): false,
	} {
		w := newWorkspace(t, false, says(200, `{"id":7,"userName":"`+name+`"}`))
		me, err := w.client(t).Me(soon(t), bearer)
		if good {
			if err != nil || me.UserName != name || me.ID != "7" {
				t.Errorf("%q: %+v, %v", name, me, err)
			}
			continue
		}
		wants(t, err, KindBadReply, false)
	}
	for _, body := range []string{`{}`, `{"userName":[7]}`} {
		w := newWorkspace(t, false, says(200, body))
		_, err := w.client(t).Me(soon(t), bearer)
		wants(t, err, KindBadReply, false)
	}
}

func TestLists(t *testing.T) {
	pages := map[string]string{
		"/api/2.0/postgres/projects?page_size=100": `{"projects":[{"name":"projects/shop","uid":"u-1","status":{"display_name":"The\nshop","default_branch":"projects/shop/branches/production"}}],"next_page_token":"p 2"}`,
		"/api/2.0/postgres/projects?page_size=100&page_token=p+2": `{"projects":[{"name":"projects/b","status":{"default_branch":"main"}},{"name":"projects/c","status":{"default_branch":"../x"}},
			{"name":"projects/d","status":{"display_name":[7]}},{"name":"projects/e"}]}`,
		"/api/2.0/postgres/projects/shop/branches?page_size=100": `{"branches":[{"name":"projects/shop/branches/production","uid":"br-1","status":{"default":true,"current_state":"READY"}},
			{"name":"projects/shop/branches/old","status":{"current_state":"ARCHIVED"}}],"next_page_token":""}`,
		"/api/2.0/postgres/projects/shop/branches/production/endpoints?page_size=100": `{"endpoints":[` + endpointReply + `,{"name":"projects/shop/branches/production/endpoints/new"}]}`,
	}
	w := newWorkspace(t, true, func(rw http.ResponseWriter, r *http.Request) {
		body, ok := pages[r.URL.String()]
		if !ok {
			t.Errorf("asked for %s", r.URL)
		}
		says(200, body)(rw, r)
	})
	c, ctx := w.client(t, func(o *Options) { o.WorkspaceID = "1234" }), soon(t)
	projects, err := c.Projects(ctx, bearer)
	if diff := cmp.Diff([]Project{
		{Name: "projects/shop", UID: "u-1", DisplayName: "The shop", DefaultBranch: "projects/shop/branches/production"},
		{Name: "projects/b", DefaultBranch: "projects/b/branches/main"}, {Name: "projects/c"}, {Name: "projects/d"}, {Name: "projects/e"},
	}, projects); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	branches, err := c.Branches(ctx, bearer, "projects/shop")
	if diff := cmp.Diff([]Branch{
		{Name: "projects/shop/branches/production", UID: "br-1", State: "READY", Default: true},
		{Name: "projects/shop/branches/old", State: "ARCHIVED", Archived: true},
	}, branches); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	endpoints, err := c.Endpoints(ctx, bearer, "projects/shop/branches/production")
	if err != nil || len(endpoints) != 2 || endpoints[0].UID != "ep-x" || !endpoints[0].Disabled || endpoints[0].State != "IDLE" ||
		endpoints[1] != (Endpoint{Name: "projects/shop/branches/production/endpoints/new"}) {
		t.Errorf("%+v, %v", endpoints, err)
	}
	for i, r := range w.seen {
		if r.Method != "GET" || r.Header.Get("Authorization") != "Bearer "+bearer.Reveal() || r.Header.Get("X-Databricks-Workspace-Id") != "1234" {
			t.Errorf("request %d: %s %v", i, r.Method, r.Header)
		}
	}
}
