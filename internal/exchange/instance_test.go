package exchange

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

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

// A refusal whose body is cut short because the caller has given up is no word of
// the workspace's.
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
