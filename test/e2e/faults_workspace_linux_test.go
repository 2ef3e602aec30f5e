package e2e

import (
	"net/http"
	"strings"
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
	hintEndpoint = `^check DATABRICKS_HOST and ENDPOINT_NAME, and try again$`
	hintLater    = `^try again later; if it persists, ask Databricks' support, and tell the time and the request ID$`
	hintRate     = `^try again later; processes that share the token cache need one call only$`
	hintCA       = `^if a company proxy or private authority signed the certificate, pass the root certificate of that authority with --cacert$`
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

func withHeader(f emulator.Fault, name, value string) emulator.Fault {
	f.Header = http.Header{name: {value}}
	return f
}

// badToken and badCredentials want a reply to be refused for this reason.
func badToken(reason string) wanted {
	return fails(122, `unexpected response: `+reason+`$`, hintHost, 1, 0, 0)
}
func badCredentials(reason string) wanted {
	return fails(122, `unexpected response: `+reason+`$`, hintHost, 1, 1, 0)
}

func refusedRedirect(to string, token, credentials int) wanted {
	return fails(122, `request redirected, and credentials are never sent to a redirect target: HTTP 30[0-9]: `+to+`$`, hintHost, token, credentials, 0)
}

// hostileText contains terminal escapes; escapedText is how it is shown.
const (
	hostileText = `a\u001b[31mred\u001b]0;title\u0007\b\r\u009b2J\u202etxt\u200b\u0000end`
	escapedText = `a\\x1B\[31mred\\x1B\]0;title\\x07\\x08( |\\x0D)*\\xC2\\x9B2J\\xE2\\x80\\xAEtxt\\xE2\\x80\\x8B\\x00end`
)

var workspaceFaults = []faultCase{
	// Bodies. internal/exchange tests the values of each field.
	{name: "body: not JSON", with: faults(reply(callToken, 200, "ok, here you are")), want: badToken("the reply is not JSON").call(callDiscovery, 2)},
	{name: "body: empty", with: faults(reply(callToken, 200, " ")), want: badToken("the reply is empty").call(callDiscovery, 2)},
	{name: "body: gzip bomb", with: faults(emulator.Fault{Call: callToken, Times: -1, Gzip: 1, Pad: 2_000_000}),
		want: badToken("HTTP 200: the reply is larger than 1 MiB")},
	{name: "body: larger than 1 MiB", with: faults(emulator.Fault{Call: callCredentials, Times: -1, Pad: 2_000_000}),
		want: badCredentials("HTTP 200: the reply is larger than 1 MiB")},
	{name: "body: just under 1 MiB", with: faults(emulator.Fault{Call: callToken, Pad: 1_000_000}), want: succeeds(1, 1, 1)},
	{name: "body: token with a line break", with: faults(reply(callCredentials, 200, `{"token":"abc\ndef"}`)), want: badCredentials("its token holds characters that no token has")},
	{name: "body: token too long for an environment", with: faults(reply(callCredentials, 200, `{"token":"`+strings.Repeat("x", 100_000)+`"}`)),
		want: badCredentials("its token is longer than 64 KiB")},
	{name: "body: slow", with: faults(emulator.Fault{Call: callToken, Slow: time.Second / 2}), want: succeeds(1, 1, 1).atLeast(450 * time.Millisecond)},
	{name: "body: drips beyond the timeout", run: "lakebase-exec --timeout 5s", with: faults(emulator.Fault{Call: callToken, Times: -1, Slow: 20 * time.Second}),
		want: fails(122, `not reachable, or no response: `, hintNetwork, 1, 0, 0)},
	{name: "body: a refusal that drips is known by its status", run: "lakebase-exec --timeout 5s",
		with: faults(emulator.Fault{Call: callToken, Times: -1, Status: 403, Body: `{"error":"x"}`, Slow: 20 * time.Second}),
		want: fails(122, `permission denied: HTTP 403$`, `^ask a workspace admin`, 1, 0, 0)},
	{name: "body: dropped each time", run: "lakebase-exec --timeout 5s", with: faults(emulator.Fault{Call: callCredentials, Times: -1, Drop: true}),
		want: fails(122, `not reachable, or no response: .*\([2-9] attempts in .*\)$`, hintNetwork, 1, retried, 0)},
	{name: "body: cut short each time", run: "lakebase-exec --timeout 5s", with: faults(emulator.Fault{Call: callToken, Times: -1, Truncate: true}),
		want: fails(122, `not reachable, or no response: .*\([2-9] attempts in .*\)$`, hintNetwork, retried, 0, 0)},
	{name: "body: refusal of 2 MB", with: faults(reply(callToken, 400, `{"error":"invalid_request","error_description":"`+strings.Repeat("x", 2_000_000)+`"}`)),
		want: badToken("HTTP 400").call(callDiscovery, 2)},
	{name: "body: server error as a page", with: faults(withHeader(reply(callToken, 500, "<html><head><title>500</title></head><body><pre>java.lang.NullPointerException</pre></body></html>"), "Content-Type", "text/html")),
		want: fails(122, `server error: HTTP 500: java.lang.NullPointerException$`, hintLater, 1, 0, 0)},

	// Statuses of the token call.
	{name: "token: 401 invalid_client", with: faults(reply(callToken, 401, `{"error":"invalid_client","error_description":"a parameter is missing"}`)),
		want: fails(122, `invalid client ID or secret: HTTP 401 invalid_client: a parameter is missing$`,
			`^check the client ID, and whether the secret was revoked or has expired; store a new one with: lakebase-credential-helper login$`, 1, 0, 0)},
	{name: "token: a part of a reply", run: "lakebase-exec --timeout 5s", with: faults(reply(callToken, 206, `{"access_token":`)), want: fails(122, `cut short`, hintNetwork, retried, 0, 0)},
	{name: "token: no answer", run: "lakebase-exec --timeout 1s", with: emulator.Settings{Latency: 30 * time.Second}, want: fails(122, `not reachable, or no response`, hintNetwork, 0, 0, 0)},

	// Statuses of the calls for an endpoint.
	{name: "credentials: malformed endpoint name", with: faults(reply(callCredentials, 400, `{"error_code":"INVALID_PARAMETER_VALUE","message":"Field 'endpoint' is required, expected non-default value (not \"\")!"}`)),
		want: fails(122, `invalid endpoint name: HTTP 400 INVALID_PARAMETER_VALUE: Field 'endpoint' is required, expected non-default value`,
			`^check ENDPOINT_NAME: its form is projects/PROJECT/branches/BRANCH/endpoints/ENDPOINT$`, 1, 1, 0)},
	{name: "credentials: ttl refused", run: "lakebase-exec --ttl 10m", with: faults(reply(callCredentials, 400, `{"error_code":"INVALID_PARAMETER_VALUE","message":"ttl must be between 300s and 3600s"}`)),
		want: fails(122, `request rejected: HTTP 400 INVALID_PARAMETER_VALUE: ttl must be between`, `^check --ttl and ENDPOINT_NAME, and try again$`, 1, 1, 0)},
	{name: "credentials: 401", with: faults(reply(callCredentials, 401, `{"error_code":"UNAUTHENTICATED","message":"Invalid Token"}`)),
		want: fails(122, `workspace token rejected: HTTP 401 UNAUTHENTICATED: Invalid Token$`, `^check this machine's clock, and try again$`, 1, 1, 0)},
	{name: "credentials: no entitlement", with: emulator.Settings{NoWorkspaceAccess: true},
		want: fails(122, `the service principal has no workspace access: HTTP 403 PERMISSION_DENIED`, `^ask a workspace admin to enable "Workspace access" for the service principal$`, 1, 1, 0)},
	{name: "credentials: IP access list", with: faults(reply(callCredentials, 403, `{"error_code":403,"message":"Source IP address: 192.0.2.7 is blocked by Databricks IP ACL for workspace: 7405606120045173 [ReqId: d3]"}`)),
		want: fails(122, `permission denied: HTTP 403 403: Source IP address: 192.0.2.7 is blocked by Databricks IP ACL`, `^add this machine's address to the workspace's IP access list$`, 1, 1, 0)},
	{name: "credentials: 403", with: faults(always(callCredentials, 403)),
		want: fails(122, `permission denied: HTTP 403 PERMISSION_DENIED: emulated fault 403$`, `^give the service principal CAN USE on the project$`, 1, 1, 0)},
	{name: "credentials: no such call", with: faults(reply(callCredentials, 404, `{"error_code":"ENDPOINT_NOT_FOUND","message":"No API found for POST /postgres/credentials"}`)),
		want: fails(122, `request rejected: HTTP 404 ENDPOINT_NOT_FOUND: No API found for POST /postgres/credentials$`, hintEndpoint, 1, 1, 0)},
	{name: "credentials: no such endpoint", with: faults(reply(callCredentials, 404, `{"error_code":"NOT_FOUND","message":"endpoint id not found [TraceId: 0123456789abcdef]"}`)),
		want: fails(122, `endpoint not found, or not visible to this service principal: HTTP 404 NOT_FOUND: endpoint id not found \[TraceId: 0123456789abcdef\]$`,
			`^check ENDPOINT_NAME, and that the service principal may use the project; list the endpoints with: lakebase-credential-helper endpoints$`, 1, 1, 0)},
	{name: "credentials: endpoint disabled", with: faults(reply(callCredentials, 400, `{"error_code":"BAD_REQUEST","message":"endpoint is disabled"}`)),
		want: fails(122, `the endpoint is disabled: HTTP 400 BAD_REQUEST: endpoint is disabled$`, `^enable the endpoint in the console: a login cannot wake it$`, 1, 1, 0)},
	{name: "credentials: 500 with a request ID", with: faults(reply(callCredentials, 500, `{"error_code":"INTERNAL_ERROR","message":"boom","details":[{"@type":"type.googleapis.com/google.rpc.RequestInfo","request_id":"req-42"}]}`)),
		want: fails(122, `server error: HTTP 500 INTERNAL_ERROR: boom, request req-42$`, hintLater, 1, 1, 0)},
	{name: "credentials: 503 and a rate limit told by code are retried", with: faults(once(callCredentials, 503), emulator.Fault{Call: callCredentials, Status: 400, Body: `{"error_code":"REQUEST_LIMIT_EXCEEDED","message":"slow down"}`}),
		want: succeeds(1, 3, 1)},
	{name: "credentials: 429 each time", run: "lakebase-exec --timeout 5s", with: faults(always(callCredentials, 429)),
		want: fails(122, `rate limit exceeded: HTTP 429 .*\([2-9] attempts in `, hintRate, 1, retried, 0)},
	{name: "endpoint: 404", env: []string{"PGHOST="}, with: faults(reply(callEndpoint, 404, `{"error_code":"NOT_FOUND","message":"endpoint id not found"}`)),
		want: fails(122, `endpoint not found, or not visible to this service principal: HTTP 404 NOT_FOUND`, `^check ENDPOINT_NAME, and that the service principal may use the project`, 1, optional, 0).call(callEndpoint, 1)},
	{name: "endpoint: 503 and 429 are retried", env: []string{"PGHOST="}, with: faults(once(callEndpoint, 503), after(callEndpoint, 429, "1")),
		want: succeeds(1, 1, 1).call(callEndpoint, 3).atLeast(time.Second)},
	{name: "endpoint: disabled", env: []string{"PGHOST="}, with: emulator.Settings{EndpointDisabled: true},
		want: fails(122, `the endpoint is disabled: projects/shop/branches/production/endpoints/primary is disabled$`, `^enable the endpoint in the console: a login cannot wake it$`, 1, optional, 0).call(callEndpoint, 1)},
	{name: "endpoint: no host yet", env: []string{"PGHOST="}, with: faults(reply(callEndpoint, 200, `{"name":"x","status":{"current_state":"INIT"}}`)),
		want: fails(120, `^projects/shop/branches/production/endpoints/primary names no host$`, `^wait until it is ready`, 1, optional, 0).call(callEndpoint, 1)},
	{name: "endpoint: no status", env: []string{"PGHOST="}, with: faults(reply(callEndpoint, 200, `{"name":"projects/shop/branches/production/endpoints/primary"}`)),
		want: fails(122, `unexpected response: it has no status$`, hintHost, 1, optional, 0).call(callEndpoint, 1)},
	{name: "endpoint: host with more than a host", env: []string{"PGHOST="}, with: emulator.Settings{EndpointHost: "localhost user=postgres"},
		want: fails(120, `the host of projects/shop`, `^name the host with --pghost$`, 1, optional, 0).call(callEndpoint, 1)},
	{name: "endpoint: pooled host", env: []string{"PGHOST="}, with: emulator.Settings{EndpointHost: "ep-x-pooler.database.us-east-1.cloud.databricks.com"},
		want: fails(120, `pooled host, which takes no OAuth roles`, `^use the host without -pooler$`, 1, optional, 0).call(callEndpoint, 1)},
	{name: "endpoint: Unix socket", env: []string{"PGHOST="}, with: emulator.Settings{EndpointHost: "/tmp"},
		want: fails(120, `Unix socket`, `^name the host with --pghost$`, 1, optional, 0).call(callEndpoint, 1)},

	// Instances.
	{name: "instance: 503 is retried", instance: true, env: []string{"PGHOST="}, with: faults(once(callInstance, 503), once(callInstCreds, 503)),
		want: succeeds(1, 0, 1).call(callInstance, 2).call(callInstCreds, 2)},
	{name: "instance credentials: malformed name", instance: true, with: faults(reply(callInstCreds, 400, `{"error_code":"INVALID_PARAMETER_VALUE","message":"bad name"}`)),
		want: fails(122, `invalid instance name: HTTP 400 INVALID_PARAMETER_VALUE: bad name$`, `^check LAKEBASE_INSTANCE: use the instance's name as the console shows it$`, 1, 0, 0).call(callInstCreds, 1)},
	{name: "instance credentials: no such call", instance: true, with: faults(reply(callInstCreds, 404, `{"error_code":"ENDPOINT_NOT_FOUND","message":"No API found"}`)),
		want: fails(122, `request rejected: HTTP 404 ENDPOINT_NOT_FOUND: No API found$`, `--credential workspace$`, 1, 0, 0).call(callInstCreds, 1)},

	// Retry-After.
	{name: "Retry-After: date", with: faults(after(callCredentials, 503, "${date 3s}")), want: succeeds(1, 2, 1).atLeast(1500 * time.Millisecond)},
	{name: "Retry-After: unreadable or past is ignored", with: faults(after(callToken, 503, "soon"), after(callToken, 503, "-5"), after(callToken, 429, "${date -1h}")), want: succeeds(4, 1, 1)},

	// Redirects are never followed.
	{name: "redirect: same host", with: faults(emulator.Redirect(callToken, 302, "https://${workspace}/login.html")), want: refusedRedirect(`to localhost:[0-9]+`, 1, 0)},

	// Escapes in a server's text are not sent to the terminal, and secrets in it are
	// redacted.
	{name: "text: token call", with: faults(reply(callToken, 400, `{"error":"invalid_request","error_description":"`+hostileText+`"}`)), want: fails(122, `request rejected: HTTP 400 invalid_request: `+escapedText+`$`, hintClientID, 1, 0, 0)},
	{name: "text: code and request ID", run: "lakebase-exec --verbose",
		with: faults(reply(callCredentials, 400, `{"error_code":"A\u001b[1mB","message":"m","details":[{"@type":"google.rpc.RequestInfo","request_id":"r\u001b[0m\n1"}]}`)),
		want: fails(122, `HTTP 400 A\\x1B\[1mB: m, request r\\x1B\[0m 1$`, hintEndpoint, 1, 1, 0)},
	{name: "text: JSON log", run: "lakebase-exec --log-format json", with: faults(reply(callCredentials, 500, `{"error_code":"X","message":"`+hostileText+`"}`)), want: fails(122, `HTTP 500 X: `+escapedText+`$`, hintLater, 1, 1, 0)},
	{name: "text: not UTF-8", with: faults(withHeader(reply(callToken, 500, "\xff\xfe\x1b[2J caf\xe9"), "Content-Type", "text/plain")), want: fails(122, `HTTP 500: (\\xFF|�)`, hintLater, 1, 0, 0)},

	// Expiry of get's tokens.
	{name: "expiry: expire_time", run: "lakebase-credential-helper get", with: faults(reply(callCredentials, 200, `{"token":"${token}","expire_time":"${10m}"}`)), want: succeeds(1, 1, 0).living(9 * time.Minute)},
	{name: "expiry: the token's claims", run: "lakebase-credential-helper get", with: faults(reply(callCredentials, 200, `{"token":"${short token}"}`)), want: succeeds(1, 1, 0).living(9 * time.Minute)},
	{name: "expiry: workspace token without expires_in", run: "lakebase-credential-helper get --format workspace-token", with: emulator.Settings{ExpiresIn: emulator.Missing}, want: succeeds(1, 0, 0).living(59 * time.Minute)},
	{name: "get: ten seconds at most", run: "lakebase-credential-helper get --timeout 60s", with: emulator.Settings{Latency: 30 * time.Second},
		want: fails(122, `get's time limit of 10s is over: workspace .*not reachable, or no response`, `^give --wait TIME, which adds to the limit`, 0, 0, 0).atLeast(9 * time.Second)},

	// TLS.
	{name: "workspace: reset", workspace: "reset", run: "lakebase-exec --timeout 5s", want: fails(122, `not reachable, or no response: .*(connection reset by peer|EOF|broken pipe).* \([2-9] attempts in `, hintNetwork, 0, 0, 0)},
	{name: "workspace: silent", workspace: "silent TLS", run: "lakebase-exec --timeout 1s", want: fails(122, `not reachable, or no response: context deadline exceeded$`, hintNetwork, 0, 0, 0)},
	{name: "workspace: plain HTTP", workspace: "plain", want: fails(122, `TLS handshake failed: .*first record does not look like a TLS handshake`, hintHost, 0, 0, 0)},
	{name: "workspace: TLS alert", workspace: "raw", raw: "\x15\x03\x03\x00\x02\x02\x28", want: fails(122, `TLS handshake failed: .*handshake failure`, hintHost, 0, 0, 0)},
	{name: "workspace: TLS 1.1", workspace: "TLS 1.1", want: fails(122, `TLS handshake failed: .*protocol version`, hintHost, 0, 0, 0)},
	{name: "workspace: client certificate", workspace: "client certificate", want: fails(122, `TLS handshake failed: .*certificate required`, hintHost, 0, 0, 0)},
	{name: "workspace: expired", workspace: "expired", want: fails(122, `certificate not trusted: .*has expired or is not yet valid`, `^check this machine's clock; if it is right, the server's certificate must be renewed$`, 0, 0, 0)},
	{name: "workspace: other name", workspace: "other name", want: fails(122, `certificate not trusted: .*certificate is valid for other.example.test, not localhost`, `^check DATABRICKS_HOST: the certificate is for another host$`, 0, 0, 0)},
	{name: "workspace: certificate for clients", workspace: "for clients", want: fails(122, `certificate not trusted: .*incompatible key usage`, hintCA, 0, 0, 0)},

	// HTTP.
	{name: "HTTP: not HTTP", workspace: "raw TLS", raw: "\x1b[2J\x00\xff\r\n", want: fails(122, `unexpected response: .*malformed HTTP`, hintHost, 0, 0, 0)},
	{name: "HTTP: headers without end", workspace: "raw TLS", raw: "HTTP/1.1 200 OK\r\n" + strings.Repeat("X-A: b\r\n", 40_000), want: fails(122, `unexpected response: .*headers exceeded`, hintHost, 0, 0, 0)},
	{name: "HTTP: interim replies without end", workspace: "raw TLS", run: "lakebase-exec --timeout 5s", raw: strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 200),
		want: fails(122, `not reachable, or no response: .*\([2-9] attempts in `, hintNetwork, 0, 0, 0)},
	{name: "HTTP: bad chunk length", workspace: "raw TLS", run: "lakebase-exec --timeout 5s", raw: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
		want: fails(122, `not reachable, or no response: HTTP 200: invalid byte in chunk length \([2-9] attempts in `, hintNetwork, 0, 0, 0)},
	{name: "HTTP: body shorter than its length", workspace: "raw TLS", run: "lakebase-exec --timeout 5s", raw: "HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{",
		want: fails(122, `not reachable, or no response: .*unexpected EOF .*\([2-9] attempts in `, hintNetwork, 0, 0, 0)},
	{name: "HTTP: body that ends with the connection", workspace: "raw TLS", raw: "HTTP/1.0 400 Bad Request\r\nContent-Type: application/json\r\n\r\n{\"error\":\"invalid_request\",\"error_description\":\"by HTTP 1.0\"}",
		want: fails(122, `request rejected: HTTP 400 invalid_request: by HTTP 1.0$`, hintClientID, 0, 0, 0)},
}
