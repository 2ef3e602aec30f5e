package emulator

import (
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// withHeader sets a header where the request has none.
type withHeader struct {
	http.RoundTripper
	name, value string
}

func (h withHeader) RoundTrip(r *http.Request) (*http.Response, error) {
	if r = r.Clone(r.Context()); r.Header.Get(h.name) == "" {
		r.Header.Set(h.name, h.value)
	}
	return h.RoundTripper.RoundTrip(r)
}

func TestCatalog(t *testing.T) {
	t.Parallel()
	l, c := apiOnly(t)
	get := func(path string) answer {
		t.Helper()
		a, err := call(t, c, l, "GET", resourcesPath+path, l.PAT(), "")
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	status := func(path string) map[string]any {
		t.Helper()
		s, ok := get(path).body["status"].(map[string]any)
		if !ok {
			t.Fatalf("%s is not there", path)
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
			t.Errorf("%q was taken", name)
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
	if p := status("projects/lab"); p["default_branch"] != "projects/lab/branches/main" {
		t.Errorf("%+v", p)
	}
	if p, e := status("projects/shop"), status("projects/empty"); p["default_branch"] != "projects/shop/branches/production" || e["default_branch"] != "" {
		t.Errorf("%+v %+v", p, e)
	}
	if old, dev, main := status("projects/shop/branches/old"), status("projects/shop/branches/dev"), status("projects/lab/branches/main"); old["current_state"] != "ARCHIVED" || dev["current_state"] != "READY" || dev["default"] != false || main["default"] != true {
		t.Errorf("%+v %+v %+v", old, dev, main)
	}
	if r, p := status("projects/lab/branches/main/endpoints/reader"), status(Endpoint); r["disabled"] != true || r["endpoint_type"] != "ENDPOINT_TYPE_READ_ONLY" || r["hosts"].(map[string]any)["host"] != "127.0.0.1" || p["disabled"] != false {
		t.Errorf("%+v %+v", r, p)
	}
	for name, form := range map[string]string{Endpoint: `^ep-[a-z]+-[a-z]+-[0-9a-f]{8}$`, "projects/shop/branches/dev": `^br-[a-z]+-[a-z]+-[0-9a-f]{8}$`, "projects/lab": `^[0-9a-f]{8}-[0-9a-f]{4}-`} {
		uid, _ := get(name).body["uid"].(string)
		if !regexp.MustCompile(form).MatchString(uid) || uid != UID(name) {
			t.Errorf("%s has uid %q", name, uid)
		}
		if a := get(name[:strings.LastIndexByte(name, '/')+1] + uid); a.status != 404 {
			t.Errorf("%s by its uid: %+v", name, a)
		}
	}
	if err := l.Remove("projects/lab"); err != nil || len(l.Resources()) != 6 || get("projects/lab/branches/main").status != 404 {
		t.Errorf("%v, %d are left", err, len(l.Resources()))
	}
	if err := l.Remove("projects/lab"); err == nil {
		t.Error("removed twice")
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	l, c := apiOnly(t)
	for i := range 7 {
		if err := l.AddEndpoint("shop", "b"+strconv.Itoa(i), "e"); err != nil {
			t.Fatal(err)
		}
	}
	list := func(path, token string) answer {
		t.Helper()
		a, err := call(t, c, l, "GET", resourcesPath+path+"&page_token="+url.QueryEscape(token), l.PAT(), "")
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	walk := func(path string) (names []string, pages int) {
		t.Helper()
		for token := ""; pages < 20; {
			a := list(path, token)
			items, _ := a.body["branches"].([]any)
			for _, i := range items {
				names = append(names, i.(map[string]any)["branch_id"].(string))
			}
			pages++
			if token, _ = a.body["next_page_token"].(string); token == "" {
				return names, pages
			}
		}
		return names, pages
	}
	const path = "projects/shop/branches?page_size="
	all := []string{"production", "b0", "b1", "b2", "b3", "b4", "b5", "b6"}
	for size, want := range map[string]int{"": 1, "0": 1, "100": 1, "3": 3, "8": 1, "1": 8} {
		names, pages := walk(path + size)
		if diff := cmp.Diff(all, names); diff != "" || pages != want {
			t.Errorf("by %q: %d pages, %s", size, pages, diff)
		}
	}
	l.Set(func(s *Settings) { s.PageSize = 2 })
	if names, pages := walk(path + "100"); len(names) != 8 || pages != 4 {
		t.Errorf("%v in %d pages", names, pages)
	}
	foreign, _ := list(path, "").body["next_page_token"].(string)
	for name, a := range map[string]answer{"too big": list(path+"101", ""), "no number": list(path+"x", ""), "no token": list(path, "x"), "another list's": list("projects?x=", foreign)} {
		if a.status != 400 || a.body["error_code"] != "INVALID_PARAMETER_VALUE" {
			t.Errorf("%s: %+v", name, a)
		}
	}
	if a := list("projects/none/branches?", ""); a.status != 404 {
		t.Errorf("%+v", a)
	}
	if n := l.Counters().ByCall; n[CallProjects] != 1 || n[CallEndpoint] != 0 || n[CallBranches] < 20 {
		t.Errorf("%+v", n)
	}
}

// A token for a disabled endpoint opens nothing; with no other endpoint, nobody
// is even asked for one. An address that is not allowed comes no further.
func TestBarred(t *testing.T) {
	t.Parallel()
	l := begin(t, Options{})
	in := func(endpoint string) error {
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
	wantState(t, in(other), "XX000", UID(other)+": endpoint is disabled")
	if err := in(Endpoint); err != nil {
		t.Error(err)
	}
	l.Set(func(s *Settings) { s.IPNotAllowed = true })
	wantState(t, in(Endpoint), "XX000", "This IP address 127.0.0.1 is not allowed")
	l.Set(func(s *Settings) { s.IPNotAllowed = false })
	if err := l.Put(Resource{Name: Endpoint, Disabled: true}); err != nil {
		t.Fatal(err)
	}
	if err := l.Suspend(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantState(t, in(""), "XX000", UID(Endpoint)+": endpoint is disabled")
	if l.State() != Suspended {
		t.Error("a disabled endpoint woke")
	}
}
