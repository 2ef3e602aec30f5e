package exchange

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

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

// What was given once is hidden in every later answer, and so is a secret that
// stands in a refusal by mistake.
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
