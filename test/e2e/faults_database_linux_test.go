package e2e

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// Hints that several cases have.
const (
	hintPort  = `^check host and port: a Lakebase endpoint does not answer like this$`
	hintRole  = `^as the project's owner, in databricks_postgres: CREATE EXTENSION IF NOT EXISTS databricks_auth; SELECT databricks_create_role\('[0-9a-f-]{36}', 'SERVICE_PRINCIPAL'\); GRANT CONNECT ON DATABASE "databricks_postgres" TO "[0-9a-f-]{36}";$`
	hintToken = `^check this machine's clock, and that the workspace owns this database: a token is valid in its own workspace only$`
	hintAgain = `^try again with --verbose$`
)

func logins(list ...emulator.LoginFault) emulator.Settings {
	return emulator.Settings{LoginFaults: list}
}

func refuseAll(at emulator.Stage, code, message string) emulator.Settings {
	return logins(emulator.LoginFault{At: at, Times: -1, Code: code, Message: message})
}

func atEachStage(action emulator.Action) emulator.Settings {
	var list []emulator.LoginFault
	for _, at := range emulator.Stages() {
		list = append(list, emulator.LoginFault{At: at, Action: action})
	}
	return logins(list...)
}

// sends has every login answered with these bytes, and the end of the connection.
func sends(bytes string) emulator.Settings {
	return logins(emulator.LoginFault{At: emulator.StageStartup, Times: -1, Action: emulator.ActionClose, Send: bytes})
}

func refusedLogin(message, hint string) wanted {
	return fails(123, `refused the login: `+message, hint, 1, 1, 1)
}

// timesOut wants logins until --wait-timeout, and an error with the last response.
func timesOut(answer, hint string, logins int) wanted {
	return fails(123, `did not wake in [0-9.]+m?s \([0-9]+ attempts?\); last error: `+answer, hint, 1, 1, logins)
}

// notPostgres wants a server that breaks the protocol to be left at once.
func notPostgres(message string) wanted {
	return fails(123, `cannot log in to the database at localhost: not Postgres: `+message, hintPort, 1, 1, 1)
}

func suspendWhileWaking(r *faultRun) {
	eventually(r.t, "the compute wakes", func() bool { return r.lakebase.State() == emulator.Waking })
	must(r.t, r.lakebase.Suspend(context.Background()))
}

var psqlSelect = []string{"psql", "-XAtqc", "select 1"}

var databaseFaults = []faultCase{
	// Transient faults: the command starts once, and nothing is logged.
	{name: "login: a reset at each stage", with: atEachStage(emulator.ActionReset), want: succeeds(1, 1, 7)},
	{name: "login: an end at each stage", with: atEachStage(emulator.ActionClose), want: succeeds(1, 1, 7)},
	{name: "login: silence at each stage", with: atEachStage(emulator.ActionHang), want: succeeds(1, 1, 7).atLeast(900 * time.Millisecond)},
	{name: "login: temporary refusals", with: logins(
		emulator.LoginFault{Code: "57P03", Message: "the database system is starting up"},
		emulator.LoginFault{Code: "57P01", Message: "terminating connection due to administrator command"},
		emulator.LoginFault{Code: "53300", Message: "sorry, too many clients already"},
		emulator.LoginFault{Severity: "ERROR", Message: "Couldn't connect to compute node"},
		emulator.LoginFault{Severity: "ERROR", Message: "Control plane request failed"},
	), want: succeeds(1, 1, 6)},
	{name: "login: one fault of each call, and a compute that starts", suspended: true,
		with: emulator.Settings{Wake: emulator.StartingUp, WakeTime: 300 * time.Millisecond,
			Faults: []emulator.Fault{once(callToken, 503), {Call: callCredentials, Drop: true}}}, want: succeeds(2, 2, retried)},
	{name: "suspended again while it wakes: held", suspended: true,
		with: emulator.Settings{Wake: emulator.Held, WakeTime: 1500 * time.Millisecond}, during: suspendWhileWaking, child: psqlSelect,
		want: succeeds(1, 1, retried).atLeast(1500 * time.Millisecond)},
	{name: "suspended again while it wakes: silent", suspended: true,
		with: emulator.Settings{Wake: emulator.Silent, WakeTime: 1500 * time.Millisecond}, during: suspendWhileWaking, child: psqlSelect,
		want: succeeds(1, 1, retried).atLeast(1500 * time.Millisecond)},
	{name: "suspended once the command runs", with: emulator.Settings{Wake: emulator.Held, WakeTime: 1500 * time.Millisecond},
		child: []string{"sh", "-c", `until test -e suspended; do sleep 0.1; done; psql -XAtqc "select 1"`},
		during: func(r *faultRun) {
			eventually(r.t, "the command runs", func() bool { _, err := os.Stat(r.startsFile()); return err == nil })
			must(r.t, r.lakebase.Suspend(context.Background()))
			write(r.t, filepath.Join(r.home, "suspended"), "")
		},
		want: succeeds(1, 1, 2).atLeast(1500 * time.Millisecond)},

	// Faults that last longer than --wait-timeout.
	{name: "refused: unknown for five seconds", with: refuseAll("", "", "something else went wrong"),
		want: fails(123, `refused the login: other: something else went wrong \(SQLSTATE XX000\)$`, hintAgain, 1, 1,
			retried).atLeast(4500 * time.Millisecond)},

	// Permanent refusals: one login.
	{name: "refused: login", with: refuseAll("", "28P01", `password authentication failed for user "x"`),
		want: refusedLogin(`password authentication failed for user "x" \(SQLSTATE 28P01\)$`, hintRole)},
	{name: "refused: connect denied", with: refuseAll("ready", "42501", `permission denied for database "x"`),
		want: refusedLogin(`connect denied: permission denied for database "x" \(SQLSTATE 42501\)$`,
			`^as the project.s owner, in databricks_postgres: GRANT CONNECT ON DATABASE "databricks_postgres" TO "[0-9a-f-]+";$`)},
	{name: "refused: endpoint disabled", with: refuseAll("", "", "ep-quiet-sea-1: endpoint is disabled"),
		want: refusedLogin(`ep-quiet-sea-1: endpoint is disabled \(SQLSTATE XX000\)$`,
			`^enable the endpoint in the console: a login cannot wake it$`)},
	{name: "refused: address not allowed", with: refuseAll("", "", "This IP address 192.0.2.7 is not allowed to connect to this endpoint."),
		want: refusedLogin(`This IP address 192\.0\.2\.7 is not allowed to connect to this endpoint\. \(SQLSTATE XX000\)$`, `^add this machine's address to the IP access list$`)},
	{name: "token: expired", with: faults(reply(callCredentials, 200, `{"token":"${expired token}","expire_time":"${1h}"}`)),
		want: refusedLogin(`token refused: JWT token has expired \(exp=[0-9.]+\) \(SQLSTATE XX000\)$`, hintToken)},
	{name: "token: the API refuses it",
		with: faults(reply(callToken, 200, `{"access_token":"${foreign token}","token_type":"Bearer","expires_in":3600}`)),
		want: fails(122, `workspace token rejected: HTTP 401 UNAUTHENTICATED: Invalid Token$`, `clock`, 1, 1, 0)},

	// Escapes in a server's text are not sent to the terminal, and a server that breaks
	// the protocol is an immediate error.
	{name: "text: refusal", with: refuseAll("", "42501", "a\x1b[31mred\x07\r\nlakebase-exec: hint: run evil\u202etxt\xff"),
		want: refusedLogin(`connect denied: a\\x1B\[31mred\\x07 lakebase-exec: hint: run evil\\xE2\\x80\\xAEtxt(\\xFF|�) \(SQLSTATE 42501\)$`, `^as the project`)},
	{name: "protocol: notices without end",
		with: logins(emulator.LoginFault{At: emulator.StageReady, Times: -1, Action: emulator.ActionFlood}),
		want: notPostgres(`the server sent too much before the login was done$`)},
	{name: "protocol: 2 GB message", with: sends("E\x7f\xff\xff\xff"),
		want: notPostgres(`invalid body length: expected at most 65536, but got 2147483643$`)},

	// get --wait.
	{name: "get: waits until the compute is up", run: "lakebase-credential-helper get --wait 20s", suspended: true,
		with: emulator.Settings{Wake: emulator.StartingUp, WakeTime: 300 * time.Millisecond},
		want: succeeds(1, 1, retried)},
	{name: "get: not up in time", run: "lakebase-credential-helper get --wait 3s", suspended: true,
		with: emulator.Settings{Wake: emulator.StartingUp, WakeTime: emulator.Never},
		want: timesOut(`starting: the database system is starting up \(SQLSTATE 57P03\)$`, `^raise --wait-timeout \(get: --wait\)`, retried)},
}
