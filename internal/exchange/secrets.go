package exchange

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// MaxSecrets is how many secrets a service principal may have (Databricks,
// "Authorize service principal access with OAuth").
const MaxSecrets = 5

// mePath is SCIM's "who am I".
const mePath = "/api/2.0/preview/scim/v2/Me"

// ClientSecret describes a service principal's secret, and is not one
// (databricks-sdk-go service/oauth2, SecretInfo). Times that the server did not
// give are zero.
type ClientSecret struct {
	ID        string
	Status    string // ACTIVE, …
	CreatedAt time.Time
	ExpiresAt time.Time
}

// Principal asks who the bearer belongs to, by SCIM Me: the service principal's
// numeric id, which is not its client id. The error is an *Error.
func (c *Client) Principal(ctx context.Context, bearer credential.Secret) (string, error) {
	r := c.api(CallPrincipal, http.MethodGet, mePath, bearer)
	rep, failed := c.callAPI(ctx, r, bearer)
	if failed != nil {
		return "", failed
	}
	var w struct {
		ID flexString `json:"id"`
	}
	if failed := decode(rep.body, &w); failed != nil {
		return "", c.fail(r, failed)
	}
	if !isID(string(w.ID)) {
		return "", c.fail(r, &Error{Kind: KindBadReply, Message: "it has no id, or one that is none"})
	}
	return string(w.ID), nil
}

// ClientSecrets lists the principal's secrets by the workspace's
// service-principal-secrets-proxy (databricks-sdk-go service/oauth2). The error
// is an *Error.
func (c *Client) ClientSecrets(ctx context.Context, bearer credential.Secret, principal string) ([]ClientSecret, error) {
	r, failed := c.secretsAPI(CallListSecrets, http.MethodGet, bearer, principal, "")
	if failed != nil {
		return nil, failed
	}
	var out []ClientSecret
	failed = c.pages(ctx, r, bearer, func(body []byte) (string, *Error) {
		var page struct {
			Secrets       []wireSecret `json:"secrets"`
			NextPageToken string       `json:"next_page_token"`
		}
		if failed := decode(body, &page); failed != nil {
			return "", failed
		}
		for _, s := range page.Secrets {
			if !isID(string(s.ID)) {
				return "", &Error{Kind: KindBadReply, Message: "a secret of the list has no id, or one that is none"}
			}
			out = append(out, s.described())
		}
		return page.NextPageToken, nil
	})
	if failed != nil {
		return nil, failed
	}
	return out, nil
}

// CreateClientSecret makes a secret that lives for lifetime, in whole seconds;
// 0 leaves that to the server. It must not be called again after an error that
// does not say whether the server acted. The error is an *Error.
func (c *Client) CreateClientSecret(ctx context.Context, bearer credential.Secret, principal string, lifetime time.Duration) (ClientSecret, credential.Secret, error) {
	none := func(failed *Error) (ClientSecret, credential.Secret, error) {
		return ClientSecret{}, credential.Secret{}, failed
	}
	r, failed := c.secretsAPI(CallCreateSecret, http.MethodPost, bearer, principal, "")
	if failed != nil {
		return none(failed)
	}
	var body struct {
		Lifetime string `json:"lifetime,omitempty"`
	}
	if lifetime > 0 {
		body.Lifetime = strconv.FormatInt(int64(lifetime/time.Second), 10) + "s"
	}
	r.body, _ = json.Marshal(body) // a string: it cannot fail
	r.contentType = "application/json"
	rep, failed := c.callAPI(ctx, r, bearer)
	if failed != nil {
		return none(failed)
	}
	var w wireSecret
	if failed := decode(rep.body, &w); failed != nil {
		return none(c.fail(r, failed))
	}
	value := credential.NewSecret(string(w.Secret))
	c.addSecrets(value)
	if !isID(string(w.ID)) {
		return none(c.fail(r, &Error{Kind: KindBadReply, Message: "it has no id, or one that is none"}))
	}
	if why := badToken(string(w.Secret)); why != "" {
		return none(c.fail(r, &Error{Kind: KindBadReply, Message: "its secret " + why}))
	}
	return w.described(), value, nil
}

// DeleteClientSecret deletes a secret by its id. One that is not there is
// KindSecretNotFound. The error is an *Error.
func (c *Client) DeleteClientSecret(ctx context.Context, bearer credential.Secret, principal, id string) error {
	r, failed := c.secretsAPI(CallDeleteSecret, http.MethodDelete, bearer, principal, id)
	if failed == nil {
		_, failed = c.callAPI(ctx, r, bearer)
	}
	if failed != nil {
		return failed
	}
	return nil
}

func (c *Client) secretsAPI(call Call, method string, bearer credential.Secret, principal, id string) (request, *Error) {
	path := "/api/2.0/accounts/servicePrincipals/" + principal + "/credentials/secrets"
	if call == CallDeleteSecret {
		path += "/" + id
	}
	r := c.api(call, method, path, bearer)
	if !isID(principal) || call == CallDeleteSecret && !isID(id) {
		return r, c.notSent(r, KindSecretNotFound, "the id is none")
	}
	return r, nil
}

// wireSecret is SecretInfo and CreateServicePrincipalSecretResponse in one
// (databricks-sdk-go service/oauth2).
type wireSecret struct {
	ID         flexString `json:"id"`
	Secret     flexString `json:"secret"`
	Status     flexString `json:"status"`
	CreateTime flexString `json:"create_time"`
	ExpireTime flexString `json:"expire_time"`
}

func (w wireSecret) described() ClientSecret {
	at := func(l flexString) time.Time {
		t, err := time.Parse(time.RFC3339, string(l))
		if err != nil {
			return time.Time{}
		}
		return t.UTC()
	}
	return ClientSecret{ID: string(w.ID), Status: sanitize.Line(string(w.Status)), CreatedAt: at(w.CreateTime), ExpiresAt: at(w.ExpireTime)}
}

// isID says whether s may stand in a path as an id.
func isID(s string) bool {
	const signs = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=~"
	return s != "" && len(s) <= 128 && s != "." && s != ".." && strings.Trim(s, signs) == ""
}
