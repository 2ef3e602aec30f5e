package exchange

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// The two documents (databricks-sdk-go config/host_metadata.go, RFC 8414).
const (
	configDocument = "/.well-known/databricks-config"
	serverDocument = "/.well-known/oauth-authorization-server"
)

// maxAudiences bounds what is taken from a document.
const maxAudiences = 16

// Discovery is what a host says of itself. Its endpoints are https, and on
// exactly the host that was asked.
type Discovery struct {
	TokenEndpoint         string
	AuthorizationEndpoint string   // empty: not named
	Audiences             []string // for a workload's token, as the host names them; Audience tells which to use
	AccountID             string
	WorkspaceID           string
	HostType              string // workspace, account, unified
}

// Discover asks the host where its token endpoint is. Plain workspace hosts need
// none of it; account and unified hosts have one for each account. Nobody signs
// in for it. An endpoint elsewhere is KindStranger, and nothing is sent there;
// Error.NoDocument tells a host that has no such documents. The error is an
// *Error.
func (c *Client) Discover(ctx context.Context) (Discovery, error) {
	r := request{call: CallDiscovery, method: http.MethodGet, path: configDocument}
	var w wireConfig
	if failed := c.document(ctx, r, &w); failed != nil {
		return Discovery{}, failed
	}
	d := w.described()
	issuer, failed := c.issuer(w, &d)
	if failed != nil {
		return Discovery{}, c.fail(r, failed)
	}
	r.path = issuer + serverDocument
	var server struct {
		Authorization anyText `json:"authorization_endpoint"`
		Token         anyText `json:"token_endpoint"`
	}
	if failed := c.document(ctx, r, &server); failed != nil {
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

func (c *Client) document(ctx context.Context, r request, v any) *Error {
	rep, failed := c.do(ctx, r)
	if failed != nil {
		return failed
	}
	if failed := decode(rep.body, v); failed != nil {
		return c.fail(r, failed)
	}
	return nil
}

// issuer gives the path below which the authorization server's document lies,
// and settles the account.
func (c *Client) issuer(w wireConfig, d *Discovery) (string, *Error) {
	switch {
	case c.accountID != "" && d.AccountID != "" && !strings.EqualFold(c.accountID, d.AccountID):
		return "", &Error{Kind: KindForeignHost, Message: "account_id is " + d.AccountID + ", and not " + c.accountID}
	case c.accountID != "":
		d.AccountID = c.accountID
	case d.AccountID != "" && !isID(d.AccountID):
		return "", &Error{Kind: KindBadReply, Message: "its account_id is none"}
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
			return "", &Error{Kind: KindBadReply, Message: "its oidc_endpoint asks for an account id, and it names none"}
		}
		endpoint = strings.ReplaceAll(endpoint, "{account_id}", d.AccountID)
	}
	path, failed := c.ownPath("oidc_endpoint", endpoint)
	return strings.TrimSuffix(path, "/"), failed
}

// ownPath gives the path of an endpoint that is https on this very host and port.
func (c *Client) ownPath(name, endpoint string) (string, *Error) {
	if endpoint == "" {
		return "", &Error{Kind: KindBadReply, Message: "it has no " + name}
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Opaque != "" {
		return "", &Error{Kind: KindBadReply, Message: "its " + name + " is not a URL"}
	}
	if u.Scheme != "https" || u.User != nil || !strings.EqualFold(u.Hostname(), c.base.Hostname()) || portOf(u) != portOf(&c.base) {
		return "", &Error{Kind: KindForeignHost, Message: name + " is at " + u.Scheme + "://" + u.Host + ", and not at " + c.base.String()}
	}
	if u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.RawPath != "" || !isPath(u.Path) {
		return "", &Error{Kind: KindBadReply, Message: "its " + name + " is not a plain address"}
	}
	return u.Path, nil
}

// SetEndpoints has all further token and authorize calls use the endpoints of d, and,
// where none was configured, its workspace id. What is not on this host is left
// as it was: a Discovery may come from a file.
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

// Audience is what a workload's token for this host must be made for: the first
// audience of d that is this host's own, which is a URL on it or the id of its
// account; where d names none at all, an account's id for an account's host, and
// else the token endpoint (databricks-sdk-go config/experimental/auth/oidc). A
// token for anybody else could be used there in the job's name, so where d names
// only such audiences the error is KindStranger.
func (c *Client) Audience(d Discovery) (string, error) {
	for _, a := range d.Audiences {
		if _, failed := c.ownPath("audience", a); failed == nil || credential.IsUUID(a) && strings.EqualFold(a, d.AccountID) {
			return a, nil
		}
	}
	if len(d.Audiences) > 0 {
		r := request{call: CallDiscovery}
		return "", c.fail(r, &Error{Kind: KindForeignHost, Message: "the audience " + d.Audiences[0] + " is neither " + c.base.String() + " nor its account", NotSent: true})
	}
	if d.HostType == "account" && credential.IsUUID(d.AccountID) {
		return d.AccountID, nil
	}
	if _, failed := c.ownPath("token_endpoint", d.TokenEndpoint); failed == nil {
		return d.TokenEndpoint, nil
	}
	return c.base.String() + c.endpoints().token, nil
}

func (c *Client) endpoints() endpoints {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.paths
}

// wireConfig is databricks-sdk-go config, HostMetadata. Types are not trusted.
type wireConfig struct {
	OIDCEndpoint anyText         `json:"oidc_endpoint"`
	AccountID    flexString      `json:"account_id"`
	WorkspaceID  flexString      `json:"workspace_id"`
	HostType     flexString      `json:"host_type"`
	Audiences    json.RawMessage `json:"token_federation_default_oidc_audiences"`
}

func (w wireConfig) described() Discovery {
	// host_type is workspace or WORKSPACE_HOST.
	kind := strings.TrimSuffix(strings.ToLower(sanitize.Line(string(w.HostType))), "_host")
	d := Discovery{AccountID: sanitize.Line(string(w.AccountID)), WorkspaceID: sanitize.Line(string(w.WorkspaceID)), HostType: kind}
	var list []anyText
	_ = json.Unmarshal(w.Audiences, &list) // of another type: none
	for _, a := range list[:min(len(list), maxAudiences)] {
		if a != "" {
			d.Audiences = append(d.Audiences, sanitize.Truncate(string(a), sanitize.MaxLine))
		}
	}
	return d
}

// isPath says whether p is none, or absolute, needs no escape and stays where it is.
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

func portOf(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	return "443"
}
