package exchange

import (
	"context"
	"crypto/x509"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// calls makes each call by its name.
var calls = map[Call]func(context.Context, *Client) error{
	CallWorkspaceToken: func(ctx context.Context, c *Client) error {
		return second(c.WorkspaceToken(ctx, clientID, credential.NewSecret(clientSecret)))
	},
	CallDatabaseCredential: func(ctx context.Context, c *Client) error {
		return second(c.DatabaseCredential(ctx, bearer, endpointName, 0))
	},
	CallEndpoint: func(ctx context.Context, c *Client) error { return second(c.Endpoint(ctx, bearer, endpointName)) },
	CallInstanceCredential: func(ctx context.Context, c *Client) error {
		return second(c.DatabaseCredential(ctx, bearer, instanceTarget, 0))
	},
	CallInstance: func(ctx context.Context, c *Client) error { return second(c.Endpoint(ctx, bearer, instanceTarget)) },
	CallRefresh:  func(ctx context.Context, c *Client) error { return second(c.RefreshedToken(ctx, refreshSecret)) },
	CallFederation: func(ctx context.Context, c *Client) error {
		return second(c.FederatedToken(ctx, clientID, subjectSecret))
	},
	CallCode: func(ctx context.Context, c *Client) error {
		return second(c.CodeToken(ctx, codeSecret, verifierSecret, redirectURI))
	},
	CallDiscovery: func(ctx context.Context, c *Client) error { return second(c.Discover(ctx)) },
	CallMe:        func(ctx context.Context, c *Client) error { return second(c.Me(ctx, bearer)) },
	CallProjects:  func(ctx context.Context, c *Client) error { return second(c.Projects(ctx, bearer)) },
	CallBranches:  func(ctx context.Context, c *Client) error { return second(c.Branches(ctx, bearer, "projects/shop")) },
	CallEndpoints: func(ctx context.Context, c *Client) error {
		return second(c.Endpoints(ctx, bearer, "projects/shop/branches/production"))
	},
	CallGitHub: func(ctx context.Context, c *Client) error {
		t, err := c.transport()
		if err != nil {
			return err
		}
		roots := func() (*x509.CertPool, error) { return t.TLSClientConfig.RootCAs, nil }
		return second(GitHubToken(ctx, GitHub{URL: c.base.String() + "/idtoken?api-version=2.0", Token: bearer, Audience: "aud", Options: Options{LoadRoots: roots}}))
	},
	CallPrincipal:   func(ctx context.Context, c *Client) error { return second(c.Principal(ctx, bearer)) },
	CallListSecrets: func(ctx context.Context, c *Client) error { return second(c.ClientSecrets(ctx, bearer, "41")) },
	CallCreateSecret: func(ctx context.Context, c *Client) error {
		_, _, err := c.CreateClientSecret(ctx, bearer, "41", 0)
		return err
	},
	CallDeleteSecret: func(ctx context.Context, c *Client) error { return c.DeleteClientSecret(ctx, bearer, "41", "s-1") },
}

func second[T any](_ T, err error) error { return err }

func TestRefusals(t *testing.T) {
	token, db, ep, refresh, federation, list, create := CallWorkspaceToken, CallDatabaseCredential, CallEndpoint, CallRefresh, CallFederation, CallListSecrets, CallCreateSecret
	const (
		retry = 1 << iota
		applied
	)
	for _, tc := range []struct {
		call          Call
		status        int
		body          string
		kind          Kind
		flags         int
		code, message string
	}{
		{token, 401, `{"error":"invalid_client","error_id":"e-1","error_description":"Client authentication failed"}`, KindInvalidClient, 0, "invalid_client", "Client authentication failed"},
		{token, 400, `{"error":"invalid_client"}`, KindInvalidClient, 0, "invalid_client", ""},
		{token, 400, `{"error":"invalid_request","error_description":"Missing client authentication"}`, KindInvalidClient, 0, "invalid_request", "Missing client authentication"},
		{token, 400, `{"error":"invalid_scope"}`, KindRefused, 0, "invalid_scope", ""},
		{token, 401, "<!doctype html><title>Sign in</title>", KindNotJSON, applied, "", "Sign in"},
		{token, 403, "<html><title>Forbidden</title>", KindPermissionDenied, 0, "", "Forbidden"},
		{token, 502, `<html><title>Bad Gateway</title></html>`, KindUnavailable, retry | applied, "", "Bad Gateway"},
		{db, 403, `{"error_code":"PERMISSION_DENIED","message":"This API is disabled for users without the workspace-access entitlement."}`, KindEntitlement, 0, "PERMISSION_DENIED", "This API is disabled for users without the workspace-access entitlement."},
		{db, 403, `{"error_code":403,"message":"Invalid access"}`, KindPermissionDenied, 0, "403", "Invalid access"},
		{db, 403, "<html><body><pre>IP is\nblocked</pre></body></html>", KindPermissionDenied, 0, "", "IP is blocked"},
		{db, 401, `Credential was not sent or was of an unsupported type for this API.`, KindBearerRefused, 0, "", "Credential was not sent or was of an unsupported type for this API."},
		{db, 400, `{"error_code":"INVALID_PARAMETER_VALUE","message":"Field 'endpoint' is required"}`, KindEndpointMalformed, 0, "INVALID_PARAMETER_VALUE", "Field 'endpoint' is required"},
		{db, 400, `{"error_code":"INVALID_PARAMETER_VALUE","message":"ttl must be at least 300s"}`, KindRefused, 0, "INVALID_PARAMETER_VALUE", "ttl must be at least 300s"},
		{db, 400, `{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"no"}`, KindEndpointNotFound, 0, "RESOURCE_DOES_NOT_EXIST", "no"},
		{db, 400, `{"error_code":"FAILED_PRECONDITION","message":"the endpoint is disabled"}`, KindEndpointDisabled, 0, "FAILED_PRECONDITION", "the endpoint is disabled"},
		{db, 429, `{"error_code":"RESOURCE_EXHAUSTED","message":"slow down"}`, KindRateLimited, retry, "RESOURCE_EXHAUSTED", "slow down"},
		{db, 400, `REQUEST_LIMIT_EXCEEDED: slow down`, KindRateLimited, retry, "REQUEST_LIMIT_EXCEEDED", "slow down"},
		{db, 503, `{"error_code":"TEMPORARILY_UNAVAILABLE","message":"later"}`, KindUnavailable, retry | applied, "TEMPORARILY_UNAVAILABLE", "later"},
		{db, 500, `{"error_code":"INTERNAL_ERROR","message":"oops"}`, KindServerError, applied, "INTERNAL_ERROR", "oops"},
		{db, 501, ``, KindServerError, applied, "", ""},
		{db, 409, `{"schemas":["x"],"detail":"exists","status":"409","scimType":"uniqueness"}`, KindRefused, 0, "", "uniqueness exists"},
		{db, 418, `[1]`, KindNotJSON, applied, "", "[1]"},
		{ep, 404, `{"error_code":"NOT_FOUND","message":"endpoint id not found [TraceId: x]"}`, KindEndpointNotFound, 0, "NOT_FOUND", "endpoint id not found [TraceId: x]"},
		{ep, 404, `{"message":"no such thing"}`, KindEndpointNotFound, 0, "", "no such thing"},
		{ep, 404, `{"error_code":"ENDPOINT_NOT_FOUND","message":"No API found for 'GET /postgres'"}`, KindRefused, 0, "ENDPOINT_NOT_FOUND", "No API found for 'GET /postgres'"},
		{ep, 404, `{"error":"Bad Target: /api/2.0/postgres"}`, KindRefused, 0, "", "Bad Target: /api/2.0/postgres"},
		{ep, 404, `404 page not found`, KindNotJSON, applied, "", "404 page not found"},
		{ep, 504, ``, KindUnavailable, retry | applied, "", ""},
		{CallInstance, 404, `{"error_code":"NOT_FOUND","message":"Database instance 'shop' not found."}`, KindEndpointNotFound, 0, "NOT_FOUND", "Database instance 'shop' not found."},
		{CallInstanceCredential, 400, `{"error_code":"INVALID_PARAMETER_VALUE","message":"the ttl of a name"}`, KindEndpointMalformed, 0, "INVALID_PARAMETER_VALUE", "the ttl of a name"},
		{CallInstanceCredential, 404, `{"error_code":"ENDPOINT_NOT_FOUND","message":"No API found"}`, KindRefused, 0, "ENDPOINT_NOT_FOUND", "No API found"},

		{refresh, 400, `{"error":"invalid_grant","error_description":"revoked"}`, KindRefreshRefused, 0, "invalid_grant", "revoked"},
		{refresh, 401, `{"error":"invalid_grant"}`, KindRefreshRefused, 0, "invalid_grant", ""},
		{refresh, 400, `{"error":"invalid_request","error_description":"Refresh token is invalid"}`, KindRefreshRefused, 0, "invalid_request", "Refresh token is invalid"},
		{refresh, 400, `{"error":"invalid_request","error_description":"scope"}`, KindRefused, 0, "invalid_request", "scope"},
		{refresh, 401, `{"error":"invalid_client"}`, KindRefused, 0, "invalid_client", ""}, // the public client is forbidden
		{refresh, 403, `{"error_code":403,"message":"IP"}`, KindPermissionDenied, 0, "403", "IP"},
		{refresh, 401, `<html><title>Sign in</title>`, KindNotJSON, applied, "", "Sign in"},
		{refresh, 404, `{"error_code":"ENDPOINT_NOT_FOUND"}`, KindRefused, 0, "ENDPOINT_NOT_FOUND", ""},
		{CallCode, 400, `{"error":"invalid_grant"}`, KindCodeRefused, 0, "invalid_grant", ""},
		{CallCode, 400, `{"error":"unauthorized_client"}`, KindRefused, 0, "unauthorized_client", ""},
		{federation, 400, `{"error":"invalid_grant"}`, KindFederationRefused, 0, "invalid_grant", ""},
		{federation, 401, `{"error":"invalid_client"}`, KindFederationRefused, 0, "invalid_client", ""},
		{federation, 404, `404 page not found`, KindNotJSON, applied, "", "404 page not found"},

		{CallProjects, 404, `{"error_code":"NOT_FOUND","message":"x"}`, KindEndpointNotFound, 0, "NOT_FOUND", "x"},
		{CallBranches, 400, `{"error_code":"INVALID_PARAMETER_VALUE","message":"x"}`, KindEndpointMalformed, 0, "INVALID_PARAMETER_VALUE", "x"},
		{CallEndpoints, 401, `{}`, KindBearerRefused, 0, "", ""},
		{CallGitHub, 401, `{"message":"x"}`, KindBearerRefused, 0, "", "x"},
		{CallGitHub, 404, `{"message":"x"}`, KindRefused, 0, "", "x"},
		{CallMe, 404, `{}`, KindRefused, 0, "", ""},

		{CallDeleteSecret, 404, `{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"no"}`, KindSecretNotFound, 0, "RESOURCE_DOES_NOT_EXIST", "no"},
		{list, 404, `{"error_code":"ENDPOINT_NOT_FOUND","message":"no"}`, KindRefused, 0, "ENDPOINT_NOT_FOUND", "no"},
		{list, 400, `{"error_code":"QUOTA_EXCEEDED","message":"no"}`, KindRefused, 0, "QUOTA_EXCEEDED", "no"},
		{create, 400, `{"error_code":"RESOURCE_LIMIT_EXCEEDED","message":"no"}`, KindTooManySecrets, 0, "RESOURCE_LIMIT_EXCEEDED", "no"},
		{create, 400, `{"error_code":"INVALID_PARAMETER_VALUE","message":"lifetime"}`, KindRefused, 0, "INVALID_PARAMETER_VALUE", "lifetime"},
		{create, 503, ``, KindUnavailable, retry | applied, "", ""},
		{CallPrincipal, 401, `{"error_code":"UNAUTHENTICATED","message":"no"}`, KindBearerRefused, 0, "UNAUTHENTICATED", "no"},
	} {
		w := newWorkspace(t, false, says(tc.status, tc.body, "X-Request-Id", "r-1"))
		e := wants(t, calls[tc.call](soon(t), w.client(t)), tc.kind, tc.flags&retry != 0)
		if e.Status != tc.status || e.Code != tc.code || e.Message != tc.message || e.Call != tc.call || e.Host != strings.TrimPrefix(w.URL, "https://") ||
			e.RequestID == "" || e.NotSent || e.MayHaveApplied() != (tc.flags&applied != 0) {
			t.Errorf("%s, %d %s: got %+v", tc.call, tc.status, tc.body, e)
		}
	}
}

// Replies of 200 that do not hold what they must.
func TestBadReplies(t *testing.T) {
	for _, tc := range []struct {
		calls []Call
		body  string
		kind  Kind
	}{
		{[]Call{CallProjects, CallBranches, CallEndpoints, CallListSecrets}, `{"next_page_token":"again"}`, KindTooLarge},
		{[]Call{CallProjects, CallBranches, CallEndpoints, CallListSecrets}, `{"next_page_token":7}`, KindBadReply},
		{[]Call{CallProjects, CallBranches, CallEndpoints}, `{"projects":[{}],"branches":[{}],"endpoints":[{}]}`, KindBadReply},
		{[]Call{CallProjects, CallBranches, CallEndpoints}, `{"projects":[{"name":"projects/a/branches/b"}],"branches":[{"name":"projects/a"}],"endpoints":[{"name":"projects/a/branches/b/endpoints/e/x"}]}`, KindBadReply},
		{[]Call{CallProjects, CallBranches, CallEndpoints}, `{"projects":[{"name":"projects/.."}],"branches":[{"name":"projects/a/branches/b?x"}],"endpoints":[{"name":"projects/a/branches/b/endpoints/%2e"}]}`, KindBadReply},
		{[]Call{CallListSecrets}, `{"secrets":[{"id":"../x"}]}`, KindBadReply},
		{[]Call{CallPrincipal}, `{"id":""}`, KindBadReply},
		{[]Call{CallPrincipal}, `{"id":"41/x"}`, KindBadReply},
		{[]Call{CallCreateSecret}, `{"id":"x"}`, KindBadReply},
		{[]Call{CallCreateSecret}, `{"secret":"dose-very-new-secret"}`, KindBadReply},
		{[]Call{CallGitHub}, `{}`, KindBadReply},
		{[]Call{CallGitHub}, `{"value":7}`, KindBadReply},
		{[]Call{CallGitHub}, `{"value":"a b"}`, KindBadReply},
		{[]Call{CallRefresh}, `{"refresh_token":"next"}`, KindBadReply},
	} {
		for _, call := range tc.calls {
			w := newWorkspace(t, false, says(200, tc.body))
			e := wants(t, calls[call](soon(t), w.client(t)), tc.kind, false)
			if e.Call != call || tc.kind == KindTooLarge && len(w.seen) != maxPages || strings.Contains(e.Error(), "very-new") || !e.MayHaveApplied() {
				t.Errorf("%s, %s: got %+v after %d requests", call, tc.body, e, len(w.seen))
			}
		}
	}
	cut := newWorkspace(t, false, says(200, `{"access_token":"at","id":"x"`))
	for call, again := range map[Call]bool{CallRefresh: false, CallCode: false, CallFederation: true, CallCreateSecret: true} {
		wants(t, calls[call](soon(t), cut.client(t)), KindBroken, again)
	}
}

// Every call rejects a reply that is too large, an HTML page or a list.
func TestRepliesAreBounded(t *testing.T) {
	endless := newWorkspace(t, false, func(rw http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := io.WriteString(rw, strings.Repeat(" ", 1<<16)); err != nil {
				return
			}
		}
	})
	huge := newWorkspace(t, false, says(200, `{}`, "X-Pad", strings.Repeat("x", 2*maxHeaderBytes)))
	page := newWorkspace(t, false, says(200, `<html><title>Sign in</title>`))
	array := newWorkspace(t, false, says(200, `[]`))
	for call, do := range calls {
		wants(t, do(soon(t), endless.client(t)), KindTooLarge, false)
		wants(t, do(soon(t), huge.client(t)), KindTooLarge, false)
		if call != CallDeleteSecret { // its body is not read
			wants(t, do(soon(t), page.client(t)), KindNotJSON, false)
			wants(t, do(soon(t), array.client(t)), KindBadReply, false)
		}
	}
	pad := func(n int) string { return `{"status":{"hosts":{}},"pad":"` + strings.Repeat("x", n) + `"}` }
	fits := maxBody - len(pad(0))
	for extra, ok := range map[int]bool{0: true, 1: false} {
		w := newWorkspace(t, false, says(200, pad(fits+extra)))
		if err := calls[CallEndpoint](soon(t), w.client(t)); (err == nil) != ok {
			t.Errorf("1 MiB and %d: %v", extra, err)
		}
	}
}

// Names, IDs and tokens that would leave their place in a URL, a header or a form are
// not sent.
func TestNotSent(t *testing.T) {
	w := newWorkspace(t, false, says(200, `{}`))
	c, ctx := w.client(t), soon(t)
	check := func(what string, err error, kind Kind) {
		t.Helper()
		if e := wants(t, err, kind, false); !e.NotSent || e.MayHaveApplied() || !strings.HasPrefix(e.Message, "not sent: ") {
			t.Errorf("%q: got %+v", what, e)
		}
	}
	for _, name := range []string{"", "shop", "projects/shop/branches/b/endpoints/", "projects/../branches/b/endpoints/e", "projects/p/branches/b/endpoints/e/x",
		"projects/p/branches/b/endpoints/e?x", "projects/p/branches/b/endpoints/%2e", "instances/", "instances/.", "instances/..", "instances/a/b",
		"instances/../credentials", "instances/a?b", "instances/a%2fb", "instances/a#b", "instances/a b", "instances/ü"} {
		check(name, second(c.Endpoint(ctx, bearer, name)), KindEndpointMalformed)
	}
	for _, parent := range []string{"", "shop", "projects/", "projects/..", "projects/a?b", "projects/a b", "projects/a/branches", "instances/shop", "projects/a/branches/b/endpoints/e", "projects/a%2fb"} {
		check(parent, second(c.Branches(ctx, bearer, parent)), KindEndpointMalformed)
		check(parent, second(c.Endpoints(ctx, bearer, parent)), KindEndpointMalformed)
	}
	for _, id := range []string{"", ".", "..", "a/b", "a?b", "a%2fb", "a b", "é", strings.Repeat("a", 129)} {
		check(id, c.DeleteClientSecret(ctx, bearer, "41", id), KindSecretNotFound)
		check(id, c.DeleteClientSecret(ctx, bearer, id, "s"), KindSecretNotFound)
		check(id, second(c.ClientSecrets(ctx, bearer, id)), KindSecretNotFound)
	}
	good := credential.NewSecret("good-0123456789")
	for _, bad := range []string{"", "a b", "a\nb", "ü", strings.Repeat("a", maxToken+1)} {
		s := credential.NewSecret(bad)
		check(bad, second(c.DatabaseCredential(ctx, s, endpointName, 0)), KindBearerRefused)
		check(bad, second(c.Me(ctx, s)), KindBearerRefused)
		check(bad, second(c.Projects(ctx, s)), KindBearerRefused)
		check(bad, second(c.RefreshedToken(ctx, s)), KindRefreshRefused)
		check(bad, second(c.CodeToken(ctx, s, good, redirectURI)), KindCodeRefused)
		check(bad, second(c.CodeToken(ctx, good, s, redirectURI)), KindCodeRefused)
		check(bad, second(c.FederatedToken(ctx, "", s)), KindFederationRefused)
	}
	wants(t, second(c.WorkspaceToken(ctx, clientID, credential.Secret{})), KindInvalidClient, false)
	if len(w.seen) != 0 {
		t.Errorf("%d requests were sent", len(w.seen))
	}
	_ = c.DeleteClientSecret(ctx, bearer, "41", "8c1f0a52-0000_x.y=~")
	_, _ = c.Endpoint(ctx, bearer, "instances/My-Instance_2")
	if len(w.seen) != 2 || w.seen[1].URL.Path != "/api/2.0/database/instances/My-Instance_2" {
		t.Errorf("valid names: %d requests", len(w.seen))
	}
}
