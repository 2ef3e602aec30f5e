package exchange

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

func TestMe(t *testing.T) {
	for name, good := range map[string]bool{
		"Ada Lovelace": true, "ada+x@example.com": true, "ädä@example.com": true, clientID: true,
		"": false, "a\\nb": false, "a\\u0000b": false, "a\\u202eb": false, "a\\u2028b": false, strings.Repeat("a", sanitize.MaxLine+1): false,
	} {
		w := paths(t, map[string]string{"GET /api/2.0/preview/scim/v2/Me": `{"id":4103581907723516,"userName":"` + name + `","active":true}`})
		me, err := w.client(t).Me(t.Context(), bearer)
		if !good {
			wants(t, err, KindBadReply, false)
		} else if err != nil || me != (Identity{UserName: name, ID: "4103581907723516"}) {
			t.Errorf("%q: got %+v, %v", name, me, err)
		}
	}
}

// paths answers requests with the bearer by their method, path and query.
func paths(t *testing.T, replies map[string]string) *workspace {
	return newWorkspace(t, true, func(rw http.ResponseWriter, r *http.Request) {
		body, ok := replies[r.Method+" "+r.URL.String()]
		if !ok || r.Header.Get("Authorization") != "Bearer "+bearer.Reveal() {
			t.Errorf("unexpected request %s %s with %v", r.Method, r.URL, r.Header)
		}
		says(200, body)(rw, r)
	})
}

func TestLists(t *testing.T) {
	const api = "GET /api/2.0/postgres/projects"
	w := paths(t, map[string]string{
		api + "?page_size=100":                `{"projects":[{"name":"projects/shop","status":{"display_name":"The\nshop"}}],"next_page_token":"p 2"}`,
		api + "?page_size=100&page_token=p+2": `{"projects":[{"name":"projects/d","status":{"display_name":[7]}},{"name":"projects/e"}]}`,
		api + "/shop/branches?page_size=100": `{"branches":[{"name":"projects/shop/branches/production","uid":"br-1","status":{"default":true,"current_state":"READY"}},
			{"name":"projects/shop/branches/old","status":{"current_state":"ARCHIVED"}}],"next_page_token":""}`,
		api + "/shop/branches/production/endpoints?page_size=100": `{"endpoints":[` + endpointReply + `,{"name":"projects/shop/branches/production/endpoints/new"}]}`,
	})
	c, ctx := w.client(t), t.Context()
	projects, err := c.List(ctx, bearer, "")
	if diff := cmp.Diff([]Resource{
		{Name: "projects/shop", DisplayName: "The shop"}, {Name: "projects/d"}, {Name: "projects/e"},
	}, projects); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	branches, err := c.List(ctx, bearer, "projects/shop")
	if diff := cmp.Diff([]Resource{
		{Name: "projects/shop/branches/production", UID: "br-1", State: "READY", Default: true},
		{Name: "projects/shop/branches/old", State: "ARCHIVED"},
	}, branches); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	endpoints, err := c.List(ctx, bearer, "projects/shop/branches/production")
	if err != nil || len(endpoints) != 2 || endpoints[0].UID != "ep-x" || !endpoints[0].Disabled || endpoints[0].State != "IDLE" ||
		endpoints[1] != (Resource{Name: "projects/shop/branches/production/endpoints/new"}) {
		t.Errorf("got %+v, %v", endpoints, err)
	}
}

const instanceDNS = `"read_write_dns":"rw.example","read_only_dns":"ro.example"`

func TestInstanceCalls(t *testing.T) {
	at := time.Now().Add(20 * time.Minute).UTC().Format(time.RFC3339)
	w := paths(t, map[string]string{
		"POST /api/2.0/database/credentials":   `{"token":"db","expiration_time":"` + at + `"}`,
		"GET /api/2.0/database/instances/shop": `{"state":"AVAILABLE","uid":"u",` + instanceDNS + `}`,
	})
	c := w.client(t)
	for range 2 {
		token, err := c.DatabaseCredential(t.Context(), bearer, instanceTarget, 15*time.Minute)
		if left := time.Until(token.ExpiresAt); err != nil || token.Value.Reveal() != "db" || left > 20*time.Minute || left < 19*time.Minute {
			t.Fatalf("got a life of %s, %v", left, err)
		}
	}
	want := regexp.MustCompile(`^\{"instance_names":\["shop"\],"request_id":"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"\}$`)
	if !want.MatchString(w.bodies[0]) || w.bodies[0] == w.bodies[1] {
		t.Errorf("got %q, want another request ID in each", w.bodies)
	}
	got, err := c.Endpoint(t.Context(), bearer, instanceTarget)
	if diff := cmp.Diff(Resource{Name: instanceTarget, State: "AVAILABLE", Host: "rw.example", ReadOnlyHost: "ro.example"}, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestInstanceStates(t *testing.T) {
	for state, want := range map[string]Kind{
		`"state":"AVAILABLE"`: "", `"state":"UPDATING"`: "", `"state":"STARTING"`: "", // a login waits for it
		`"state":"STARTING","effective_stopped":true`: "", `"state":"A_STATE_OF_TOMORROW"`: "", `"uid":"u"`: "", `"state":"STOPPED"`: KindInstanceStopped,
		`"state":"AVAILABLE","effective_stopped":true`: KindInstanceStopped, `"state":"FAILING_OVER"`: KindInstanceFailingOver,
		`"state":"DELETING"`: KindInstanceDeleting, `"state":"DELETING","effective_stopped":true`: KindInstanceDeleting,
	} {
		e, err := serve(t, 200, `{`+state+`,`+instanceDNS+`}`).client(t).Endpoint(t.Context(), bearer, instanceTarget)
		if err != nil || e.UnusableKind() != want || e.Host != "rw.example" {
			t.Errorf("%s: got %q, %+v, %v", state, e.UnusableKind(), e, err)
		}
	}
	if k := (Resource{Disabled: true, State: "IDLE"}).UnusableKind(); k != KindEndpointDisabled {
		t.Errorf("disabled: got %q", k)
	}
}

func TestClientSecrets(t *testing.T) {
	const secrets = " /api/2.0/accounts/servicePrincipals/41/credentials/secrets"
	w := paths(t, map[string]string{
		"GET" + secrets: `{"secrets":[{"id":"a","status":"ACTIVE","create_time":"2026-08-01T10:00:00Z","expire_time":"2028-07-31T10:00:00Z"},
			{"id":7}],"next_page_token":"p 2"}`,
		"GET" + secrets + "?page_token=p+2": `{"secrets":[{"id":"c","status":"x","create_time":"soon"}],"next_page_token":""}`,
		"POST" + secrets: `{"id":"s-1","secret":"dose-very-new-secret","secret_hash":"h","status":"ACTIVE",
			"create_time":"2026-08-01T10:00:00.123Z","update_time":"x","expire_time":"2028-07-31T10:00:00Z"}`,
		"DELETE" + secrets + "/s-1": "{}",
	})
	c, ctx := w.client(t), t.Context()
	const id = "41"
	created, expires := time.Date(2026, 8, 1, 10, 0, 0, 0, time.UTC), time.Date(2028, 7, 31, 10, 0, 0, 0, time.UTC)
	list, err := c.ClientSecrets(ctx, bearer, id)
	want := []ClientSecret{{ID: "a", Status: "ACTIVE", CreatedAt: created, ExpiresAt: expires}, {ID: "7"}, {ID: "c", Status: "x"}}
	if diff := cmp.Diff(want, list); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	for _, lifetime := range []time.Duration{90 * 24 * time.Hour, 0} {
		info, secret, err := c.CreateClientSecret(ctx, bearer, id, lifetime)
		if err != nil || secret.Reveal() != "dose-very-new-secret" || info.ID != "s-1" || !info.ExpiresAt.Equal(expires) {
			t.Errorf("CreateClientSecret: got %+v, %v", info, err)
		}
	}
	if err := c.DeleteClientSecret(ctx, bearer, id, "s-1"); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"", "", `{"lifetime":"7776000s"}`, "{}", ""}, w.bodies); diff != "" {
		t.Error(diff)
	}
}
