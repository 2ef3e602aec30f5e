package exchange

import "strings"

// kindOf judges a refusal by its status and by what it says.
func kindOf(r request, status int, said refusal) Kind {
	switch {
	case status == 429 || status < 500 && said.code == "REQUEST_LIMIT_EXCEEDED":
		return KindRateLimited
	case status >= 502 && status <= 504:
		return KindUnavailable
	case status >= 500:
		return KindServerError
	case strings.Contains(said.message, "workspace-access entitlement"):
		return KindEntitlement
	case status == 403:
		return KindPermissionDenied
	case said.page:
		return KindNotJSON
	}
	if kind := ofCall(r, status, said); kind != "" {
		return kind
	}
	if !said.json && said.code == "" {
		return KindNotJSON
	}
	return KindRefused
}

// ofCall gives what a refusal means for this call alone, or nothing.
func ofCall(r request, status int, said refusal) Kind {
	switch r.call {
	case CallWorkspaceToken:
		if status == 401 || said.code == "invalid_client" || strings.Contains(said.message, "Missing client authentication") {
			return KindInvalidClient
		}
		return ""
	case CallRefresh, CallCode, CallFederation:
		return ofGrant(r.call, status, said)
	case CallDiscovery, CallClock: // nobody signed in, so nobody was turned away
		return ""
	}
	if status == 401 {
		return KindBearerRefused
	}
	switch r.call {
	case CallDatabaseCredential, CallEndpoint, CallInstanceCredential, CallInstance, CallProjects, CallBranches, CallEndpoints:
		return ofTarget(r, status, said)
	case CallPrincipal, CallListSecrets, CallCreateSecret, CallDeleteSecret:
		if noSuchThing(status, said) {
			return KindSecretNotFound
		}
		if r.call == CallCreateSecret && quotaUsedUp(said.code) {
			return KindTooManySecrets
		}
	}
	return ""
}

// ofGrant knows the refusals that are about the token or code that was sent:
// invalid_grant (RFC 6749 5.2), and the workspace's own "Refresh token is
// invalid" (databricks-sdk-go credentials/u2m). One that is about the public
// client, which an account can forbid, is none of them.
func ofGrant(call Call, status int, said refusal) Kind {
	if status != 400 && status != 401 || !said.json {
		return ""
	}
	client := said.code == "invalid_client" || said.code == "unauthorized_client"
	grant := status == 401 && !client || said.code == "invalid_grant"
	switch call {
	case CallFederation: // its client is the service principal, so all of it is about the policy
		return KindFederationRefused
	case CallRefresh:
		if grant || said.code == "invalid_request" && strings.Contains(strings.ToLower(said.message), "refresh token") {
			return KindRefreshRefused
		}
	case CallCode:
		if grant {
			return KindCodeRefused
		}
	}
	return ""
}

// ofTarget knows what the workspace says of projects, branches, endpoints and
// instances.
func ofTarget(r request, status int, said refusal) Kind {
	switch {
	case strings.Contains(said.message, "endpoint is disabled"):
		return KindEndpointDisabled
	case said.code == "INVALID_PARAMETER_VALUE" && !aboutTTL(r, said.message):
		return KindEndpointMalformed
	case noSuchThing(status, said):
		return KindEndpointNotFound
	}
	return ""
}

// aboutTTL keeps a refused ttl from being reported as a bad endpoint.
func aboutTTL(r request, message string) bool {
	return r.call == CallDatabaseCredential && strings.Contains(strings.ToLower(message), "ttl")
}

// quotaUsedUp knows the codes that stand for a count that is full
// (databricks-sdk-go apierr). Which of them the secrets' API gives is not known.
func quotaUsedUp(code string) bool {
	switch code {
	case "RESOURCE_LIMIT_EXCEEDED", "QUOTA_EXCEEDED", "RESOURCE_EXHAUSTED", "MAX_LIMIT_EXCEEDED":
		return true
	}
	return false
}

// noSuchThing tells a missing endpoint or secret from a missing API: Databricks names
// the latter ENDPOINT_NOT_FOUND (databricks/databricks-cli#383) or "Bad Target"
// (apache/airflow#60444).
func noSuchThing(status int, said refusal) bool {
	switch said.code {
	case "NOT_FOUND", "RESOURCE_DOES_NOT_EXIST":
		return true
	case "":
		return status == 404 && said.json && said.message != "" && !strings.HasPrefix(said.message, "Bad Target")
	}
	return false
}
