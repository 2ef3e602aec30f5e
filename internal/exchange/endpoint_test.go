package exchange

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

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

const (
	readWriteDNS = "instance-x.database.cloud.databricks.com"
	readOnlyDNS  = "instance-ro-x.database.cloud.databricks.com"
)

// instanceReply is what the workspace says of an instance; more goes in front.
func instanceReply(more string) string {
	return fmt.Sprintf(`{%s"uid":"u","read_write_dns":%q,"read_only_dns":%q}`, more, readWriteDNS, readOnlyDNS)
}

func TestInstanceCalls(t *testing.T) {
	w := newWorkspace(t, false, func(rw http.ResponseWriter, r *http.Request) {
		switch r.Method + " " + r.URL.Path {
		case "POST /api/2.0/database/credentials":
			at := time.Now().Add(20 * time.Minute).UTC().Format(time.RFC3339)
			says(200, `{"token":"db","expiration_time":"`+at+`"}`)(rw, r)
		case "GET /api/2.0/database/instances/shop":
			says(200, instanceReply(`"state":"AVAILABLE",`))(rw, r)
		default:
			says(404, `{}`)(rw, r)
		}
	})
	c := w.client(t, func(o *Options) { o.WorkspaceID = "1234" })
	ids := map[string]bool{}
	for range 2 {
		token, err := c.DatabaseCredential(soon(t), bearer, instanceTarget, 15*time.Minute)
		if err != nil || token.Value.Reveal() != "db" {
			t.Fatalf("%v", err)
		}
		if left := time.Until(token.ExpiresAt); left > 20*time.Minute || left < 19*time.Minute {
			t.Errorf("it lives for %s", left)
		}
		var body map[string]any
		text := w.bodies[len(w.bodies)-1]
		if err := json.Unmarshal([]byte(text), &body); err != nil {
			t.Fatal(err)
		}
		id, _ := body["request_id"].(string)
		if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(id) || ids[id] {
			t.Errorf("request_id is %q", id)
		}
		ids[id] = true
		delete(body, "request_id")
		if diff := cmp.Diff(map[string]any{"instance_names": []any{"shop"}}, body); diff != "" {
			t.Errorf("%s\n%s", text, diff)
		}
	}
	got, err := c.Endpoint(soon(t), bearer, instanceTarget)
	if diff := cmp.Diff(Endpoint{Name: instanceTarget, State: "AVAILABLE", Host: readWriteDNS, ReadOnlyHost: readOnlyDNS}, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	for i, r := range w.seen {
		if h := r.Header; h.Get("Authorization") != "Bearer "+bearer.Reveal() || h.Get("X-Databricks-Workspace-Id") != "1234" {
			t.Errorf("request %d has headers %v", i, h)
		}
	}
}

func TestInstanceStates(t *testing.T) {
	for more, want := range map[string]Kind{
		`"state":"AVAILABLE",`:                         "",
		`"state":"UPDATING",`:                          "",
		`"state":"STARTING",`:                          "", // a login waits for it
		`"state":"STARTING","effective_stopped":true,`: "", `"state":"A_STATE_OF_TOMORROW",`: "", ``: "", `"state":"STOPPED",`: KindInstanceStopped,
		`"state":"AVAILABLE","effective_stopped":true,`: KindInstanceStopped, `"state":"FAILING_OVER",`: KindInstanceFailingOver,
		`"state":"DELETING",`: KindInstanceDeleting, `"state":"DELETING","effective_stopped":true,`: KindInstanceDeleting,
		`"state":"AVAILABLE","effective_stopped":false,`: "",
	} {
		w := newWorkspace(t, false, says(200, instanceReply(more)))
		e, err := w.client(t).Endpoint(soon(t), bearer, instanceTarget)
		if err != nil || e.UnusableKind() != want || e.Host != readWriteDNS {
			t.Errorf("%s: %q, %+v, %v", more, e.UnusableKind(), e, err)
		}
	}
	if k := (Endpoint{Disabled: true, State: "IDLE"}).UnusableKind(); k != KindEndpointDisabled {
		t.Errorf("a disabled endpoint: %q", k)
	}
	if k := (Endpoint{State: "IDLE"}).UnusableKind(); k != "" {
		t.Errorf("an idle endpoint: %q", k)
	}
	for _, body := range []string{`{}`, `{"name":"shop"}`, `{"state":1}`} {
		w := newWorkspace(t, false, says(200, body))
		_, err := w.client(t).Endpoint(soon(t), bearer, instanceTarget)
		wants(t, err, KindBadReply, false)
	}
}

// If the caller cancels while the body of an error response is read, the error is the
// cancellation.
func TestRefusal_Canceled(t *testing.T) {
	const said = `{"error_code":"NOT_FOUND","message":"no such instance"}`
	head := make(chan struct{}, 1)
	slow := newWorkspace(t, false, func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Length", fmt.Sprint(len(said)))
		rw.WriteHeader(404)
		_ = http.NewResponseController(rw).Flush()
		head <- struct{}{}
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(soon(t))
	go func() { <-head; time.Sleep(50 * time.Millisecond); cancel() }()
	wants(t, calls[CallInstance](ctx, slow.client(t)), KindCanceled, false)
	w := newWorkspace(t, false, says(404, said))
	wants(t, calls[CallInstance](soon(t), w.client(t)), KindEndpointNotFound, false)
}

const (
	secretsURL = "/api/2.0/accounts/servicePrincipals/4103581907723516/credentials/secrets"
	made       = `{"id":"s-1","secret":"dose-very-new-secret","secret_hash":"h","status":"ACTIVE","create_time":"2026-08-01T10:00:00.123Z","update_time":"x","expire_time":"2028-07-31T10:00:00Z"`
)

func TestClientSecrets(t *testing.T) {
	pages := map[string]string{
		"":    `{"secrets":[{"id":"a","status":"ACTIVE","create_time":"2026-08-01T10:00:00Z","expire_time":"2028-07-31T10:00:00Z"},{"id":7}],"next_page_token":"p 2"}`,
		"p 2": `{"secrets":[{"id":"c","status":"x","create_time":"soon"}],"next_page_token":""}`,
	}
	w := newWorkspace(t, true, func(rw http.ResponseWriter, r *http.Request) {
		switch r.Method + " " + r.URL.Path {
		case "GET /api/2.0/preview/scim/v2/Me":
			says(200, `{"id":"4103581907723516","userName":"x"}`)(rw, r)
		case "GET " + secretsURL:
			says(200, pages[r.URL.Query().Get("page_token")])(rw, r)
		case "POST " + secretsURL:
			says(200, made+"}")(rw, r)
		case "DELETE " + secretsURL + "/s-1":
			says(200, "{}")(rw, r)
		default:
			says(404, `{"error_code":"ENDPOINT_NOT_FOUND","message":"no"}`)(rw, r)
		}
	})
	c, ctx := w.client(t), soon(t)
	id, err := c.Principal(ctx, bearer)
	if err != nil || id != "4103581907723516" {
		t.Fatalf("Principal: %q, %v", id, err)
	}
	list, err := c.ClientSecrets(ctx, bearer, id)
	if err != nil {
		t.Fatal(err)
	}
	at := func(text string) time.Time { x, _ := time.Parse(time.RFC3339, text); return x }
	want := []ClientSecret{
		{ID: "a", Status: "ACTIVE", CreatedAt: at("2026-08-01T10:00:00Z"), ExpiresAt: at("2028-07-31T10:00:00Z")},
		{ID: "7"}, {ID: "c", Status: "x"},
	}
	if diff := cmp.Diff(want, list); diff != "" {
		t.Error(diff)
	}
	info, secret, err := c.CreateClientSecret(ctx, bearer, id, 90*24*time.Hour)
	if err != nil || secret.Reveal() != "dose-very-new-secret" || info.ID != "s-1" || info.ExpiresAt != at("2028-07-31T10:00:00Z") {
		t.Errorf("CreateClientSecret: %+v, %v", info, err)
	}
	if _, _, err := c.CreateClientSecret(ctx, bearer, id, 0); err != nil {
		t.Error(err)
	}
	if err := c.DeleteClientSecret(ctx, bearer, id, "s-1"); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"", "", "", `{"lifetime":"7776000s"}`, "{}", ""}, w.bodies); diff != "" {
		t.Error(diff)
	}
}

// A created secret is redacted in all later responses, and so is a secret that an error
// response contains.
func TestCreateClientSecret_IsRedacted(t *testing.T) {
	w := newWorkspace(t, false, func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			says(200, made+"}")(rw, r)
			return
		}
		says(400, `{"error_code":"X","message":"you have dose-very-new-secret and dose-other","secret":"dose-other"}`)(rw, r)
	})
	c := w.client(t)
	if _, _, err := c.CreateClientSecret(soon(t), bearer, "41", 0); err != nil {
		t.Fatal(err)
	}
	e := wants(t, c.DeleteClientSecret(soon(t), bearer, "41", "s-1"), KindRefused, false)
	if !strings.Contains(e.Message, "you have") || strings.Contains(e.Error(), "dose-") {
		t.Errorf("%v", e)
	}
}
