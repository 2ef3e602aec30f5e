package emulator

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// Call is a kind of API request.
type Call string

// The kinds that are counted and that a Fault can name.
const (
	AnyCall                 Call = "any"
	CallToken               Call = "token"                // POST /oidc/v1/token, or an account's, whatever the grant
	CallAuthorize           Call = "authorize"            // GET and POST /oidc/v1/authorize
	CallDiscovery           Call = "discovery"            // the two well-known documents
	CallActions             Call = "actions"              // GET of a workload token, at the Actions service
	CallCredentials         Call = "credentials"          // POST /api/2.0/postgres/credentials
	CallEndpoint            Call = "endpoint"             // GET /api/2.0/postgres/projects/…, one thing by its name
	CallProjects            Call = "projects"             // GET a list of projects
	CallBranches            Call = "branches"             // GET a list of branches
	CallEndpoints           Call = "endpoints"            // GET a list of endpoints
	CallInstanceCredentials Call = "instance-credentials" // POST /api/2.0/database/credentials
	CallInstance            Call = "instance"             // GET /api/2.0/database/instances, by name or as a list
	CallMe                  Call = "me"                   // GET /api/2.0/preview/scim/v2/Me
	CallSecretList          Call = "secret-list"          // GET …/servicePrincipals/ID/credentials/secrets
	CallSecretCreate        Call = "secret-create"        // POST the same
	CallSecretDelete        Call = "secret-delete"        // DELETE one of them
	CallData                Call = "data"                 // GET a table by the Data API, which real endpoints serve at their own host
	CallRoles               Call = "roles"                // GET a branch's list of Postgres roles
	CallRoleCreate          Call = "role-create"          // POST the same
	CallOperation           Call = "operation"            // GET of the operation that makes a role
	CallPrincipals          Call = "principals"           // GET /api/2.0/preview/scim/v2/ServicePrincipals
	CallOther               Call = "other"                // anything else, answered with 404
)

// Calls lists every kind that a Fault can name.
func Calls() []Call {
	return []Call{AnyCall, CallToken, CallAuthorize, CallDiscovery, CallActions, CallCredentials, CallEndpoint, CallProjects,
		CallBranches, CallEndpoints,
		CallInstanceCredentials, CallInstance, CallMe, CallSecretList, CallSecretCreate, CallSecretDelete, CallData,
		CallRoles, CallRoleCreate, CallOperation, CallPrincipals, CallOther}
}

// Grant is a kind of request to the token endpoint.
type Grant string

// The grants that the token endpoint knows.
const (
	GrantClientCredentials Grant = "client_credentials"
	GrantCode              Grant = "authorization_code"
	GrantRefresh           Grant = "refresh_token"
	GrantExchange          Grant = "token_exchange" // short for grantExchangeURN
)

// Grants lists every one.
func Grants() []Grant { return []Grant{GrantClientCredentials, GrantCode, GrantRefresh, GrantExchange} }

// Request is one API request. Status is 0 when the connection was dropped.
type Request struct {
	Time   time.Time // when its head had been read
	Call   Call
	Method string
	Path   string
	Proto  string
	Status int
}

// Login is one connection to the gateway that came as far as a decision. User
// and the fields after it are empty where nothing was read.
type Login struct {
	Time        time.Time // when the connection was accepted
	Decided     time.Time
	User        string
	Database    string
	Application string
	SQLState    string // "00000" when it came through
	Result      string // "ok", or what the client was told
}

// Counters count since the start or the last ResetCounters.
type Counters struct {
	Requests    int
	ByCall      map[Call]int
	Granted     map[Grant]int // tokens given, by the grant; a Fault with a Status is neither this nor Refused
	Refused     map[Grant]int
	Connections int // TCP connections that the API accepted
	Handshakes  int // of these, how many completed TLS and carried a request
	Logins      int
	LoginsOK    int
	Scram       int // logins with a role's password; ScramPlus: of these, with channel binding
	ScramPlus   int
	Cancels     int
	Wakes       int // of the compute, by a login
}

// keptRecords bounds the memory of a long run; counters go on.
const keptRecords = 10_000

// recorder keeps what happened.
type recorder struct {
	mu       sync.Mutex
	requests []Request
	logins   []Login
	n        Counters
}

func newRecorder() *recorder {
	r := &recorder{}
	r.reset()
	return r
}

func (r *recorder) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests, r.logins = nil, nil
	r.n = Counters{ByCall: map[Call]int{}, Granted: map[Grant]int{}, Refused: map[Grant]int{}}
}

func (r *recorder) count(f func(*Counters)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.n)
}

func (r *recorder) request(q Request) {
	r.count(func(n *Counters) {
		r.requests = appendBounded(r.requests, q)
		n.Requests++
		n.ByCall[q.Call]++
	})
}

func (r *recorder) login(l Login) {
	r.count(func(n *Counters) {
		r.logins = appendBounded(r.logins, l)
		n.Logins++
		if l.Result == "ok" {
			n.LoginsOK++
		}
	})
}

func (r *recorder) grant(g Grant, given bool) {
	r.count(func(n *Counters) {
		if given {
			n.Granted[g]++
		} else {
			n.Refused[g]++
		}
	})
}

func (r *recorder) read() ([]Request, []Login, Counters) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.n
	n.ByCall, n.Granted, n.Refused = maps.Clone(n.ByCall), maps.Clone(n.Granted), maps.Clone(n.Refused)
	return slices.Clone(r.requests), slices.Clone(r.logins), n
}

func appendBounded[T any](s []T, v T) []T {
	if len(s) >= keptRecords {
		s = slices.Delete(s, 0, keptRecords/2)
	}
	return append(s, v)
}
