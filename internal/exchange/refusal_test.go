package exchange

import (
	"slices"
	"testing"
)

// Every form of a refusal is read.
func TestParseRefusal(t *testing.T) {
	for body, want := range map[string]struct{ code, message string }{
		`{"error_code":"NOT_FOUND","message":"no"}`:                  {"NOT_FOUND", "no"},
		`{"error_code":403,"message":"Invalid access"}`:              {"403", "Invalid access"},
		`{"error":"invalid_client","error_description":"failed"}`:    {"invalid_client", "failed"},
		`{"error":"Bad Target: /api/2.0/postgres"}`:                  {"", "Bad Target: /api/2.0/postgres"},
		`{"detail":"exists","status":"409","scimType":"uniqueness"}`: {"", "uniqueness exists"},
		`{"error_code":"NOT_FOUND","message":"cut sh`:                {"", ""},
		`REQUEST_LIMIT_EXCEEDED: slow down`:                          {"REQUEST_LIMIT_EXCEEDED", "slow down"},
		`404 page not found`:                                         {"", "404 page not found"},
		"<html><body><pre>IP is\nblocked</pre></body></html>":        {"", "IP is\nblocked"},
		`<html><title>Bad Gateway</title></html>`:                    {"", "Bad Gateway"},
		`[1]`: {"", "[1]"},
		`{"message":"m","details":["odd",{"@type":7,"request_id":[7]}]}`: {"", "m"},
	} {
		if got := parseRefusal([]byte(body)); got.code != want.code || got.message != want.message || got.requestID != "" {
			t.Errorf("%s: got %+v, want %+v", body, got, want)
		}
	}
}

// The kind decides about retries, the message and the hint.
func TestRefusals(t *testing.T) {
	const db = CallDatabaseCredential
	retryable := []Kind{KindRateLimited, KindUnavailable}
	applied := []Kind{KindUnavailable, KindServerError, KindNotJSON}
	for _, tc := range []struct {
		call   Call
		status int
		body   string
		kind   Kind
	}{
		{CallWorkspaceToken, 401, `{"error":"invalid_client"}`, KindInvalidClient},
		{CallWorkspaceToken, 400, `{"error":"invalid_client"}`, KindInvalidClient},
		{CallWorkspaceToken, 400, `{"error":"invalid_request","error_description":"Missing client authentication"}`, KindInvalidClient},
		{CallWorkspaceToken, 400, `{"error":"invalid_scope"}`, KindScopeRefused},
		{CallWorkspaceToken, 401, `{"error":"access_denied","error_description":"Scopes 'all-apis' are not assigned"}`, KindScopeRefused},
		{CallRefresh, 400, `{"error":"invalid_scope"}`, KindScopeRefused},
		{CallFederation, 400, `{"error":"invalid_scope"}`, KindScopeRefused},
		{CallMe, 403, `{"error_code":403,"message":"Provided OAuth token does not have required scopes: scim"}`, KindScopeMissing},
		{db, 403, `{"error_code":"PERMISSION_DENIED","message":"Invalid scope, required scopes: postgres"}`, KindScopeMissing},
		{CallWorkspaceToken, 401, "<!doctype html><title>Sign in</title>", KindNotJSON},
		{CallWorkspaceToken, 403, "<html><title>Forbidden</title>", KindPermissionDenied},
		{CallWorkspaceToken, 502, `<html><title>Bad Gateway</title></html>`, KindUnavailable},
		{db, 403, `{"error_code":"PERMISSION_DENIED","message":"needs the workspace-access entitlement"}`, KindEntitlement},
		{db, 403, `{"error_code":403,"message":"Invalid access"}`, KindPermissionDenied},
		{db, 403, "<html><body><pre>IP is\nblocked</pre></body></html>", KindPermissionDenied},
		{db, 401, `Credential was not sent`, KindBearerRefused},
		{db, 400, `{"error_code":"INVALID_PARAMETER_VALUE","message":"Field 'endpoint' is required"}`, KindEndpointMalformed},
		{db, 400, `{"error_code":"INVALID_PARAMETER_VALUE","message":"ttl must be at least 300s"}`, KindRefused},
		{db, 400, `{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"no"}`, KindEndpointNotFound},
		{db, 400, `{"error_code":"FAILED_PRECONDITION","message":"the endpoint is disabled"}`, KindEndpointDisabled},
		{db, 429, `{"error_code":"RESOURCE_EXHAUSTED","message":"slow down"}`, KindRateLimited},
		{db, 400, `REQUEST_LIMIT_EXCEEDED: slow down`, KindRateLimited},
		{db, 503, `{"error_code":"TEMPORARILY_UNAVAILABLE","message":"later"}`, KindUnavailable},
		{db, 500, `{"error_code":"INTERNAL_ERROR","message":"oops"}`, KindServerError},
		{db, 409, `{"schemas":["x"],"detail":"exists","status":"409","scimType":"uniqueness"}`, KindRefused},
		{db, 418, `[1]`, KindNotJSON},
		{CallEndpoint, 404, `{"error_code":"NOT_FOUND","message":"endpoint id not found [TraceId: x]"}`, KindEndpointNotFound},
		{CallEndpoint, 404, `{"message":"no such thing"}`, KindEndpointNotFound},
		{CallEndpoint, 404, `{"error_code":"ENDPOINT_NOT_FOUND","message":"No API found for 'GET /postgres'"}`, KindRefused},
		{CallEndpoint, 404, `{"error":"Bad Target: /api/2.0/postgres"}`, KindRefused},
		{CallEndpoint, 404, `404 page not found`, KindNotJSON},
		{CallInstance, 404, `{"error_code":"NOT_FOUND","message":"Database instance 'shop' not found."}`, KindEndpointNotFound},
		{CallInstanceCredential, 400, `{"error_code":"INVALID_PARAMETER_VALUE","message":"the ttl of a name"}`, KindEndpointMalformed},
		{CallInstanceCredential, 404, `{"error_code":"ENDPOINT_NOT_FOUND","message":"No API found"}`, KindRefused},

		{CallRefresh, 400, `{"error":"invalid_grant","error_description":"revoked"}`, KindRefreshRefused},
		{CallRefresh, 401, `{"error":"invalid_grant"}`, KindRefreshRefused},
		{CallRefresh, 400, `{"error":"invalid_request","error_description":"Refresh token is invalid"}`, KindRefreshRefused},
		{CallRefresh, 400, `{"error":"invalid_request","error_description":"scope"}`, KindRefused},
		{CallRefresh, 401, `{"error":"invalid_client"}`, KindRefused}, // the public client is forbidden
		{CallRefresh, 403, `{"error_code":403,"message":"IP"}`, KindPermissionDenied},
		{CallCode, 400, `{"error":"invalid_grant"}`, KindCodeRefused},
		{CallCode, 400, `{"error":"unauthorized_client"}`, KindRefused},
		{CallFederation, 400, `{"error":"invalid_grant"}`, KindFederationRefused},
		{CallFederation, 401, `{"error":"invalid_client"}`, KindFederationRefused},

		{CallList, 404, `{"error_code":"NOT_FOUND","message":"x"}`, KindEndpointNotFound},
		{CallList, 400, `{"error_code":"INVALID_PARAMETER_VALUE","message":"x"}`, KindEndpointMalformed},
		{CallList, 401, `{}`, KindBearerRefused},
		{CallGitHub, 401, `{"message":"x"}`, KindBearerRefused},
		{CallMe, 404, `{}`, KindRefused},

		{CallDeleteSecret, 404, `{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"no"}`, KindSecretNotFound},
		{CallListSecrets, 404, `{"error_code":"ENDPOINT_NOT_FOUND","message":"no"}`, KindRefused},
		{CallCreateSecret, 400, `{"error_code":"RESOURCE_LIMIT_EXCEEDED","message":"no"}`, KindTooManySecrets},
		{CallCreateSecret, 400, `{"error_code":"INVALID_PARAMETER_VALUE","message":"lifetime"}`, KindRefused},
		{CallListSecrets, 401, `{"error_code":"UNAUTHENTICATED","message":"no"}`, KindBearerRefused},
	} {
		e := &Error{Call: tc.call, Status: tc.status, Kind: refusalKind(tc.call, tc.status, parseRefusal([]byte(tc.body)))}
		again := e.Verdict().Retry
		if e.Kind != tc.kind || again != slices.Contains(retryable, tc.kind) || MayHaveApplied(e) != slices.Contains(applied, tc.kind) {
			t.Errorf("%s, %d %s: got %q, retryable %v, applied %v", tc.call, tc.status, tc.body, e.Kind, again, MayHaveApplied(e))
		}
	}
}
