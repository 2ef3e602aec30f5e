package exchange

import (
	"context"
	"net/http"
	"net/url"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// GitHub is a GitHub Actions job's access to its OIDC token service (GitHub, "OpenID
// Connect reference"). The token is sent to the URL's host only.
type GitHub struct {
	URL      string            // ACTIONS_ID_TOKEN_REQUEST_URL: https, with a query
	Token    credential.Secret // ACTIONS_ID_TOKEN_REQUEST_TOKEN
	Audience string            // of the new token; required
	Options  Options           // how to connect; Host is the URL's
}

// GitHubToken requests the job's token for the audience, in one attempt. The error is
// an *Error and names the service's host.
func GitHubToken(ctx context.Context, g GitHub) (credential.Secret, error) {
	notSent := func(why string) (credential.Secret, error) {
		return credential.Secret{}, &Error{Call: CallGitHub, Kind: KindRefused, Message: "not sent: " + why, NotSent: true}
	}
	u, err := url.Parse(g.URL)
	if err != nil { // its text would show the URL
		return notSent("the token service's address is not a URL")
	}
	query, err := url.ParseQuery(u.RawQuery)
	switch {
	case err != nil || u.Opaque != "" || u.Fragment != "" || u.User != nil:
		return notSent("the token service's address is not a plain URL")
	case u.Scheme != "https" || u.Hostname() == "":
		return notSent("the token service's address does not begin with https://")
	case g.Audience == "":
		return notSent("there is no audience")
	}
	g.Options.Host = "https://" + u.Host
	c, err := New(g.Options)
	if err != nil {
		return notSent(err.Error())
	}
	defer c.Close()
	query.Set("audience", g.Audience)
	r := c.apiRequest(CallGitHub, http.MethodGet, u.Path, g.Token)
	r.rawPath, r.query = u.RawPath, query
	var w struct {
		Value string `json:"value"`
	}
	if failed := c.doJSON(ctx, r, &w); failed != nil {
		return credential.Secret{}, failed
	}
	if why := badToken(w.Value); why != "" {
		return credential.Secret{}, c.badReply(r, "its value "+why)
	}
	return credential.NewSecret(w.Value), nil
}
