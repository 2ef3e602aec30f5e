package exchange

import (
	"cmp"
	"context"
	"net/http"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// Endpoint is a compute's address and state (databricks-sdk-go service/postgres and
// service/database). Hosts are not checked, and are empty while the endpoint has none.
type Endpoint struct {
	Name string // projects/P/branches/B/endpoints/E, or instances/NAME
	UID  string // ep-…, the first label of its host; empty for an instance
	Host string

	ReadOnlyHost, PooledHost, ReadOnlyPooledHost string

	State    string // ACTIVE, IDLE, INIT, DEGRADED; an instance's AVAILABLE, STARTING, STOPPED, UPDATING, FAILING_OVER, DELETING
	Type     string // ENDPOINT_TYPE_READ_WRITE, ENDPOINT_TYPE_READ_ONLY
	Disabled bool   // a login does not resume it
}

// Project holds branches (databricks-sdk-go service/postgres). A display name may
// hold any character: escape it before showing it.
type Project struct {
	Name        string // projects/P
	DisplayName string
}

// Branch is a branch of a project.
type Branch struct {
	Name    string // projects/P/branches/B
	UID     string // br-…
	State   string // INIT, READY, IMPORTING, RESETTING, ARCHIVED, DELETED
	Default bool
}

// UnusableKind returns why the endpoint accepts no login, as an Error's Kind, or
// nothing. An instance that is starting is left to the login.
func (e Endpoint) UnusableKind() Kind {
	if e.Disabled {
		return KindEndpointDisabled
	}
	return map[string]Kind{"STOPPED": KindInstanceStopped, "FAILING_OVER": KindInstanceFailingOver, "DELETING": KindInstanceDeleting}[e.State]
}

// Endpoint requests a target: the endpoint projects/P/branches/B/endpoints/E, or
// instances/NAME of Lakebase Provisioned. Other names are not sent.
func (c *Client) Endpoint(ctx context.Context, bearer credential.Secret, name string) (Endpoint, error) {
	if instance, ok := strings.CutPrefix(name, credential.InstancePrefix); ok {
		return c.instance(ctx, bearer, instance)
	}
	r := c.apiRequest(CallEndpoint, http.MethodGet, postgresPath+name, bearer)
	r.require(isName(name, "projects", "branches", "endpoints"), KindEndpointMalformed, "the name is not projects/P/branches/B/endpoints/E")
	var w wireResource
	if failed := c.doJSON(ctx, r, &w); failed != nil {
		return Endpoint{}, failed
	}
	if w.Status == nil {
		return Endpoint{}, c.badReply(r, "it has no status")
	}
	w.Name = cmp.Or(w.Name, name)
	return w.endpoint(), nil
}

// instance requests an instance of Lakebase Provisioned.
func (c *Client) instance(ctx context.Context, bearer credential.Secret, name string) (Endpoint, error) {
	r := c.apiRequest(CallInstance, http.MethodGet, "/api/2.0/database/instances/"+name, bearer)
	r.require(isSegment(name), KindEndpointMalformed, "the name is not an instance's")
	var w struct {
		State            string `json:"state"`
		ReadWriteDNS     string `json:"read_write_dns"`
		ReadOnlyDNS      string `json:"read_only_dns"`
		EffectiveStopped bool   `json:"effective_stopped"`
	}
	if failed := c.doJSON(ctx, r, &w); failed != nil {
		return Endpoint{}, failed
	}
	if w.State == "" && w.ReadWriteDNS == "" {
		return Endpoint{}, c.badReply(r, "it has neither state nor read_write_dns")
	}
	if w.EffectiveStopped && w.State != "STARTING" && w.State != "DELETING" {
		w.State = "STOPPED"
	}
	return Endpoint{Name: credential.InstancePrefix + name, State: w.State, Host: w.ReadWriteDNS, ReadOnlyHost: w.ReadOnlyDNS}, nil
}

// Projects lists the projects that the bearer may see.
func (c *Client) Projects(ctx context.Context, bearer credential.Secret) ([]Project, error) {
	return children(ctx, c, CallProjects, bearer, "", func(w wireResource) Project {
		// Not escaped: emoji need format characters.
		name := strings.Join(strings.Fields(string(w.Status.DisplayName)), " ")
		return Project{Name: w.Name, DisplayName: sanitize.Truncate(name, sanitize.MaxLine)}
	})
}

// Branches lists the branches of a project, projects/P.
func (c *Client) Branches(ctx context.Context, bearer credential.Secret, project string) ([]Branch, error) {
	return children(ctx, c, CallBranches, bearer, project, func(w wireResource) Branch {
		return Branch{Name: w.Name, UID: sanitize.Line(string(w.UID)), State: sanitize.Line(w.Status.CurrentState), Default: w.Status.Default}
	})
}

// Endpoints lists the endpoints of a branch, projects/P/branches/B.
func (c *Client) Endpoints(ctx context.Context, bearer credential.Secret, branch string) ([]Endpoint, error) {
	return children(ctx, c, CallEndpoints, bearer, branch, wireResource.endpoint)
}

const postgresPath = "/api/2.0/postgres/"

// wireResource is a project, a branch or an endpoint.
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

func (w wireResource) endpoint() Endpoint {
	s := w.Status
	return Endpoint{Name: w.Name, UID: sanitize.Line(string(w.UID)), State: s.CurrentState, Type: s.EndpointType, Disabled: s.Disabled,
		Host: s.Hosts.Host, ReadOnlyHost: s.Hosts.ReadOnlyHost, PooledHost: s.Hosts.ReadWritePooledHost,
		ReadOnlyPooledHost: s.Hosts.ReadOnlyPooledHost}
}

// children lists the children of parent: the projects, the branches of a project or
// the endpoints of a branch. Each must have a name that can be requested.
func children[T any](ctx context.Context, c *Client, call Call, bearer credential.Secret, parent string, convert func(wireResource) T) ([]T, error) {
	kinds := []string{"projects", "branches", "endpoints"}[:1+map[Call]int{CallBranches: 1, CallEndpoints: 2}[call]]
	kind, above := kinds[len(kinds)-1], kinds[:len(kinds)-1]
	r := c.apiRequest(call, http.MethodGet, postgresPath+strings.TrimPrefix(parent+"/"+kind, "/"), bearer)
	r.require(call == CallProjects || isName(parent, above...), KindEndpointMalformed, "the name is not that of a project or branch")
	r.url.RawQuery = "page_size=100" // the API's maximum (databricks-sdk-go service/postgres)
	return list(ctx, c, r, kind, func(w wireResource) (v T, ok bool) {
		if w.Status == nil {
			w.Status = &wireStatus{}
		}
		return convert(w), isName(w.Name, kinds...)
	})
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
