package exchange

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// MaxSecrets is how many secrets a service principal can have (Databricks, "Authorize
// service principal access with OAuth").
const MaxSecrets = 5

// ClientSecret describes a service principal's secret without its value
// (databricks-sdk-go service/oauth2, SecretInfo). Times that are unknown are zero.
type ClientSecret struct {
	ID        string
	Status    string // ACTIVE, …
	CreatedAt time.Time
	ExpiresAt time.Time
}

// ClientSecrets lists the principal's secrets by the workspace's
// service-principal-secrets-proxy (databricks-sdk-go service/oauth2).
func (c *Client) ClientSecrets(ctx context.Context, bearer credential.Secret, principal string) ([]ClientSecret, error) {
	r := c.apiRequest(CallListSecrets, http.MethodGet, secretsPath(principal), bearer)
	if !isID(principal) {
		return nil, c.badID(r)
	}
	var out []ClientSecret
	failed := c.pages(ctx, r, func(body []byte) (string, *Error) {
		var page struct {
			Secrets       []wireSecret `json:"secrets"`
			NextPageToken string       `json:"next_page_token"`
		}
		if failed := decode(body, &page); failed != nil {
			return "", failed
		}
		for _, s := range page.Secrets {
			if !isID(string(s.ID)) {
				return "", &Error{Kind: KindBadReply, Message: "a secret of the list has no valid id"}
			}
			out = append(out, s.clientSecret())
		}
		return page.NextPageToken, nil
	})
	if failed != nil {
		return nil, failed
	}
	return out, nil
}

// CreateClientSecret makes a secret that lives for lifetime, in whole seconds; 0
// leaves that to the server. Do not call it again after an error for which
// MayHaveApplied is true.
func (c *Client) CreateClientSecret(ctx context.Context, bearer credential.Secret, principal string, lifetime time.Duration) (ClientSecret, credential.Secret, error) {
	var body struct {
		Lifetime string `json:"lifetime,omitempty"`
	}
	if lifetime > 0 {
		body.Lifetime = strconv.FormatInt(int64(lifetime/time.Second), 10) + "s"
	}
	r := c.jsonRequest(CallCreateSecret, secretsPath(principal), bearer, body)
	if !isID(principal) {
		return ClientSecret{}, credential.Secret{}, c.badID(r)
	}
	var w wireSecret
	if failed := c.doJSON(ctx, r, &w); failed != nil {
		return ClientSecret{}, credential.Secret{}, failed
	}
	value := credential.NewSecret(string(w.Secret))
	c.addSecrets(value)
	if !isID(string(w.ID)) {
		return ClientSecret{}, credential.Secret{}, c.badReply(r, "it has no valid id")
	}
	if why := badToken(string(w.Secret)); why != "" {
		return ClientSecret{}, credential.Secret{}, c.badReply(r, "its secret "+why)
	}
	return w.clientSecret(), value, nil
}

// DeleteClientSecret deletes a secret by its ID. One that does not exist is
// KindSecretNotFound.
func (c *Client) DeleteClientSecret(ctx context.Context, bearer credential.Secret, principal, id string) error {
	r := c.apiRequest(CallDeleteSecret, http.MethodDelete, secretsPath(principal)+"/"+id, bearer)
	if !isID(principal) || !isID(id) {
		return c.badID(r)
	}
	if _, failed := c.do(ctx, r); failed != nil {
		return failed
	}
	return nil
}

func secretsPath(principal string) string {
	return "/api/2.0/accounts/servicePrincipals/" + principal + "/credentials/secrets"
}

func (c *Client) badID(r request) *Error { return c.notSent(r, KindSecretNotFound, "invalid ID") }

// wireSecret is SecretInfo and CreateServicePrincipalSecretResponse in one
// (databricks-sdk-go service/oauth2).
type wireSecret struct {
	ID         flexString `json:"id"`
	Secret     flexString `json:"secret"`
	Status     flexString `json:"status"`
	CreateTime flexString `json:"create_time"`
	ExpireTime flexString `json:"expire_time"`
}

func (w wireSecret) clientSecret() ClientSecret {
	at := func(text flexString) time.Time {
		t, _ := time.Parse(time.RFC3339, string(text)) // zero where it is no time
		return t.UTC()
	}
	return ClientSecret{ID: string(w.ID), Status: sanitize.Line(string(w.Status)), CreatedAt: at(w.CreateTime), ExpiresAt: at(w.ExpireTime)}
}
