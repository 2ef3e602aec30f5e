package emulator

import (
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestResources(t *testing.T) {
	t.Parallel()
	l := apiOnly(t)
	status := func(name string) map[string]any {
		t.Helper()
		s, ok := l.get(resourcesPath + name).body["status"].(map[string]any)
		if !ok {
			t.Fatalf("%s does not exist", name)
		}
		return s
	}
	for _, err := range []error{l.AddBranch("shop", "dev"), l.AddEndpoint("lab", "main", "primary"), l.Put(Resource{Name: "projects/empty"}),
		l.Put(Resource{Name: "projects/shop/branches/old", Archived: true}),
		l.Put(Resource{Name: "projects/lab/branches/main/endpoints/reader", ReadOnly: true, Disabled: true})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"", "shop", "projects/Shop", "projects/shop/branches", "projects/shop/endpoints/e", "projects/shop/branches/b/endpoints/e/x"} {
		if err := l.Put(Resource{Name: name}); err == nil {
			t.Errorf("%q was accepted", name)
		}
	}
	var names []string
	for _, r := range l.Resources() {
		names = append(names, r.Name)
	}
	if diff := cmp.Diff([]string{"projects/shop", "projects/shop/branches/production", Endpoint, "projects/shop/branches/dev", "projects/lab", "projects/lab/branches/main",
		"projects/lab/branches/main/endpoints/primary", "projects/empty", "projects/shop/branches/old", "projects/lab/branches/main/endpoints/reader"}, names); diff != "" {
		t.Error(diff)
	}
	for name, want := range map[string]map[string]any{
		"projects/lab":                                {"default_branch": "projects/lab/branches/main"},
		"projects/shop":                               {"default_branch": "projects/shop/branches/production"},
		"projects/empty":                              {"default_branch": ""},
		"projects/shop/branches/old":                  {"current_state": "ARCHIVED", "default": false},
		"projects/lab/branches/main":                  {"current_state": "READY", "default": true},
		"projects/lab/branches/main/endpoints/reader": {"disabled": true, "endpoint_type": "ENDPOINT_TYPE_READ_ONLY"},
		Endpoint: {"disabled": false, "current_state": "ACTIVE"},
	} {
		got := status(name)
		for key, value := range want {
			if got[key] != value {
				t.Errorf("%s: got %s %v, want %v", name, key, got[key], value)
			}
		}
	}
	host := func(name string) any { return status(name)["hosts"].(map[string]any)["host"] }
	if got := host("projects/lab/branches/main/endpoints/reader"); got != "127.0.0.1" {
		t.Errorf("got read-only host %v", got)
	}
	l.Set(func(s *Settings) { s.EndpointDisabled, s.EndpointHost = true, "ep-x.database.example.com" })
	if status(Endpoint)["disabled"] != true || host(Endpoint) != "ep-x.database.example.com" {
		t.Errorf("got %+v", status(Endpoint))
	}
	for name, form := range map[string]string{Endpoint: `^ep-[a-z]+-[a-z]+-[0-9a-f]{8}$`, "projects/shop/branches/dev": `^br-[a-z]+-[a-z]+-[0-9a-f]{8}$`, "projects/lab": `^[0-9a-f]{8}-[0-9a-f]{4}-`} {
		uid := l.get(resourcesPath + name).str("uid")
		if !regexp.MustCompile(form).MatchString(uid) || uid != UID(name) {
			t.Errorf("%s: got uid %q", name, uid)
		}
		if a := l.get(resourcesPath + name[:strings.LastIndexByte(name, '/')+1] + uid); a.status != 404 {
			t.Errorf("%s by its uid: got %+v", name, a)
		}
	}
	for _, path := range []string{"projects/none", "projects/shop/branches/none", "projects/none/branches", "projects/shop/x/y", Endpoint + "/more/still"} {
		if a := l.get(resourcesPath + path); a.status != 404 || a.body["error_code"] != "NOT_FOUND" {
			t.Errorf("%s: got %+v, want 404", path, a)
		}
	}
	if err := l.Remove("projects/lab"); err != nil || len(l.Resources()) != 6 || l.get(resourcesPath+"projects/lab/branches/main").status != 404 {
		t.Errorf("got %v, %d left", err, len(l.Resources()))
	}
	if err := l.Remove("projects/lab"); err == nil {
		t.Error("removed twice")
	}
}

func TestResources_Pages(t *testing.T) {
	t.Parallel()
	l := apiOnly(t)
	for i := range 7 {
		if err := l.AddEndpoint("shop", "b"+strconv.Itoa(i), "e"); err != nil {
			t.Fatal(err)
		}
	}
	list := func(path, token string) answer {
		t.Helper()
		return l.get(resourcesPath + path + "&page_token=" + url.QueryEscape(token))
	}
	all := func(path string) (names []string, pages int) {
		t.Helper()
		for token := ""; pages < 20; {
			a := list(path, token)
			items, _ := a.body["branches"].([]any)
			for _, i := range items {
				names = append(names, i.(map[string]any)["branch_id"].(string))
			}
			pages++
			if token = a.str("next_page_token"); token == "" {
				break
			}
		}
		return names, pages
	}
	const path = "projects/shop/branches?page_size="
	want := []string{"production", "b0", "b1", "b2", "b3", "b4", "b5", "b6"}
	for size, wantPages := range map[string]int{"": 1, "0": 1, "100": 1, "3": 3, "8": 1, "1": 8} {
		names, pages := all(path + size)
		if diff := cmp.Diff(want, names); diff != "" || pages != wantPages {
			t.Errorf("by %q: got %d pages, %s", size, pages, diff)
		}
	}
	l.Set(func(s *Settings) { s.PageSize = 2 })
	if names, pages := all(path + "100"); len(names) != 8 || pages != 4 {
		t.Errorf("got %v in %d pages", names, pages)
	}
	other := list(path, "").str("next_page_token")
	for name, a := range map[string]answer{"too big": list(path+"101", ""), "no number": list(path+"x", ""), "no token": list(path, "x"), "another list's": list("projects?x=", other)} {
		if a.status != 400 || a.body["error_code"] != "INVALID_PARAMETER_VALUE" {
			t.Errorf("%s: got %+v", name, a)
		}
	}
	if n := l.Counters().ByCall; n[CallProjects] != 1 || n[CallEndpoint] != 0 || n[CallBranches] < 20 {
		t.Errorf("got counters %+v", n)
	}
}

// A token for a disabled endpoint is refused, and so is every login if no other endpoint
// is left, or for an address that is not allowed.
func TestLogin_DisabledEndpoint(t *testing.T) {
	t.Parallel()
	l := begin(t, Options{})
	login := func(endpoint string) error {
		t.Helper()
		c, err := connect(t.Context(), l, l.ClientID, mint(t, l, TokenSpec{Endpoint: endpoint}), l.Database)
		if err == nil {
			closeNow(c)
		}
		return err
	}
	const other = "projects/shop/branches/dev/endpoints/e"
	if err := l.Put(Resource{Name: other, Disabled: true}); err != nil {
		t.Fatal(err)
	}
	wantState(t, login(other), "XX000", UID(other)+": endpoint is disabled")
	if err := login(Endpoint); err != nil {
		t.Error(err)
	}
	l.Set(func(s *Settings) { s.IPNotAllowed = true })
	wantState(t, login(Endpoint), "XX000", "This IP address 127.0.0.1 is not allowed")
	l.Set(func(s *Settings) { s.IPNotAllowed = false })
	if err := l.Put(Resource{Name: Endpoint, Disabled: true}); err != nil {
		t.Fatal(err)
	}
	if err := l.Suspend(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantState(t, login(""), "XX000", UID(Endpoint)+": endpoint is disabled")
	if l.State() != Suspended {
		t.Error("a disabled endpoint woke")
	}
}

func TestInstances(t *testing.T) {
	t.Parallel()
	l := newWorkspace(t, Options{NoPostgres: true, Instances: []string{"shop", "other"}})
	const path = "/api/2.0/database/"
	if a := l.get(path + "instances/shop"); a.status != 200 || a.body["state"] != "AVAILABLE" || a.body["read_write_dns"] != "localhost" || a.body["read_only_dns"] != "127.0.0.1" || a.body["name"] != "shop" {
		t.Errorf("got %+v", a)
	}
	if a := l.get(path + "instances"); len(a.body["database_instances"].([]any)) != 2 {
		t.Errorf("got %+v", a)
	}
	for _, s := range InstanceStates() {
		l.Set(func(w *Settings) { w.InstanceState, w.ReadOnlyHost, w.EndpointHost = s, NoHost, "i.example" })
		if a := l.get(path + "instances/other"); a.body["state"] != string(s) || a.body["effective_stopped"] != (s == Stopped) || a.body["read_only_dns"] != nil || a.body["read_write_dns"] != "i.example" {
			t.Errorf("%s: got %+v", s, a)
		}
	}
	for _, tt := range []struct {
		method, path, bearer, body string
		status                     int
		message                    string
	}{
		{"GET", "instances/none", l.bearer, "", 404, "Database instance 'none' not found"},
		{"GET", "instances/shop", "", "", 401, "Credential was not sent"},
		{"GET", "credentials", l.bearer, "", 405, "method not allowed"},
		{"POST", "credentials", "", `{"instance_names":["shop"]}`, 401, "Credential was not sent"},
		{"POST", "credentials", l.bearer, `{"request_id":"x"}`, 400, "Field 'instance_names' is required"},
		{"POST", "credentials", l.bearer, `{"instance_names":["shop","none"]}`, 404, "Database instance 'none' not found"},
		{"POST", "credentials", l.bearer, `x`, 400, "Invalid JSON"},
	} {
		if a := l.as(tt.bearer).call(tt.method, path+tt.path, tt.body); a.status != tt.status || !strings.Contains(a.str("message"), tt.message) {
			t.Errorf("%s %s %s: got %+v", tt.method, tt.path, tt.body, a)
		}
	}
	l.Set(func(w *Settings) { w.DatabaseTokenLife = 20 * time.Minute })
	a := l.call("POST", path+"credentials", `{"request_id":"x","instance_names":["shop"]}`)
	at, err := time.Parse(time.RFC3339Nano, a.str("expiration_time"))
	if left := time.Until(at); err != nil || left > 20*time.Minute || left < 15*time.Minute {
		t.Errorf("got %+v, expires in %v, %v", a, left, err)
	}
	if who, err := l.sign.verify(a.str("token"), DatabaseToken, time.Now()); err != nil || who.Subject != l.ClientID || a.body["expire_time"] != nil {
		t.Errorf("got %+v: %v", a, err)
	}
	l.Set(func(w *Settings) { w.ExpireTime = Missing })
	if a := l.call("POST", path+"credentials", `{"instance_names":["shop"]}`); a.status != 200 || a.body["expiration_time"] != nil {
		t.Errorf("got %+v", a)
	}
	if diff := cmp.Diff(map[Call]int{CallInstance: 10, CallInstanceCredentials: 7}, l.Counters().ByCall); diff != "" {
		t.Error(diff)
	}
}

// Where there are instances, a workspace token is a password of its own principal. The
// state of an instance is that of the compute.
func TestInstances_Login(t *testing.T) {
	t.Parallel()
	l := newWorkspace(t, Options{Instances: []string{"shop"}, Suspended: true})
	for _, want := range []InstanceState{Starting, Available} {
		if a := l.get("/api/2.0/database/instances/shop"); a.body["state"] != string(want) {
			t.Errorf("got %+v, want %s", a, want)
		}
		if err := l.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	other := newUUID()
	if err := l.AddPrincipal(t.Context(), other, newSecret()); err != nil {
		t.Fatal(err)
	}
	token := func(spec TokenSpec) string { return mint(t, l.Lakebase, spec) }
	login := func(user, password, code, message string) {
		t.Helper()
		c, err := connect(t.Context(), l.Lakebase, user, password, l.Database)
		if code != "" {
			wantState(t, err, code, message)
			return
		}
		if err != nil {
			t.Error(err)
			return
		}
		closeNow(c)
	}
	login(l.ClientID, l.bearer, "", "")
	login(l.ClientID, token(TokenSpec{}), "", "")
	login(other, l.bearer, "28P01", "password authentication failed")
	login(l.ClientID, token(TokenSpec{Kind: WorkspaceToken, Life: -time.Minute}), "XX000", "JWT token has expired")
	login(l.ClientID, token(TokenSpec{Kind: WorkspaceToken, Foreign: true}), "28P01", "password authentication failed")
	l.Set(func(s *Settings) { s.WorkspacePassword = false })
	login(l.ClientID, l.bearer, "28P01", "password authentication failed")
}
