package exchange

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// Identity is the owner of a workspace token.
type Identity struct {
	UserName string // an email address, or a service principal's client ID; the Postgres role
	ID       string // the numeric ID in SCIM
}

// Me requests the bearer's identity, by SCIM Me.
func (c *Client) Me(ctx context.Context, bearer credential.Secret) (Identity, error) {
	r := c.apiRequest(CallMe, http.MethodGet, "/api/2.0/preview/scim/v2/Me", bearer, nil)
	var w struct{ UserName, ID flexString }
	if _, failed := c.do(ctx, r, &w); failed != nil {
		return Identity{}, failed
	}
	me := Identity{UserName: string(w.UserName), ID: string(w.ID)}
	if me.UserName == "" || len(me.UserName) > sanitize.MaxLine || strings.ContainsFunc(me.UserName, sanitize.IsUnsafe) || !isSegment(me.ID) {
		return Identity{}, c.badReply(r, "it has no valid userName and id")
	}
	return me, nil
}

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

// ClientSecrets lists the secrets of a service principal, given its numeric ID, by the workspace's
// service-principal-secrets-proxy (databricks-sdk-go service/oauth2).
func (c *Client) ClientSecrets(ctx context.Context, bearer credential.Secret, principal string) ([]ClientSecret, error) {
	r := c.apiRequest(CallListSecrets, http.MethodGet, SecretsPath(principal), bearer, nil)
	return list(ctx, c, r, "secrets", func(w wireSecret) (ClientSecret, bool) { return w.clientSecret(), isSegment(string(w.ID)) })
}

// CreateClientSecret makes a secret that lives for lifetime, in whole seconds; 0 leaves
// that to the server. After an error there may be one all the same: see MayHaveApplied.
func (c *Client) CreateClientSecret(ctx context.Context, bearer credential.Secret, principal string, lifetime time.Duration) (info ClientSecret, value credential.Secret, err error) {
	body := map[string]string{}
	if lifetime > 0 {
		body["lifetime"] = strconv.FormatInt(int64(lifetime/time.Second), 10) + "s"
	}
	r := c.apiRequest(CallCreateSecret, http.MethodPost, SecretsPath(principal), bearer, body)
	var w wireSecret
	if _, failed := c.do(ctx, r, &w); failed != nil {
		return info, value, failed
	}
	c.addSecrets(credential.NewSecret(string(w.Secret)))
	if !isSegment(string(w.ID)) || badToken(string(w.Secret)) != "" {
		return info, value, c.badReply(r, "it has no valid id and secret")
	}
	return w.clientSecret(), credential.NewSecret(string(w.Secret)), nil
}

// DeleteClientSecret deletes a secret by its ID. One that does not exist is
// KindSecretNotFound.
func (c *Client) DeleteClientSecret(ctx context.Context, bearer credential.Secret, principal, id string) error {
	r := c.apiRequest(CallDeleteSecret, http.MethodDelete, SecretsPath(principal)+"/"+id, bearer, nil)
	if _, failed := c.do(ctx, r, nil); failed != nil {
		return failed
	}
	return nil
}

// SecretsPath returns the path of the secrets of a service principal, given its numeric ID.
func SecretsPath(principal string) string {
	return "/api/2.0/accounts/servicePrincipals/" + principal + "/credentials/secrets"
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

func (w wireSecret) clientSecret() ClientSecret {
	at := func(text flexString) time.Time {
		t, _ := time.Parse(time.RFC3339, string(text)) // zero where it is no time
		return t.UTC()
	}
	return ClientSecret{ID: string(w.ID), Status: sanitize.Line(string(w.Status)), CreatedAt: at(w.CreateTime), ExpiresAt: at(w.ExpireTime)}
}
