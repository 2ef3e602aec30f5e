package exchange

import (
	"cmp"
	"context"
	"net/http"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// Resource is a project, a branch, an endpoint, or an instance of Lakebase Provisioned, with
// the fields that it has (databricks-sdk-go service/postgres and service/database). Its
// texts are not checked, but for the name.
type Resource struct {
	Name        string // projects/P[/branches/B[/endpoints/E]], or instances/NAME
	UID         string // br-…, or ep-…, the first label of its host; empty for an instance
	DisplayName string // of a project; it may hold any character
	Default     bool   // of a branch

	// State is that of a branch (INIT, READY, IMPORTING, RESETTING, ARCHIVED, DELETED), an
	// endpoint (ACTIVE, IDLE, INIT, DEGRADED) or an instance (AVAILABLE, STARTING, STOPPED,
	// UPDATING, FAILING_OVER, DELETING).
	State    string
	Type     string // of an endpoint: ENDPOINT_TYPE_READ_WRITE, ENDPOINT_TYPE_READ_ONLY
	Disabled bool   // of an endpoint: a login does not resume it

	Host, ReadOnlyHost, PooledHost, ReadOnlyPooledHost string // empty while there is none
}

// UnusableKind returns why an endpoint or instance accepts no login, as an Error's Kind, or
// nothing. An instance that is starting is left to the login.
func (e Resource) UnusableKind() Kind {
	if e.Disabled {
		return KindEndpointDisabled
	}
	return unusable[e.State]
}

// unusable are the states of an instance in which it accepts no login.
var unusable = map[string]Kind{
	"STOPPED": KindInstanceStopped, "FAILING_OVER": KindInstanceFailingOver, "DELETING": KindInstanceDeleting,
}

// Endpoint requests a target: the endpoint projects/P/branches/B/endpoints/E, or
// instances/NAME of Lakebase Provisioned.
func (c *Client) Endpoint(ctx context.Context, bearer credential.Secret, name string) (Resource, error) {
	if instance, ok := strings.CutPrefix(name, credential.InstancePrefix); ok {
		return c.instance(ctx, bearer, instance)
	}
	r := c.apiRequest(CallEndpoint, http.MethodGet, postgresPath+name, bearer, nil)
	var w wireResource
	if _, failed := c.do(ctx, r, &w); failed != nil {
		return Resource{}, failed
	}
	if w.Status == nil {
		return Resource{}, c.badReply(r, "it has no status")
	}
	w.Name = cmp.Or(w.Name, name)
	return w.resource(), nil
}

// instance requests an instance of Lakebase Provisioned.
func (c *Client) instance(ctx context.Context, bearer credential.Secret, name string) (Resource, error) {
	r := c.apiRequest(CallInstance, http.MethodGet, "/api/2.0/database/instances/"+name, bearer, nil)
	var w struct {
		State            string `json:"state"`
		ReadWriteDNS     string `json:"read_write_dns"`
		ReadOnlyDNS      string `json:"read_only_dns"`
		EffectiveStopped bool   `json:"effective_stopped"`
	}
	if _, failed := c.do(ctx, r, &w); failed != nil {
		return Resource{}, failed
	}
	if w.State == "" && w.ReadWriteDNS == "" {
		return Resource{}, c.badReply(r, "it has neither state nor read_write_dns")
	}
	if w.EffectiveStopped && w.State != "STARTING" && w.State != "DELETING" {
		w.State = "STOPPED"
	}
	return Resource{Name: credential.InstancePrefix + name, State: w.State, Host: w.ReadWriteDNS, ReadOnlyHost: w.ReadOnlyDNS}, nil
}

// List lists the projects, the branches of a project, or the endpoints of a branch: parent
// is empty, projects/P or projects/P/branches/B.
func (c *Client) List(ctx context.Context, bearer credential.Secret, parent string) ([]Resource, error) {
	kinds := []string{"projects", "branches", "endpoints"}
	depth := min((strings.Count(parent, "/")+1)/2, 2)
	r := c.apiRequest(CallList, http.MethodGet, postgresPath+strings.TrimPrefix(parent+"/"+kinds[depth], "/"), bearer, nil)
	r.URL.RawQuery = "page_size=100" // the API's maximum (databricks-sdk-go service/postgres)
	return list(ctx, c, r, kinds[depth], func(w wireResource) (Resource, bool) {
		return w.resource(), isName(w.Name, kinds[:depth+1]...)
	})
}

const postgresPath = "/api/2.0/postgres/"

type wireResource struct {
	Name   string      `json:"name"`
	UID    flexString  `json:"uid"`
	Status *wireStatus `json:"status"`
}

type wireStatus struct {
	DisplayName  flexString `json:"display_name"` // of a project
	Default      bool       `json:"default"`      // of a branch
	CurrentState string     `json:"current_state"`
	EndpointType string     `json:"endpoint_type"`
	Disabled     bool       `json:"disabled"`
	Hosts        struct {
		Host                string `json:"host"`
		ReadOnlyHost        string `json:"read_only_host"`
		ReadWritePooledHost string `json:"read_write_pooled_host"`
		ReadOnlyPooledHost  string `json:"read_only_pooled_host"`
	} `json:"hosts"`
}

func (w wireResource) resource() Resource {
	s := w.Status
	if s == nil {
		s = &wireStatus{}
	}
	return Resource{Name: w.Name, UID: string(w.UID), DisplayName: strings.Join(strings.Fields(string(s.DisplayName)), " "), Default: s.Default,
		State: s.CurrentState, Type: s.EndpointType, Disabled: s.Disabled, Host: s.Hosts.Host, ReadOnlyHost: s.Hosts.ReadOnlyHost,
		PooledHost: s.Hosts.ReadWritePooledHost, ReadOnlyPooledHost: s.Hosts.ReadOnlyPooledHost}
}

// isName reports whether name is kind/ID for each kind in turn.
func isName(name string, kinds ...string) bool {
	parts := strings.Split(name, "/")
	if len(parts) != 2*len(kinds) {
		return false
	}
	for i, kind := range kinds {
		if parts[2*i] != kind || !isSegment(parts[2*i+1]) {
			return false
		}
	}
	return true
}

// isSegment reports whether s is one segment of a path that needs no escape.
func isSegment(s string) bool {
	unsafe := func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune(`/\%?#`, c) }
	return s != "" && s != "." && s != ".." && len(s) <= 128 && !strings.ContainsFunc(s, unsafe)
}
