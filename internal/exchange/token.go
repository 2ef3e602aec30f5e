package exchange

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// maxToken bounds a token, in bytes. Linux takes no environment string of more
// than 128 KiB, and no server a header of this size.
const maxToken = 64 << 10

const formType = "application/x-www-form-urlencoded"

// WorkspaceToken trades a service principal's secret for a workspace token, by
// the client credentials grant with HTTP Basic (RFC 6749 2.3.1 and 4.4). The
// error is an *Error.
func (c *Client) WorkspaceToken(ctx context.Context, clientID string, secret credential.Secret) (credential.Token, error) {
	// Both halves are form-encoded first, as the RFC has it; a UUID and a
	// Databricks secret come out unchanged.
	pair := url.QueryEscape(clientID) + ":" + url.QueryEscape(secret.Reveal())
	basic := base64.StdEncoding.EncodeToString([]byte(pair))
	r := request{
		call: CallWorkspaceToken, method: http.MethodPost, path: c.endpoints().token,
		contentType:   formType,
		body:          []byte("grant_type=client_credentials&scope=all-apis"),
		authorization: credential.NewSecret("Basic " + basic),
		secrets:       []credential.Secret{secret, credential.NewSecret(basic)},
	}
	if clientID == "" || secret.IsZero() {
		return credential.Token{}, c.fail(r, &Error{Kind: KindInvalidClient, Message: "the client id or the secret is empty"})
	}
	rep, failed := c.do(ctx, r)
	if failed != nil {
		return credential.Token{}, failed
	}
	token, failed := workspaceToken(rep)
	if failed != nil {
		return credential.Token{}, c.fail(r, failed)
	}
	c.addSecrets(token.Value)
	return token, nil
}

// DatabaseCredential mints the token that is a Postgres password, for a target:
// the endpoint projects/P/branches/B/endpoints/E, or instances/NAME of Lakebase
// Provisioned. A ttl of 0 leaves the life to the server, which takes 5 minutes to
// 1 hour (databricks-sdk-go service/postgres); an instance's token has no such
// choice, and ttl is not sent. The error is an *Error.
func (c *Client) DatabaseCredential(ctx context.Context, bearer credential.Secret, target string, ttl time.Duration) (credential.Token, error) {
	r := c.api(CallDatabaseCredential, http.MethodPost, "/api/2.0/postgres/credentials", bearer)
	if instance, ok := instanceName(target); ok {
		r = c.api(CallInstanceCredential, http.MethodPost, instanceCredentialsPath, bearer)
		r.body = instanceCredential(instance)
	} else {
		r.body = endpointCredential(target, ttl)
	}
	r.contentType = "application/json"
	rep, failed := c.callAPI(ctx, r, bearer)
	if failed != nil {
		return credential.Token{}, failed
	}
	token, failed := databaseToken(rep)
	if failed != nil {
		return credential.Token{}, c.fail(r, failed)
	}
	c.addSecrets(token.Value)
	return token, nil
}

// endpointCredential is the body that asks for an endpoint's password.
func endpointCredential(endpoint string, ttl time.Duration) []byte {
	body := struct {
		Endpoint string `json:"endpoint"`
		TTL      string `json:"ttl,omitempty"`
	}{Endpoint: endpoint}
	if ttl > 0 {
		body.TTL = strconv.FormatFloat(ttl.Seconds(), 'f', -1, 64) + "s"
	}
	text, _ := json.Marshal(body) // two strings: it cannot fail
	return text
}

func (c *Client) api(call Call, method, path string, bearer credential.Secret) request {
	return request{
		call: call, method: method, path: path, workspaceID: c.endpoints().workspaceID,
		authorization: credential.NewSecret("Bearer " + bearer.Reveal()),
		secrets:       []credential.Secret{bearer},
	}
}

// callAPI is do, but refuses a bearer that cannot be a header: net/http would
// call that a broken request.
func (c *Client) callAPI(ctx context.Context, r request, bearer credential.Secret) (reply, *Error) {
	if why := badToken(bearer.Reveal()); why != "" {
		return reply{}, c.notSent(r, KindBearerRefused, "the workspace token "+why)
	}
	return c.do(ctx, r)
}

// badToken says why s cannot be a token, or nothing. A token becomes a header
// or a Postgres password: visible ASCII without spaces.
func badToken(s string) string {
	if s == "" {
		return "is empty"
	}
	if len(s) > maxToken {
		return "is longer than 64 KiB"
	}
	for i := 0; i < len(s); i++ {
		if s[i] <= 0x20 || s[i] > 0x7e {
			return "holds characters that no token has"
		}
	}
	return ""
}
