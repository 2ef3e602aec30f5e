package exchange

import (
	"testing"
)

// The kind decides about retries, the message and the hint.
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
		{token, 401, "<!doctype html><title>Sign in</title>", KindNotJSON, applied, "", "Sign in"},
		{token, 403, "<html><title>Forbidden</title>", KindPermissionDenied, 0, "", "Forbidden"},
		{token, 502, `<html><title>Bad Gateway</title></html>`, KindUnavailable, retry | applied, "", "Bad Gateway"},
		{db, 403, `{"error_code":"PERMISSION_DENIED","message":"This API is disabled for users without the workspace-access entitlement."}`, KindEntitlement, 0, "PERMISSION_DENIED", "This API is disabled for users without the workspace-access entitlement."},
		{db, 403, `{"error_code":403,"message":"Invalid access"}`, KindPermissionDenied, 0, "403", "Invalid access"},
		{db, 403, "<html><body><pre>IP is\nblocked</pre></body></html>", KindPermissionDenied, 0, "", "IP is\nblocked"},
		{db, 401, `Credential was not sent or was of an unsupported type for this API.`, KindBearerRefused, 0, "", "Credential was not sent or was of an unsupported type for this API."},
		{db, 400, `{"error_code":"INVALID_PARAMETER_VALUE","message":"Field 'endpoint' is required"}`, KindEndpointMalformed, 0, "INVALID_PARAMETER_VALUE", "Field 'endpoint' is required"},
		{db, 400, `{"error_code":"INVALID_PARAMETER_VALUE","message":"ttl must be at least 300s"}`, KindRefused, 0, "INVALID_PARAMETER_VALUE", "ttl must be at least 300s"},
		{db, 400, `{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"no"}`, KindEndpointNotFound, 0, "RESOURCE_DOES_NOT_EXIST", "no"},
		{db, 400, `{"error_code":"FAILED_PRECONDITION","message":"the endpoint is disabled"}`, KindEndpointDisabled, 0, "FAILED_PRECONDITION", "the endpoint is disabled"},
		{db, 429, `{"error_code":"RESOURCE_EXHAUSTED","message":"slow down"}`, KindRateLimited, retry, "RESOURCE_EXHAUSTED", "slow down"},
		{db, 400, `REQUEST_LIMIT_EXCEEDED: slow down`, KindRateLimited, retry, "REQUEST_LIMIT_EXCEEDED", "slow down"},
		{db, 503, `{"error_code":"TEMPORARILY_UNAVAILABLE","message":"later"}`, KindUnavailable, retry | applied, "TEMPORARILY_UNAVAILABLE", "later"},
		{db, 500, `{"error_code":"INTERNAL_ERROR","message":"oops"}`, KindServerError, applied, "INTERNAL_ERROR", "oops"},
		{db, 409, `{"schemas":["x"],"detail":"exists","status":"409","scimType":"uniqueness"}`, KindRefused, 0, "", "uniqueness exists"},
		{db, 418, `[1]`, KindNotJSON, applied, "", "[1]"},
		{ep, 404, `{"error_code":"NOT_FOUND","message":"endpoint id not found [TraceId: x]"}`, KindEndpointNotFound, 0, "NOT_FOUND", "endpoint id not found [TraceId: x]"},
		{ep, 404, `{"message":"no such thing"}`, KindEndpointNotFound, 0, "", "no such thing"},
		{ep, 404, `{"error_code":"ENDPOINT_NOT_FOUND","message":"No API found for 'GET /postgres'"}`, KindRefused, 0, "ENDPOINT_NOT_FOUND", "No API found for 'GET /postgres'"},
		{ep, 404, `{"error":"Bad Target: /api/2.0/postgres"}`, KindRefused, 0, "", "Bad Target: /api/2.0/postgres"},
		{ep, 404, `404 page not found`, KindNotJSON, applied, "", "404 page not found"},
		{CallInstance, 404, `{"error_code":"NOT_FOUND","message":"Database instance 'shop' not found."}`, KindEndpointNotFound, 0, "NOT_FOUND", "Database instance 'shop' not found."},
		{CallInstanceCredential, 400, `{"error_code":"INVALID_PARAMETER_VALUE","message":"the ttl of a name"}`, KindEndpointMalformed, 0, "INVALID_PARAMETER_VALUE", "the ttl of a name"},
		{CallInstanceCredential, 404, `{"error_code":"ENDPOINT_NOT_FOUND","message":"No API found"}`, KindRefused, 0, "ENDPOINT_NOT_FOUND", "No API found"},

		{refresh, 400, `{"error":"invalid_grant","error_description":"revoked"}`, KindRefreshRefused, 0, "invalid_grant", "revoked"},
		{refresh, 401, `{"error":"invalid_grant"}`, KindRefreshRefused, 0, "invalid_grant", ""},
		{refresh, 400, `{"error":"invalid_request","error_description":"Refresh token is invalid"}`, KindRefreshRefused, 0, "invalid_request", "Refresh token is invalid"},
		{refresh, 400, `{"error":"invalid_request","error_description":"scope"}`, KindRefused, 0, "invalid_request", "scope"},
		{refresh, 401, `{"error":"invalid_client"}`, KindRefused, 0, "invalid_client", ""}, // the public client is forbidden
		{refresh, 403, `{"error_code":403,"message":"IP"}`, KindPermissionDenied, 0, "403", "IP"},
		{CallCode, 400, `{"error":"invalid_grant"}`, KindCodeRefused, 0, "invalid_grant", ""},
		{CallCode, 400, `{"error":"unauthorized_client"}`, KindRefused, 0, "unauthorized_client", ""},
		{federation, 400, `{"error":"invalid_grant"}`, KindFederationRefused, 0, "invalid_grant", ""},
		{federation, 401, `{"error":"invalid_client"}`, KindFederationRefused, 0, "invalid_client", ""},

		{CallProjects, 404, `{"error_code":"NOT_FOUND","message":"x"}`, KindEndpointNotFound, 0, "NOT_FOUND", "x"},
		{CallBranches, 400, `{"error_code":"INVALID_PARAMETER_VALUE","message":"x"}`, KindEndpointMalformed, 0, "INVALID_PARAMETER_VALUE", "x"},
		{CallEndpoints, 401, `{}`, KindBearerRefused, 0, "", ""},
		{CallGitHub, 401, `{"message":"x"}`, KindBearerRefused, 0, "", "x"},
		{CallMe, 404, `{}`, KindRefused, 0, "", ""},

		{CallDeleteSecret, 404, `{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"no"}`, KindSecretNotFound, 0, "RESOURCE_DOES_NOT_EXIST", "no"},
		{list, 404, `{"error_code":"ENDPOINT_NOT_FOUND","message":"no"}`, KindRefused, 0, "ENDPOINT_NOT_FOUND", "no"},
		{create, 400, `{"error_code":"RESOURCE_LIMIT_EXCEEDED","message":"no"}`, KindTooManySecrets, 0, "RESOURCE_LIMIT_EXCEEDED", "no"},
		{create, 400, `{"error_code":"INVALID_PARAMETER_VALUE","message":"lifetime"}`, KindRefused, 0, "INVALID_PARAMETER_VALUE", "lifetime"},
		{list, 401, `{"error_code":"UNAUTHENTICATED","message":"no"}`, KindBearerRefused, 0, "UNAUTHENTICATED", "no"},
	} {
		said := parseRefusal([]byte(tc.body))
		e := &Error{Call: tc.call, Status: tc.status, Kind: refusalKind(tc.call, tc.status, said)}
		again, _ := e.Retryable()
		if e.Kind != tc.kind || said.code != tc.code || said.message != tc.message || again != (tc.flags&retry != 0) || MayHaveApplied(e) != (tc.flags&applied != 0) {
			t.Errorf("%s, %d %s: got %q, %+v, retryable %v, applied %v", tc.call, tc.status, tc.body, e.Kind, said, again, MayHaveApplied(e))
		}
	}
}
