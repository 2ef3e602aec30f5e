package exchange

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// The discovery documents (databricks-sdk-go config/host_metadata.go, RFC 8414).
const (
	configDocument = "/.well-known/databricks-config"
	serverDocument = "/.well-known/oauth-authorization-server"
)

// maxAudiences bounds what is taken from a document.
const maxAudiences = 16

// Discovery is a host's own description. Its endpoints are https, and on exactly the
// host that was asked.
type Discovery struct {
	TokenEndpoint         string
	AuthorizationEndpoint string   // empty: not named
	Audiences             []string // for a workload's token; Audience selects one
	AccountID             string
	WorkspaceID           string
	HostType              string // workspace, account, unified
}

// Discover requests the host's token endpoint, unauthenticated. Plain workspace hosts
// do without; account and unified hosts have one for each account. An endpoint on
// another host is KindForeignHost, and nothing is sent there; Error.NoDocument reports
// a host without such documents.
func (c *Client) Discover(ctx context.Context) (Discovery, error) {
	r := request{call: CallDiscovery, method: http.MethodGet, path: configDocument}
	var w wireConfig
	if failed := c.doJSON(ctx, r, &w); failed != nil {
		return Discovery{}, failed
	}
	d := w.discovery()
	issuer, failed := c.issuer(w, &d)
	if failed != nil {
		return Discovery{}, c.fail(r, failed)
	}
	r.path = issuer + serverDocument
	var server struct {
		Authorization flexString `json:"authorization_endpoint"`
		Token         flexString `json:"token_endpoint"`
	}
	if failed := c.doJSON(ctx, r, &server); failed != nil {
		return Discovery{}, failed
	}
	if _, failed := c.ownPath("token_endpoint", string(server.Token)); failed != nil {
		return Discovery{}, c.fail(r, failed)
	}
	if server.Authorization != "" {
		if _, failed := c.ownPath("authorization_endpoint", string(server.Authorization)); failed != nil {
			return Discovery{}, c.fail(r, failed)
		}
	}
	d.TokenEndpoint, d.AuthorizationEndpoint = string(server.Token), string(server.Authorization)
	return d, nil
}

// issuer returns the path of the authorization server, and sets the account.
func (c *Client) issuer(w wireConfig, d *Discovery) (string, *Error) {
	switch {
	case c.accountID != "" && d.AccountID != "" && !strings.EqualFold(c.accountID, d.AccountID):
		return "", &Error{Kind: KindForeignHost, Message: "account_id is " + d.AccountID + ", want " + c.accountID}
	case c.accountID != "":
		d.AccountID = c.accountID
	case d.AccountID != "" && !isID(d.AccountID):
		return "", &Error{Kind: KindBadReply, Message: "invalid account_id"}
	}
	endpoint := string(w.OIDCEndpoint)
	switch {
	case endpoint != "":
	case d.AccountID != "" && (d.HostType == "account" || d.HostType == "unified"):
		endpoint = c.base.String() + "/oidc/accounts/{account_id}"
	default:
		endpoint = c.base.String() + "/oidc"
	}
	if strings.Contains(endpoint, "{account_id}") {
		if d.AccountID == "" {
			return "", &Error{Kind: KindBadReply, Message: "its oidc_endpoint needs an account ID, and it names none"}
		}
		endpoint = strings.ReplaceAll(endpoint, "{account_id}", d.AccountID)
	}
	path, failed := c.ownPath("oidc_endpoint", endpoint)
	return strings.TrimSuffix(path, "/"), failed
}

// ownPath returns the path of an endpoint that is https on this very host and port.
func (c *Client) ownPath(name, endpoint string) (string, *Error) {
	if endpoint == "" {
		return "", &Error{Kind: KindBadReply, Message: "it has no " + name}
	}
	port := func(u *url.URL) string {
		if p := u.Port(); p != "" {
			return p
		}
		return "443"
	}
	u, err := url.Parse(endpoint)
	switch {
	case err != nil || u.Opaque != "":
		return "", &Error{Kind: KindBadReply, Message: "its " + name + " is not a URL"}
	case u.Scheme != "https" || u.User != nil || !strings.EqualFold(u.Hostname(), c.base.Hostname()) || port(u) != port(&c.base):
		return "", &Error{Kind: KindForeignHost, Message: name + " is at " + u.Scheme + "://" + u.Host + ", not at " + c.base.String()}
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.RawPath != "" || !isPath(u.Path):
		return "", &Error{Kind: KindBadReply, Message: "its " + name + " is not a plain address"}
	}
	return u.Path, nil
}

// isPath reports whether p is empty, or absolute without escapes and dot segments.
func isPath(p string) bool {
	if p == "" || p == "/" {
		return true
	}
	rest, ok := strings.CutPrefix(p, "/")
	if !ok || len(p) > sanitize.MaxLine {
		return false
	}
	for _, s := range strings.Split(strings.TrimSuffix(rest, "/"), "/") {
		if !isSegment(s) {
			return false
		}
	}
	return true
}

// SetEndpoints has all later calls use the endpoints of d and, where none was
// configured, its workspace ID. Endpoints on other hosts are ignored: a Discovery may
// come from a file.
func (c *Client) SetEndpoints(d Discovery) {
	next := c.endpoints()
	if path, failed := c.ownPath("token_endpoint", d.TokenEndpoint); failed == nil {
		next.token = path
	}
	if path, failed := c.ownPath("authorization_endpoint", d.AuthorizationEndpoint); failed == nil {
		next.authorize = path
	}
	if next.workspaceID == "" && isID(d.WorkspaceID) {
		next.workspaceID = d.WorkspaceID
	}
	c.mu.Lock()
	c.paths = next
	c.mu.Unlock()
}

func (c *Client) endpoints() endpoints {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.paths
}

// Audience returns the audience that a workload's token for this host must have: the
// first of d that is this host's own, which is a URL on it or its account's ID. If d
// names none, it is the account ID of an account's host, else the token endpoint
// (databricks-sdk-go config/experimental/auth/oidc). A token for another audience
// could be used there in the job's name, so if d names only such audiences the error
// is KindForeignHost.
func (c *Client) Audience(d Discovery) (string, error) {
	for _, a := range d.Audiences {
		if _, failed := c.ownPath("audience", a); failed == nil || credential.IsUUID(a) && strings.EqualFold(a, d.AccountID) {
			return a, nil
		}
	}
	if len(d.Audiences) > 0 {
		return "", c.fail(request{call: CallDiscovery}, &Error{Kind: KindForeignHost, NotSent: true,
			Message: "the audience " + d.Audiences[0] + " is neither " + c.base.String() + " nor its account"})
	}
	if d.HostType == "account" && credential.IsUUID(d.AccountID) {
		return d.AccountID, nil
	}
	if _, failed := c.ownPath("token_endpoint", d.TokenEndpoint); failed == nil {
		return d.TokenEndpoint, nil
	}
	return c.base.String() + c.endpoints().token, nil
}

// wireConfig is databricks-sdk-go config, HostMetadata. Types are not trusted.
type wireConfig struct {
	OIDCEndpoint flexString      `json:"oidc_endpoint"`
	AccountID    flexString      `json:"account_id"`
	WorkspaceID  flexString      `json:"workspace_id"`
	HostType     flexString      `json:"host_type"`
	Audiences    json.RawMessage `json:"token_federation_default_oidc_audiences"`
}

func (w wireConfig) discovery() Discovery {
	// host_type is workspace or WORKSPACE_HOST.
	kind := strings.TrimSuffix(strings.ToLower(sanitize.Line(string(w.HostType))), "_host")
	d := Discovery{AccountID: sanitize.Line(string(w.AccountID)), WorkspaceID: sanitize.Line(string(w.WorkspaceID)), HostType: kind}
	var list []flexString
	_ = json.Unmarshal(w.Audiences, &list) // of another type: none
	for _, a := range list[:min(len(list), maxAudiences)] {
		if a != "" {
			d.Audiences = append(d.Audiences, sanitize.Truncate(string(a), sanitize.MaxLine))
		}
	}
	return d
}

// ServerTime returns how far the workspace's clock is ahead of ours; negative if it is
// behind. It compares the Date of any reply, unauthenticated, with the middle of the
// request, so it may be off by half of the request's duration and a second.
func (c *Client) ServerTime(ctx context.Context) (skew time.Duration, err error) {
	r := request{call: CallClock, method: http.MethodGet, path: configDocument}
	resp, sentAt, failed := c.send(ctx, r)
	if failed != nil {
		return 0, failed
	}
	gotAt := c.now()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxErrorBody)) // keeps the connection
	_ = resp.Body.Close()
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return 0, c.fail(r, &Error{Kind: KindBadReply, Status: resp.StatusCode, Message: "it has no Date", RequestID: requestID(resp.Header)})
	}
	// Date is cut to whole seconds, by half a second on average.
	middle := sentAt.Add(gotAt.Sub(sentAt) / 2)
	return date.Add(time.Second / 2).Sub(middle.Round(0)), nil
}
