package exchange

import (
	"context"
	"net/http"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// Endpoint is a compute's address and state, as the workspace gives them
// (databricks-sdk-go service/postgres and service/database). Hosts are not
// checked here, and are empty while the endpoint has none.
type Endpoint struct {
	Name         string // projects/P/branches/B/endpoints/E, or instances/NAME
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
		return Endpoint{}, c.fail(r, &Error{Kind: KindEndpointMalformed, Message: "not sent: the name is neither projects/P/branches/B/endpoints/E nor an instance's"})
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

func readEndpoint(body []byte) (Endpoint, *Error) {
	var w struct {
		Name   string `json:"name"`
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
	if e := decode(body, &w); e != nil {
		return Endpoint{}, e
	}
	if w.Status == nil {
		return Endpoint{}, &Error{Kind: KindBadReply, Message: "it has no status"}
	}
	return Endpoint{
		Name: w.Name, State: w.Status.CurrentState, Type: w.Status.EndpointType, Disabled: w.Status.Disabled,
		Host: w.Status.Hosts.Host, ReadOnlyHost: w.Status.Hosts.ReadOnlyHost, PooledHost: w.Status.Hosts.ReadWritePooledHost,
	}, nil
}

// isResource keeps a name from leaving its place in the path.
func isResource(name string) bool {
	parts := strings.Split(name, "/")
	if len(parts) != 6 || parts[0] != "projects" || parts[2] != "branches" || parts[4] != "endpoints" {
		return false
	}
	for _, p := range parts {
		if !isSegment(p) {
			return false
		}
	}
	return true
}

// isSegment says whether s is one part of a path, and needs no escape there.
func isSegment(s string) bool {
	return s != "" && s != "." && s != ".." && printable(s) && !strings.ContainsAny(s, `\%?# `)
}
