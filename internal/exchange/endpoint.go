package exchange

import (
	"context"
	"net/http"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// Endpoint is a compute's address and state, as the workspace gives them
// (databricks-sdk-go service/postgres and service/database). Hosts are not
// checked here, and are empty while the endpoint has none.
type Endpoint struct {
	Name         string // projects/P/branches/B/endpoints/E, or instances/NAME
	UID          string // ep-…, the first label of its host; empty for an instance
	Host         string
	ReadOnlyHost string
	PooledHost   string
	State        string // ACTIVE, IDLE, INIT, DEGRADED; an instance's AVAILABLE, STARTING, STOPPED, UPDATING, FAILING_OVER, DELETING
	Type         string // ENDPOINT_TYPE_READ_WRITE, ENDPOINT_TYPE_READ_ONLY
	Disabled     bool   // no login can wake it
}

// Endpoint asks for a target: the endpoint projects/P/branches/B/endpoints/E, or
// instances/NAME of Lakebase Provisioned. A name that is neither is not sent. The
// error is an *Error.
func (c *Client) Endpoint(ctx context.Context, bearer credential.Secret, name string) (Endpoint, error) {
	r, sound, read := c.api(CallEndpoint, http.MethodGet, "/api/2.0/postgres/"+name, bearer), isResource(name), readEndpoint
	if instance, ok := instanceName(name); ok {
		r, sound, read = c.api(CallInstance, http.MethodGet, instancesPath+instance, bearer), isInstance(instance), readInstance
	}
	if !sound {
		return Endpoint{}, c.notSent(r, KindEndpointMalformed, "the name is neither projects/P/branches/B/endpoints/E nor an instance's")
	}
	rep, failed := c.callAPI(ctx, r, bearer)
	if failed != nil {
		return Endpoint{}, failed
	}
	e, failed := read(rep.body)
	if failed != nil {
		return Endpoint{}, c.fail(r, failed)
	}
	if e.Name == "" {
		e.Name = name
	}
	return e, nil
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

func readEndpoint(body []byte) (Endpoint, *Error) {
	var w wireEndpoint
	if e := decode(body, &w); e != nil {
		return Endpoint{}, e
	}
	if w.Status == nil {
		return Endpoint{}, &Error{Kind: KindBadReply, Message: "it has no status"}
	}
	return w.described(), nil
}

func (w wireEndpoint) described() Endpoint {
	e := Endpoint{Name: w.Name, UID: sanitize.Line(string(w.UID))}
	if s := w.Status; s != nil {
		e.State, e.Type, e.Disabled = s.CurrentState, s.EndpointType, s.Disabled
		e.Host, e.ReadOnlyHost, e.PooledHost = s.Hosts.Host, s.Hosts.ReadOnlyHost, s.Hosts.ReadWritePooledHost
	}
	return e
}

// isResource keeps a name from leaving its place in the path.
func isResource(name string) bool { return isName(name, "projects", "branches", "endpoints") }

// isName says whether name is kind/ID for each kind in turn.
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

// isSegment says whether s is one part of a path, and needs no escape there.
func isSegment(s string) bool {
	return s != "" && s != "." && s != ".." && printable(s) && !strings.ContainsAny(s, `\%?# `)
}
