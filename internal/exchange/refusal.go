package exchange

import (
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// flexString is a string or a number; anything else reads as empty.
type flexString string

// UnmarshalJSON never fails.
func (f *flexString) UnmarshalJSON(b []byte) error {
	var s string
	var n json.Number
	if json.Unmarshal(b, &s) == nil {
		*f = flexString(s)
	} else if json.Unmarshal(b, &n) == nil {
		*f = flexString(n)
	}
	return nil
}

// wireError is every form of a Databricks error: the API's error_code, a string or a
// number, with google.rpc details; SCIM's detail; and OAuth's error (databricks-sdk-go
// apierr/errors.go, RFC 6749 5.2). Types are not trusted.
type wireError struct {
	ErrorCode        flexString `json:"error_code"`
	Message          flexString `json:"message"`
	OAuthError       flexString `json:"error"`
	ErrorDescription flexString `json:"error_description"`
	ErrorID          flexString `json:"error_id"`
	Detail           flexString `json:"detail"`
	SCIMType         flexString `json:"scimType"`
	Details          []struct {
		RequestID flexString `json:"request_id"` // of google.rpc.RequestInfo
	} `json:"details"`
	AccessToken  flexString `json:"access_token"`
	Token        flexString `json:"token"`
	Secret       flexString `json:"secret"`
	RefreshToken flexString `json:"refresh_token"`
	IDToken      flexString `json:"id_token"`
	Value        flexString `json:"value"`
}

// refusal is the content of a 4xx or 5xx reply.
type refusal struct {
	code, message, requestID string
	json                     bool
	page                     bool                // a web page that is not Databricks' own
	tokens                   []credential.Secret // that it contains by mistake
}

// parseRefusal reads JSON, a web page whose message is in <pre>, or plain text, with
// or without a code.
func parseRefusal(body []byte) refusal {
	text := strings.TrimSpace(string(body))
	if strings.HasPrefix(text, "{") {
		var w wireError
		var wrongType *json.UnmarshalTypeError // of a detail, which is then left out
		if err := json.Unmarshal([]byte(text), &w); err != nil && !errors.As(err, &wrongType) {
			return refusal{} // cut short: the rest may hold anything
		}
		return w.refusal()
	}
	if strings.HasPrefix(text, "<") {
		if pre := between(text, "<pre>", "</pre>"); pre != "" {
			return refusal{message: pre}
		}
		return refusal{message: between(text, "<title>", "</title>"), page: true}
	}
	if code, message, ok := strings.Cut(text, ": "); ok && code != "" && strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == "" {
		return refusal{code: code, message: message}
	}
	return refusal{message: text}
}

func (w wireError) refusal() refusal {
	scim := flexString(strings.TrimSpace(string(w.SCIMType + " " + w.Detail)))
	r := refusal{json: true, code: string(w.ErrorCode), message: string(cmp.Or(w.Message, w.ErrorDescription, scim)),
		requestID: string(w.ErrorID)}
	for _, d := range w.Details {
		r.requestID = cmp.Or(string(d.RequestID), r.requestID)
	}
	// OAuth's error is a code; a gateway's ("Bad Target: /api/…") is a sentence.
	if oauth := string(w.OAuthError); strings.ContainsAny(oauth, " :") {
		r.message = cmp.Or(r.message, oauth)
	} else {
		r.code = cmp.Or(r.code, oauth)
	}
	for _, t := range []flexString{w.AccessToken, w.Token, w.Secret, w.RefreshToken, w.IDToken, w.Value} {
		r.tokens = append(r.tokens, credential.NewSecret(string(t)))
	}
	return r
}

// between returns the text between two marks, or nothing.
func between(text, from, to string) string {
	_, rest, _ := strings.Cut(text, from)
	inside, _, ok := strings.Cut(rest, to)
	if !ok {
		return ""
	}
	return strings.TrimSpace(inside)
}

// refusalKind classifies a refusal by its status and content, and by the call. An invalid
// grant is a refusal of the token or code that was sent (RFC 6749 5.2); one about the
// public client, which an account can forbid, is not.
func refusalKind(call Call, status int, said refusal) Kind {
	is := func(calls ...Call) bool { return slices.Contains(calls, call) }
	about := func(text string) bool { return strings.Contains(strings.ToLower(said.message), text) }
	public := said.code == "invalid_client" || said.code == "unauthorized_client"
	grant := said.json && (status == 401 && !public || status == 400 && said.code == "invalid_grant")
	target := is(CallDatabaseCredential, CallInstanceCredential, CallEndpoint, CallInstance, CallList)
	secret := is(CallListSecrets, CallCreateSecret, CallDeleteSecret)
	role := is(CallRoles, CallCreateRole, CallRoleOperation)
	switch {
	case status == 429 || status < 500 && said.code == "REQUEST_LIMIT_EXCEEDED":
		return KindRateLimited
	case status >= 502 && status <= 504:
		return KindUnavailable
	case status >= 500:
		return KindServerError
	// The first is RFC 6749's; the second is of a secret that is limited to other scopes
	// (databricks/databricks-sql-go#476).
	case said.code == "invalid_scope", said.code == "access_denied" && about("scope"):
		return KindScopeRefused
	// "Provided OAuth token does not have required scopes: sql", "Invalid scope, required scopes: sql".
	case about("required scopes"):
		return KindScopeMissing
	case about("workspace-access entitlement"):
		return KindEntitlement
	case status == 403:
		return KindPermissionDenied
	case said.page:
		return KindNotJSON
	case call == CallWorkspaceToken && (status == 401 || said.code == "invalid_client" || about("missing client authentication")):
		return KindInvalidClient
	// "Refresh token is invalid" (databricks-sdk-go credentials/u2m).
	case call == CallRefresh && (grant || status == 400 && said.code == "invalid_request" && about("refresh token")):
		return KindRefreshRefused
	case call == CallCode && grant:
		return KindCodeRefused
	// Its client is the service principal, so each refusal is about the policy.
	case call == CallFederation && said.json && (status == 400 || status == 401):
		return KindFederationRefused
	case status == 401 && !is(CallWorkspaceToken, CallRefresh, CallCode, CallFederation, CallDiscovery):
		return KindBearerRefused
	case call == CallCreateSecret && slices.Contains(limitCodes, said.code):
		return KindTooManySecrets
	case secret && notFound(status, said):
		return KindSecretNotFound
	// databricks/cli libs/testserver
	case role && (said.code == "ALREADY_EXISTS" || said.code == "RESOURCE_ALREADY_EXISTS" || about("already exists")):
		return KindRoleExists
	case target && about("endpoint is disabled"):
		return KindEndpointDisabled
	case target && said.code == "INVALID_PARAMETER_VALUE" && !(call == CallDatabaseCredential && about("ttl")):
		return KindEndpointMalformed
	case (target || role) && notFound(status, said):
		return KindEndpointNotFound
	case !said.json && said.code == "":
		return KindNotJSON
	}
	return KindRefused
}

// limitCodes are those of databricks-sdk-go apierr; which of them the secrets' API uses is
// not documented.
var limitCodes = []string{"RESOURCE_LIMIT_EXCEEDED", "QUOTA_EXCEEDED", "RESOURCE_EXHAUSTED", "MAX_LIMIT_EXCEEDED"}

// notFound distinguishes a missing endpoint or secret from a missing API, which
// Databricks calls ENDPOINT_NOT_FOUND (databricks/databricks-cli#383) or "Bad Target"
// (apache/airflow#60444).
func notFound(status int, said refusal) bool {
	switch said.code {
	case "NOT_FOUND", "RESOURCE_DOES_NOT_EXIST":
		return true
	case "":
		return status == 404 && said.json && said.message != "" && !strings.HasPrefix(said.message, "Bad Target")
	}
	return false
}
