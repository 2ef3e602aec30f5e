package exchange

import (
	"context"
	"fmt"
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

// ask makes one of the four calls.
func ask(call Call, ctx context.Context, c *Client) (err error) {
	switch call {
	case CallPrincipal:
		_, err = c.Principal(ctx, bearer)
	case CallListSecrets:
		_, err = c.ClientSecrets(ctx, bearer, "41")
	case CallCreateSecret:
		_, _, err = c.CreateClientSecret(ctx, bearer, "41", 0)
	case CallDeleteSecret:
		err = c.DeleteClientSecret(ctx, bearer, "41", "s-1")
	}
	return err
}

func TestWhatTheWorkspaceAnswersAboutSecrets(t *testing.T) {
	for _, tc := range []struct {
		name   string
		call   Call
		status int
		body   string
		kind   Kind
		again  bool
		acted  bool
	}{
		{"no such secret", CallDeleteSecret, 404, `{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"no"}`, KindSecretNotFound, false, false},
		{"no such principal", CallListSecrets, 404, `{"error_code":"NOT_FOUND","message":"no"}`, KindSecretNotFound, false, false},
		{"no such API", CallListSecrets, 404, `{"error_code":"ENDPOINT_NOT_FOUND","message":"no"}`, KindRefused, false, false},
		{"denied", CallCreateSecret, 403, `{"error_code":"PERMISSION_DENIED","message":"no"}`, KindPermissionDenied, false, false},
		{"five", CallCreateSecret, 400, `{"error_code":"RESOURCE_LIMIT_EXCEEDED","message":"no"}`, KindTooManySecrets, false, false},
		{"a quota elsewhere", CallListSecrets, 400, `{"error_code":"QUOTA_EXCEEDED","message":"no"}`, KindRefused, false, false},
		{"lifetime", CallCreateSecret, 400, `{"error_code":"INVALID_PARAMETER_VALUE","message":"lifetime"}`, KindRefused, false, false},
		{"bearer", CallPrincipal, 401, `{"error_code":"UNAUTHENTICATED","message":"no"}`, KindBearerRefused, false, false},
		{"rate", CallCreateSecret, 429, `{"error_code":"RESOURCE_EXHAUSTED","message":"later"}`, KindRateLimited, true, false},
		{"503", CallCreateSecret, 503, ``, KindUnavailable, true, true},
		{"500", CallCreateSecret, 500, ``, KindServerError, false, true},
		{"a page", CallCreateSecret, 200, `<html>`, KindNotJSON, false, true},
		{"cut short", CallCreateSecret, 200, made, KindBroken, true, true},
		{"no secret", CallCreateSecret, 200, `{"id":"x"}`, KindBadReply, false, true},
		{"no id", CallCreateSecret, 200, `{"secret":"dose-very-new-secret"}`, KindBadReply, false, true},
		{"an id that leaves its place", CallListSecrets, 200, `{"secrets":[{"id":"../x"}]}`, KindBadReply, false, true},
		{"no end", CallListSecrets, 200, `{"secrets":[{"id":"x"}],"next_page_token":"again"}`, KindTooLarge, false, true},
		{"nobody", CallPrincipal, 200, `{"id":""}`, KindBadReply, false, true},
		{"somebody else's path", CallPrincipal, 200, `{"id":"41/x"}`, KindBadReply, false, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorkspace(t, false, says(tc.status, tc.body))
			e := wants(t, ask(tc.call, soon(t), w.client(t)), tc.kind, tc.again)
			if e.MayHaveApplied() != tc.acted || e.Call != tc.call {
				t.Errorf("acted %v, want %v: %v", e.MayHaveApplied(), tc.acted, e)
			}
			if strings.Contains(fmt.Sprintf("%+v %v", e, e), "very-new") {
				t.Errorf("the new secret is in %v", e)
			}
		})
	}
}

// What was given once is hidden in every later answer, and so is a secret that
// stands in a refusal by mistake.
func TestNewSecretIsHidden(t *testing.T) {
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

func TestIDsThatAreNotSent(t *testing.T) {
	w := newWorkspace(t, false, says(200, "{}"))
	c := w.client(t)
	for _, id := range []string{"", ".", "..", "a/b", "a?b", "a%2fb", "a b", "é", strings.Repeat("a", 129)} {
		wants(t, c.DeleteClientSecret(soon(t), bearer, "41", id), KindSecretNotFound, false)
		wants(t, c.DeleteClientSecret(soon(t), bearer, id, "s"), KindSecretNotFound, false)
	}
	if len(w.seen) != 0 {
		t.Errorf("%d requests were sent", len(w.seen))
	}
	if err := c.DeleteClientSecret(soon(t), bearer, "41", "8c1f0a52-0000_x.y=~"); err != nil {
		t.Error(err)
	}
}
