package exchange

import (
	"context"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// GitHub is what a job of GitHub Actions is told of its token service (GitHub,
// "OpenID Connect reference"), and how to reach that. The token is sent to the
// URL's host only.
type GitHub struct {
	URL      string            // ACTIONS_ID_TOKEN_REQUEST_URL: https, with a query
	Token    credential.Secret // ACTIONS_ID_TOKEN_REQUEST_TOKEN
	Audience string            // who the new token is for; required

	// As in Options.
	LoadRoots   func() (*x509.CertPool, error)
	Proxy       ProxySettings
	UserAgent   string
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
}

// GitHubToken asks GitHub for a token that says which job this is, good for the
// audience alone. Each call is one attempt. The error is an *Error, and names
// the service's host.
func GitHubToken(ctx context.Context, g GitHub) (credential.Secret, error) {
	none := credential.Secret{}
	bad := func(why string) (credential.Secret, error) {
		return none, &Error{Call: CallGitHub, Kind: KindRefused, Message: "not sent: " + why, NotSent: true}
	}
	u, err := url.Parse(g.URL)
	if err != nil { // its text would show the URL
		return bad("the token service's address is not a URL")
	}
	query, err := url.ParseQuery(u.RawQuery)
	switch {
	case err != nil || u.Opaque != "" || u.Fragment != "" || u.User != nil:
		return bad("the token service's address is not a plain URL")
	case u.Scheme != "https" || u.Hostname() == "":
		return bad("the token service's address does not begin with https://")
	case g.Audience == "":
		return bad("there is no audience")
	}
	c, err := New(Options{Host: "https://" + u.Host, LoadRoots: g.LoadRoots, Proxy: g.Proxy, UserAgent: g.UserAgent, DialContext: g.DialContext})
	if err != nil {
		return bad(err.Error())
	}
	defer c.Close()
	query.Set("audience", g.Audience)
	r := c.api(CallGitHub, http.MethodGet, u.Path, g.Token)
	r.rawPath, r.query = u.RawPath, query.Encode()
	rep, failed := c.callAPI(ctx, r, g.Token)
	if failed != nil {
		return none, failed
	}
	var w struct {
		Value string `json:"value"`
	}
	if failed := decode(rep.body, &w); failed != nil {
		return none, c.fail(r, failed)
	}
	if why := badToken(w.Value); why != "" {
		return none, c.fail(r, &Error{Kind: KindBadReply, Message: "its value " + why})
	}
	return credential.NewSecret(w.Value), nil
}
