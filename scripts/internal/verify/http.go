package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// answer is what the workspace says to one call.
type answer struct {
	status int
	date   time.Time
	body   []byte
	kind   string // its Content-Type
}

// maxAnswer bounds what is read of one.
const maxAnswer = 1 << 20

// call makes one; a body that is a url.Values is a form, any other JSON.
func (r *road) call(ctx context.Context, method, path string, bearer credential.Secret, body any) (answer, error) {
	var text, kind string
	switch b := body.(type) {
	case nil:
	case url.Values:
		text, kind = b.Encode(), "application/x-www-form-urlencoded"
	default:
		data, err := json.Marshal(b)
		if err != nil {
			return answer{}, err
		}
		text, kind = string(data), "application/json"
	}
	req, err := http.NewRequestWithContext(ctx, method, r.conf.Workspace.Value.URL()+path, strings.NewReader(text))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("User-Agent", "lakebase-exec-verify")
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	if id := r.conf.Workspace.Value.WorkspaceID; id != "" {
		req.Header.Set("X-Databricks-Workspace-Id", id)
	}
	if !bearer.IsZero() {
		req.Header.Set("Authorization", "Bearer "+bearer.Reveal())
	}
	return r.send(req)
}

func (r *road) send(req *http.Request) (answer, error) {
	resp, err := r.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	date, _ := http.ParseTime(resp.Header.Get("Date"))
	return answer{resp.StatusCode, date, body, resp.Header.Get("Content-Type")}, err
}

// signIn asks the token endpoint for a scope, with a secret.
func (r *road) signIn(ctx context.Context, secret credential.Secret, scope string) (answer, error) {
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {scope}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.conf.Workspace.Value.URL()+"/oidc/v1/token", strings.NewReader(form.Encode()))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(r.conf.ClientID.Value, secret.Reveal())
	return r.send(req)
}

// field is a string of the answer's JSON; a value of another type as it stands.
func (a answer) field(name string) string {
	var all map[string]json.RawMessage
	if json.Unmarshal(a.body, &all) != nil {
		return ""
	}
	var s string
	if json.Unmarshal(all[name], &s) == nil {
		return s
	}
	return string(all[name])
}

// said is the answer without what is not known to be harmless: its status, and the
// fields in which errors are told.
func (a answer) said() string {
	text := fmt.Sprintf("HTTP %d", a.status)
	for _, name := range []string{"error", "error_code", "error_description", "message", "detail"} {
		if v := a.field(name); v != "" {
			text += " " + name + "=" + v
		}
	}
	if a.status >= 400 && a.field("error")+a.field("error_code") == "" {
		text += " (" + a.kind + ")"
	}
	return text
}

// lost is the verdict on a call that got no answer.
func lost(err error) (string, verdict) { return err.Error(), unseen }

const noSignIn = "the sign-in failed"
