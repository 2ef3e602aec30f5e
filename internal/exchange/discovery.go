package exchange

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// The discovery documents (databricks-sdk-go config/host_metadata.go, RFC 8414).
const (
	configDocument = "/.well-known/databricks-config"
	serverDocument = "/.well-known/oauth-authorization-server"
)

// Discovery is a host's own description. Its token endpoint is https, and on exactly
// the host that was asked.
type Discovery struct {
	TokenEndpoint string
	Audiences     []string // for a workload's token; Audience selects one
	AccountID     string
	HostType      string // workspace, account, unified
}

// Discover requests the host's endpoints and, where none was configured, its workspace
// ID, unauthenticated; all later calls use them. Account and unified hosts have an
// endpoint for each account. An endpoint on another host is KindForeignHost, and nothing
// is sent there.
func (c *Client) Discover(ctx context.Context) (Discovery, error) {
	r := c.newRequest(CallDiscovery, http.MethodGet, configDocument, nil)
	var w struct { // databricks-sdk-go config, HostMetadata
		OIDCEndpoint string     `json:"oidc_endpoint"`
		AccountID    flexString `json:"account_id"`
		WorkspaceID  flexString `json:"workspace_id"`
		HostType     string     `json:"host_type"` // workspace or WORKSPACE_HOST
		Audiences    []string   `json:"token_federation_default_oidc_audiences"`
	}
	if _, failed := c.do(ctx, r, &w); failed != nil {
		return Discovery{}, failed
	}
	d := Discovery{Audiences: w.Audiences, AccountID: string(w.AccountID), HostType: strings.TrimSuffix(strings.ToLower(w.HostType), "_host")}
	issuer, failed := c.issuer(w.OIDCEndpoint, &d)
	if failed != nil {
		return Discovery{}, c.fail(r, failed)
	}
	r = c.newRequest(CallDiscovery, http.MethodGet, issuer+serverDocument, nil)
	var server struct {
		Authorization string `json:"authorization_endpoint"`
		Token         string `json:"token_endpoint"`
	}
	if _, failed := c.do(ctx, r, &server); failed != nil {
		return Discovery{}, failed
	}
	next := c.endpoints()
	if next.token, failed = c.ownPath("token_endpoint", server.Token); failed != nil {
		return Discovery{}, c.fail(r, failed)
	}
	authorization := cmp.Or(server.Authorization, c.base.String()+next.authorize)
	if next.authorize, failed = c.ownPath("authorization_endpoint", authorization); failed != nil {
		return Discovery{}, c.fail(r, failed)
	}
	if id := string(w.WorkspaceID); next.workspaceID == "" && isSegment(id) {
		next.workspaceID = id
	}
	c.mu.Lock()
	c.paths = next
	c.mu.Unlock()
	d.TokenEndpoint = server.Token
	return d, nil
}

// issuer returns the path of the authorization server, and sets the account.
func (c *Client) issuer(endpoint string, d *Discovery) (string, *Error) {
	if c.options.AccountID != "" && d.AccountID != "" && !strings.EqualFold(c.options.AccountID, d.AccountID) {
		return "", &Error{Kind: KindForeignHost, Message: "account_id is " + d.AccountID + ", want " + c.options.AccountID}
	}
	d.AccountID = cmp.Or(c.options.AccountID, d.AccountID)
	if endpoint == "" {
		endpoint = c.base.String() + "/oidc"
		if d.AccountID != "" && (d.HostType == "account" || d.HostType == "unified") {
			endpoint += "/accounts/{account_id}"
		}
	}
	if strings.Contains(endpoint, "{account_id}") && d.AccountID == "" {
		return "", &Error{Kind: KindBadReply, Message: "its oidc_endpoint needs an account ID, and it names none"}
	}
	issuer, failed := c.ownPath("oidc_endpoint", strings.ReplaceAll(endpoint, "{account_id}", d.AccountID))
	return strings.TrimSuffix(issuer, "/"), failed
}

// ownPath returns the path of an endpoint that is https on this very host and port.
func (c *Client) ownPath(name, endpoint string) (string, *Error) {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil || endpoint == "":
		return "", &Error{Kind: KindBadReply, Message: "it has no valid " + name}
	case u.Scheme != "https" || u.User != nil || !strings.EqualFold(u.Hostname(), c.base.Hostname()),
		cmp.Or(u.Port(), "443") != cmp.Or(c.base.Port(), "443"):
		return "", &Error{Kind: KindForeignHost, Message: name + " is at " + u.Scheme + "://" + u.Host + ", not at " + c.base.String()}
	}
	return u.Path, nil
}

func (c *Client) endpoints() endpoints {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.paths
}

// Audience returns the audience that a workload's token for this host must have: the
// first of d that is a URL on this host or its account's ID. If d names none, it is the
// account ID of an account's host, else the token endpoint (databricks-sdk-go
// config/experimental/auth/oidc). If d names only others the error is KindForeignHost: a
// token for another audience could be used there in the job's name.
func (c *Client) Audience(d Discovery) (string, error) {
	for _, a := range d.Audiences {
		if _, failed := c.ownPath("audience", a); failed == nil || credential.IsUUID(a) && strings.EqualFold(a, d.AccountID) {
			return a, nil
		}
	}
	switch {
	case len(d.Audiences) > 0:
		return "", c.fail(request{call: CallDiscovery}, &Error{Kind: KindForeignHost, NotSent: true,
			Message: "the audience " + d.Audiences[0] + " is neither " + c.base.String() + " nor its account"})
	case d.HostType == "account" && credential.IsUUID(d.AccountID):
		return d.AccountID, nil
	}
	return cmp.Or(d.TokenEndpoint, c.base.String()+c.endpoints().token), nil
}

// ErrNoDate is returned by ServerTime for a reply without a Date header.
var ErrNoDate = errors.New("the reply has no Date header")

// ServerTime returns how far the workspace's clock is ahead of ours; negative if it is
// behind. It compares the Date of any reply, unauthenticated, with the middle of the
// request, so it may be off by half of the request's duration and a second. Errors:
// *Error, ErrNoDate.
func (c *Client) ServerTime(ctx context.Context) (skew time.Duration, err error) {
	r := c.newRequest(CallDiscovery, http.MethodGet, configDocument, nil)
	resp, sentAt, failed := c.send(ctx, r)
	if failed != nil {
		return 0, failed
	}
	gotAt := c.options.now()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxErrorBody)) // keeps the connection
	_ = resp.Body.Close()
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return 0, ErrNoDate
	}
	// Date is cut to whole seconds, by half a second on average.
	middle := sentAt.Add(gotAt.Sub(sentAt) / 2)
	return date.Add(time.Second / 2).Sub(middle.Round(0)), nil
}
