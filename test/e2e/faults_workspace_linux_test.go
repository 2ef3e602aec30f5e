package e2e

import (
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

const (
	callToken       = emulator.CallToken
	callCredentials = emulator.CallCredentials
	callEndpoint    = emulator.CallEndpoint
	callInstance    = emulator.CallInstance
	callInstCreds   = emulator.CallInstanceCredentials
	callDiscovery   = emulator.CallDiscovery
)

// Hints that several cases have.
const (
	hintHost     = `^check DATABRICKS_HOST: it must be the workspace's own address`
	hintNetwork  = `^check DATABRICKS_HOST and the network, and try again; --timeout allows more time$`
	hintClientID = `^check DATABRICKS_HOST and the client ID, and try again$`
	hintLater    = `^try again later; if it persists, ask Databricks' support, and tell the time and the request ID$`
	hintRate     = `^try again later; processes that share the token cache need one call only$`
)

func faults(list ...emulator.Fault) emulator.Settings { return emulator.Settings{Faults: list} }

// once and always answer a call with a status, and the JSON error that belongs to it.
func once(call emulator.Call, status int) emulator.Fault { return emulator.Answer(call, 1, status, "") }
func always(call emulator.Call, status int) emulator.Fault {
	return emulator.Answer(call, -1, status, "")
}

func reply(call emulator.Call, status int, body string) emulator.Fault {
	return emulator.Fault{Call: call, Times: -1, Status: status, Body: body}
}

func after(call emulator.Call, status int, retryAfter string) emulator.Fault {
	return emulator.Answer(call, 1, status, retryAfter)
}

// badToken and badCredentials want a reply to be refused for this reason.
func badToken(reason string) wanted {
	return fails(122, `unexpected response: `+reason+`$`, hintHost, 1, 0, 0)
}
func badCredentials(reason string) wanted {
	return fails(122, `unexpected response: `+reason+`$`, hintHost, 1, 1, 0)
}

// hostileText contains terminal escapes; escapedText is how it is shown.
const (
	hostileText = `a\u001b[31mred\u001b]0;title\u0007\b\r\u009b2J\u202etxt\u200b\u0000end`
	escapedText = `a\\x1B\[31mred\\x1B\]0;title\\x07\\x08( |\\x0D)*\\xC2\\x9B2J\\xE2\\x80\\xAEtxt\\xE2\\x80\\x8B\\x00end`
)

var workspaceFaults = []faultCase{
	// Bodies. internal/exchange tests the values of each field.
	{name: "body: not JSON", with: faults(reply(callToken, 200, "ok, here you are")),
		want: badToken("the reply is not JSON").call(callDiscovery, 2)},
	{name: "body: larger than 1 MiB", with: faults(emulator.Fault{Call: callCredentials, Times: -1, Pad: 2_000_000}),
		want: badCredentials("HTTP 200: the reply is larger than 1 MiB")},
	{name: "body: drips beyond the timeout", run: "lakebase-exec --timeout 5s",
		with: faults(emulator.Fault{Call: callToken, Times: -1, Slow: 20 * time.Second}),
		want: fails(122, `not reachable, or no response: `, hintNetwork, 1, 0, 0)},
	{name: "body: dropped each time", run: "lakebase-exec --timeout 5s",
		with: faults(emulator.Fault{Call: callCredentials, Times: -1, Drop: true}),
		want: fails(122, `not reachable, or no response: .*\([2-9] attempts in .*\)$`, hintNetwork, 1, retried, 0)},

	// Statuses of the token call.
	{name: "token: 401 invalid_client",
		with: faults(reply(callToken, 401, `{"error":"invalid_client","error_description":"a parameter is missing"}`)),
		want: fails(122, `invalid client ID or secret: HTTP 401 invalid_client: a parameter is missing$`,
			`^check the client ID, and whether the secret was revoked or has expired; store a new one with: lakebase-credential-helper login$`, 1, 0, 0)},
	{name: "token: no answer", run: "lakebase-exec --timeout 1s", with: emulator.Settings{Latency: 30 * time.Second},
		want: fails(122, `not reachable, or no response`, hintNetwork, 0, 0, 0)},

	// Statuses of the calls for an endpoint.
	{name: "credentials: no entitlement", with: emulator.Settings{NoWorkspaceAccess: true},
		want: fails(122, `the service principal has no workspace access: HTTP 403 PERMISSION_DENIED`,
			`^ask a workspace admin to enable "Workspace access" for the service principal$`, 1, 1, 0)},
	{name: "credentials: 403", with: faults(always(callCredentials, 403)),
		want: fails(122, `permission denied: HTTP 403 PERMISSION_DENIED: emulated fault 403$`,
			`^give the service principal CAN USE on the project$`, 1, 1, 0)},
	{name: "credentials: no such endpoint",
		with: faults(reply(callCredentials, 404, `{"error_code":"NOT_FOUND","message":"endpoint id not found [TraceId: 0123456789abcdef]"}`)),
		want: fails(122, `endpoint not found, or not visible to this service principal: HTTP 404 NOT_FOUND: endpoint id not found \[TraceId: 0123456789abcdef\]$`,
			`^check ENDPOINT_NAME, and that the service principal may use the project; list the endpoints with: lakebase-credential-helper endpoints$`, 1, 1, 0)},
	{name: "credentials: 500 with a request ID",
		with: faults(reply(callCredentials, 500, `{"error_code":"INTERNAL_ERROR","message":"boom","details":[{"@type":"type.googleapis.com/google.rpc.RequestInfo","request_id":"req-42"}]}`)),
		want: fails(122, `server error: HTTP 500 INTERNAL_ERROR: boom, request req-42$`, hintLater, 1, 1, 0)},
	{name: "credentials: 503 and a rate limit told by code are retried",
		with: faults(once(callCredentials, 503), emulator.Fault{Call: callCredentials, Status: 400,
			Body: `{"error_code":"REQUEST_LIMIT_EXCEEDED","message":"slow down"}`}),
		want: succeeds(1, 3, 1)},
	{name: "credentials: 429 each time", run: "lakebase-exec --timeout 5s", with: faults(always(callCredentials, 429)),
		want: fails(122, `rate limit exceeded: HTTP 429 .*\([2-9] attempts in `, hintRate, 1, retried, 0)},
	{name: "endpoint: 404", env: []string{"PGHOST="},
		with: faults(reply(callEndpoint, 404, `{"error_code":"NOT_FOUND","message":"endpoint id not found"}`)),
		want: fails(122, `endpoint not found, or not visible to this service principal: HTTP 404 NOT_FOUND`,
			`^check ENDPOINT_NAME, and that the service principal may use the project`, 1, optional, 0).call(callEndpoint, 1)},
	{name: "endpoint: 503 and 429 are retried", env: []string{"PGHOST="},
		with: faults(once(callEndpoint, 503), after(callEndpoint, 429, "1")),
		want: succeeds(1, 1, 1).call(callEndpoint, 3).atLeast(time.Second)},
	{name: "endpoint: disabled", env: []string{"PGHOST="}, with: emulator.Settings{EndpointDisabled: true},
		want: fails(122, `the endpoint is disabled: projects/shop/branches/production/endpoints/primary is disabled$`,
			`^enable the endpoint in the console: a login cannot wake it$`, 1, optional, 0).call(callEndpoint, 1)},
	{name: "endpoint: host with more than a host", env: []string{"PGHOST="},
		with: emulator.Settings{EndpointHost: "localhost user=postgres"},
		want: fails(120, `the host of projects/shop`, `^name the host with --pghost$`, 1, optional, 0).call(callEndpoint, 1)},

	// Instances.
	{name: "instance: 503 is retried", instance: true, env: []string{"PGHOST="},
		with: faults(once(callInstance, 503), once(callInstCreds, 503)),
		want: succeeds(1, 0, 1).call(callInstance, 2).call(callInstCreds, 2)},

	// Retry-After.
	{name: "Retry-After: date", with: faults(after(callCredentials, 503, "${date 3s}")),
		want: succeeds(1, 2, 1).atLeast(1500 * time.Millisecond)},

	// Escapes in a server's text are not sent to the terminal, and secrets in it are
	// redacted.
	{name: "text: token call", with: faults(reply(callToken, 400, `{"error":"invalid_request","error_description":"`+hostileText+`"}`)),
		want: fails(122, `request rejected: HTTP 400 invalid_request: `+escapedText+`$`, hintClientID, 1, 0, 0)},
	{name: "text: JSON log", run: "lakebase-exec --log-format json",
		with: faults(reply(callCredentials, 500, `{"error_code":"X","message":"`+hostileText+`"}`)),
		want: fails(122, `HTTP 500 X: `+escapedText+`$`, hintLater, 1, 1, 0)},

	{name: "get: ten seconds at most", run: "lakebase-credential-helper get --timeout 60s",
		with: emulator.Settings{Latency: 30 * time.Second},
		want: fails(122, `get's time limit of 10s is over: workspace .*not reachable, or no response`,
			`^give --wait TIME, which adds to the limit`, 0, 0, 0).atLeast(9 * time.Second)},
}
