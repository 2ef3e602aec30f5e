package exchange

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// Endpoint is a compute's address and state (databricks-sdk-go service/postgres and
// service/database). Hosts are not checked, and are empty while the endpoint has none.
type Endpoint struct {
	Name         string // projects/P/branches/B/endpoints/E, or instances/NAME
	UID          string // ep-…, the first label of its host; empty for an instance
	Host         string
	ReadOnlyHost string
	PooledHost   string
	State        string // ACTIVE, IDLE, INIT, DEGRADED; an instance's AVAILABLE, STARTING, STOPPED, UPDATING, FAILING_OVER, DELETING
	Type         string // ENDPOINT_TYPE_READ_WRITE, ENDPOINT_TYPE_READ_ONLY
	Disabled     bool   // a login does not resume it
}

// Project holds branches (databricks-sdk-go service/postgres). A display name may
// hold any character: escape it before showing it.
type Project struct {
	Name          string // projects/P
	UID           string
	DisplayName   string
	DefaultBranch string // projects/P/branches/B; empty: unknown
}

// Branch is a branch of a project.
type Branch struct {
	Name     string // projects/P/branches/B
	UID      string // br-…
	State    string // INIT, READY, IMPORTING, RESETTING, ARCHIVED, DELETED
	Default  bool
	Archived bool
}

// UnusableKind returns why the endpoint accepts no login, as an Error's Kind, or
// nothing. An instance that is starting is left to the login.
func (e Endpoint) UnusableKind() Kind {
	switch {
	case e.Disabled:
		return KindEndpointDisabled
	case e.State == "STOPPED":
		return KindInstanceStopped
	case e.State == "FAILING_OVER":
		return KindInstanceFailingOver
	case e.State == "DELETING":
		return KindInstanceDeleting
	}
	return ""
}

// Endpoint requests a target: the endpoint projects/P/branches/B/endpoints/E, or
// instances/NAME of Lakebase Provisioned. Other names are not sent.
func (c *Client) Endpoint(ctx context.Context, bearer credential.Secret, name string) (Endpoint, error) {
	if instance, ok := strings.CutPrefix(name, credential.InstancePrefix); ok {
		return c.instance(ctx, bearer, instance)
	}
	r := c.apiRequest(CallEndpoint, http.MethodGet, postgresPath+name, bearer)
	if !isName(name, levels...) {
		return Endpoint{}, c.badName(r)
	}
	var w wireEndpoint
	if failed := c.doJSON(ctx, r, &w); failed != nil {
		return Endpoint{}, failed
	}
	if w.Status == nil {
		return Endpoint{}, c.badReply(r, "it has no status")
	}
	e := w.endpoint()
	if e.Name == "" {
		e.Name = name
	}
	return e, nil
}

func (c *Client) badName(r request) *Error {
	return c.notSent(r, KindEndpointMalformed, "the name is neither projects/P/branches/B/endpoints/E nor an instance's")
}

// instance requests an instance of Lakebase Provisioned.
func (c *Client) instance(ctx context.Context, bearer credential.Secret, name string) (Endpoint, error) {
	r := c.apiRequest(CallInstance, http.MethodGet, "/api/2.0/database/instances/"+name, bearer)
	if strings.Contains(name, "/") || !isSegment(name) {
		return Endpoint{}, c.badName(r)
	}
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
	return list(ctx, c, CallProjects, bearer, "", func(w wireResource) Project {
		p := Project{Name: w.Name, UID: sanitize.Line(string(w.UID)), DefaultBranch: string(w.Status.DefaultBranch)}
		// Not escaped: emoji need format characters.
		p.DisplayName = sanitize.Truncate(strings.Join(strings.Fields(string(w.Status.DisplayName)), " "), sanitize.MaxLine)
		if isSegment(p.DefaultBranch) && !strings.Contains(p.DefaultBranch, "/") {
			p.DefaultBranch = p.Name + "/branches/" + p.DefaultBranch
		}
		if !isName(p.DefaultBranch, levels[:2]...) {
			p.DefaultBranch = ""
		}
		return p
	})
}

// Branches lists the branches of a project, projects/P.
func (c *Client) Branches(ctx context.Context, bearer credential.Secret, project string) ([]Branch, error) {
	return list(ctx, c, CallBranches, bearer, project, func(w wireResource) Branch {
		state := sanitize.Line(string(w.Status.CurrentState))
		return Branch{Name: w.Name, UID: sanitize.Line(string(w.UID)), State: state, Default: w.Status.Default, Archived: state == "ARCHIVED"}
	})
}

// Endpoints lists the endpoints of a branch, projects/P/branches/B.
func (c *Client) Endpoints(ctx context.Context, bearer credential.Secret, branch string) ([]Endpoint, error) {
	return list(ctx, c, CallEndpoints, bearer, branch, wireEndpoint.endpoint)
}

const postgresPath = "/api/2.0/postgres/"

// levels are the kinds of resources, from the top.
var levels = []string{"projects", "branches", "endpoints"}

// wireResource is a project or a branch. Types are not trusted.
type wireResource struct {
	Name   string     `json:"name"`
	UID    flexString `json:"uid"`
	Status struct {
		DisplayName   flexString `json:"display_name"`
		DefaultBranch flexString `json:"default_branch"`
		CurrentState  flexString `json:"current_state"`
		Default       bool       `json:"default"`
	} `json:"status"`
}

// wireEndpoint is databricks-sdk-go service/postgres, Endpoint.
type wireEndpoint struct {
	Name   string     `json:"name"`
	UID    flexString `json:"uid"`
	Status *struct {
		CurrentState string `json:"current_state"`
		EndpointType string `json:"endpoint_type"`
		Disabled     bool   `json:"disabled"`
		Hosts        struct {
			Host                string `json:"host"`
			ReadOnlyHost        string `json:"read_only_host"`
			ReadWritePooledHost string `json:"read_write_pooled_host"`
		} `json:"hosts"`
	} `json:"status"`
}

func (w wireResource) name() string { return w.Name }
func (w wireEndpoint) name() string { return w.Name }

func (w wireEndpoint) endpoint() Endpoint {
	e := Endpoint{Name: w.Name, UID: sanitize.Line(string(w.UID))}
	if s := w.Status; s != nil {
		e.State, e.Type, e.Disabled = s.CurrentState, s.EndpointType, s.Disabled
		e.Host, e.ReadOnlyHost, e.PooledHost = s.Hosts.Host, s.Hosts.ReadOnlyHost, s.Hosts.ReadWritePooledHost
	}
	return e
}

// list requests the children of parent. Each must have a name that can be requested.
func list[W interface{ name() string }, T any](ctx context.Context, c *Client, call Call, bearer credential.Secret, parent string, convert func(W) T) ([]T, error) {
	path, depth := postgresPath, map[Call]int{CallProjects: 0, CallBranches: 1, CallEndpoints: 2}[call]
	if depth > 0 {
		path += parent + "/"
	}
	r := c.apiRequest(call, http.MethodGet, path+levels[depth], bearer)
	if depth > 0 && !isName(parent, levels[:depth]...) {
		return nil, c.notSent(r, KindEndpointMalformed, "the name is not "+strings.Join([]string{"projects/P", "branches/B"}[:depth], "/"))
	}
	r.query = url.Values{"page_size": {pageSize}}
	var out []T
	failed := c.pages(ctx, r, func(body []byte) (string, *Error) {
		var page struct {
			Projects      []W    `json:"projects"`
			Branches      []W    `json:"branches"`
			Endpoints     []W    `json:"endpoints"`
			NextPageToken string `json:"next_page_token"`
		}
		if failed := decode(body, &page); failed != nil {
			return "", failed
		}
		for _, w := range [][]W{page.Projects, page.Branches, page.Endpoints}[depth] {
			if !isName(w.name(), levels[:depth+1]...) {
				return "", &Error{Kind: KindBadReply, Message: "an element of the list has no valid name"}
			}
			out = append(out, convert(w))
		}
		return page.NextPageToken, nil
	})
	if failed != nil {
		return nil, failed
	}
	return out, nil
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
	return s != "" && s != "." && s != ".." && isPrintable(s) && !strings.ContainsAny(s, `\%?# `)
}

// newUUID returns a random UUID (RFC 9562, version 4).
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, since Go 1.24
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
