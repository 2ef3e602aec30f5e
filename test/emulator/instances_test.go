package emulator

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestInstanceAPI(t *testing.T) {
	t.Parallel()
	l := begin(t, Options{NoPostgres: true, Instances: []string{"shop", "other"}})
	c := client(t, l)
	bearer := mint(t, l, TokenSpec{Kind: WorkspaceToken})
	ask := func(method, path, bearer, body string) answer {
		t.Helper()
		a, err := call(t, c, l, method, "/api/2.0/database/"+path, bearer, body)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	if a := ask("GET", "instances/shop", bearer, ""); a.status != 200 || a.body["state"] != "AVAILABLE" || a.body["read_write_dns"] != "localhost" || a.body["read_only_dns"] != "127.0.0.1" || a.body["name"] != "shop" {
		t.Errorf("%+v", a)
	}
	if a := ask("GET", "instances", bearer, ""); len(a.body["database_instances"].([]any)) != 2 {
		t.Errorf("%+v", a)
	}
	for _, s := range InstanceStates() {
		l.Set(func(w *Settings) { w.InstanceState, w.ReadOnlyHost, w.EndpointHost = s, NoHost, "i.example" })
		a := ask("GET", "instances/other", bearer, "")
		if _, has := a.body["read_only_dns"]; a.body["state"] != string(s) || a.body["effective_stopped"] != (s == Stopped) || has || a.body["read_write_dns"] != "i.example" {
			t.Errorf("%s: %+v", s, a)
		}
	}
	for _, tt := range []struct {
		method, path, bearer, body string
		status                     int
		message                    string
	}{
		{"GET", "instances/none", bearer, "", 404, "Database instance 'none' not found"},
		{"GET", "instances/shop", "", "", 401, "Credential was not sent"},
		{"GET", "credentials", bearer, "", 405, "method not allowed"},
		{"POST", "credentials", "", `{"instance_names":["shop"]}`, 401, "Credential was not sent"},
		{"POST", "credentials", bearer, `{"request_id":"x"}`, 400, "Field 'instance_names' is required"},
		{"POST", "credentials", bearer, `{"instance_names":["shop","none"]}`, 404, "Database instance 'none' not found"},
		{"POST", "credentials", bearer, `x`, 400, "Invalid JSON"},
	} {
		a := ask(tt.method, tt.path, tt.bearer, tt.body)
		if message, _ := a.body["message"].(string); a.status != tt.status || !strings.Contains(message, tt.message) {
			t.Errorf("%s %s %s: %+v", tt.method, tt.path, tt.body, a)
		}
	}
	l.Set(func(w *Settings) { w.DatabaseTokenLife = 20 * time.Minute })
	a := ask("POST", "credentials", bearer, `{"request_id":"x","instance_names":["shop"]}`)
	at, err := time.Parse(time.RFC3339Nano, a.body["expiration_time"].(string))
	if left := time.Until(at); err != nil || left > 20*time.Minute || left < 19*time.Minute {
		t.Errorf("%+v: %v, %v", a, left, err)
	}
	if who, err := l.sign.verify(a.body["token"].(string), DatabaseToken, time.Now()); err != nil || who.Subject != l.ClientID || a.body["expire_time"] != nil {
		t.Errorf("%+v: %v", a, err)
	}
	l.Set(func(w *Settings) { w.ExpireTime = Missing })
	if a := ask("POST", "credentials", bearer, `{"instance_names":["shop"]}`); a.status != 200 || a.body["expiration_time"] != nil {
		t.Errorf("%+v", a)
	}
	n := l.Counters().ByCall
	if diff := cmp.Diff(map[Call]int{CallInstance: 10, CallInstanceCredentials: 7}, n); diff != "" {
		t.Error(diff)
	}
}

// A workspace token is a password where there are instances, or the switch says
// so; always for its own principal alone, and within its life.
func TestWorkspacePassword(t *testing.T) {
	t.Parallel()
	l := begin(t, Options{Instances: []string{"shop"}})
	other := newUUID()
	if err := l.AddPrincipal(t.Context(), other, newSecret()); err != nil {
		t.Fatal(err)
	}
	good := mint(t, l, TokenSpec{Kind: WorkspaceToken})
	in := func(user, password, code, message string) {
		t.Helper()
		c, err := connect(t.Context(), l, user, password, l.Database)
		if code != "" {
			wantState(t, err, code, message)
			return
		}
		if err != nil {
			t.Error(err)
			return
		}
		defer closeNow(c)
		if got, err := ask(c, "SELECT current_user"); err != nil || got != user {
			t.Errorf("%q, %v", got, err)
		}
	}
	in(l.ClientID, good, "", "")
	in(l.ClientID, mint(t, l, TokenSpec{}), "", "")
	in(other, good, "28P01", "password authentication failed")
	in(l.ClientID, mint(t, l, TokenSpec{Kind: WorkspaceToken, Life: -time.Minute}), "XX000", "JWT token has expired")
	in(l.ClientID, mint(t, l, TokenSpec{Kind: WorkspaceToken, Foreign: true}), "28P01", "password authentication failed")
	l.Set(func(s *Settings) { s.WorkspacePassword = false })
	in(l.ClientID, good, "28P01", "password authentication failed")
}

// Without a switch an instance is as its compute is.
func TestInstanceFollowsItsCompute(t *testing.T) {
	t.Parallel()
	l := begin(t, Options{Instances: []string{"shop"}, Suspended: true})
	c := client(t, l)
	bearer := mint(t, l, TokenSpec{Kind: WorkspaceToken})
	for _, want := range []InstanceState{Starting, Available} {
		a, err := call(t, c, l, "GET", "/api/2.0/database/instances/shop", bearer, "")
		if err != nil || a.body["state"] != string(want) {
			t.Errorf("%+v, %v, want %s", a, err, want)
		}
		if err := l.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
