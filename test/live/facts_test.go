package live

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// verdict is the outcome of a check.
type verdict string

const (
	holds   verdict = "holds"
	fails   verdict = "does not hold"
	unknown verdict = "could not be seen"
)

func is(true bool) verdict {
	if true {
		return holds
	}
	return fails
}

// fact is one statement with its check, which returns what was seen; an error is seen
// too.
type fact struct {
	name  string
	needs need
	check func(ctx context.Context, w *workspace) (seen any, v verdict, err error)
}

// need is what an earlier fact must have found.
type need string

const (
	nothing  need = ""
	bearer   need = "a workspace token"
	endpoint need = "the endpoint's host"
	host     need = "the database's host"
	token    need = "a database token"
)

func (w *workspace) has(n need) bool {
	return map[need]bool{nothing: true, bearer: !w.bearer.IsZero(), endpoint: w.host != "", host: w.databaseHost() != "",
		token: w.databaseHost() != "" && !w.token.IsZero()}[n]
}

// check checks one fact. The compute may have to wake within the limit.
func (w *workspace) check(ctx context.Context, f fact, limit time.Duration) (string, verdict) {
	if !w.has(f.needs) {
		return "needs " + string(f.needs), unknown
	}
	if w.patient {
		limit += 7 * time.Minute
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	seen, v, err := f.check(ctx, w)
	if op := (*net.OpError)(nil); errors.As(err, new(*url.Error)) || errors.As(err, &op) && op.Op == "dial" {
		v = unknown // no response
	}
	if err != nil {
		seen = err
	}
	return w.public(fmt.Sprint(seen)), v
}

// branch returns the part of the endpoint's name that is the branch's.
func (w *workspace) branch() string {
	branch, _, _ := strings.Cut(w.conf.Endpoint.Value, "/endpoints/")
	return branch
}

const (
	me        = "/api/2.0/preview/scim/v2/Me"
	postgres  = "/api/2.0/postgres/"
	discovery = "/.well-known/databricks-config"
)

func near(d, want time.Duration) bool { return (d - want).Abs() < 30*time.Second }

// minted checks the life of a credential with further fields in its request.
func minted(more map[string]any, life time.Duration, keep func(*workspace, reply)) func(context.Context, *workspace) (any, verdict, error) {
	return func(ctx context.Context, w *workspace) (any, verdict, error) {
		r, err := w.mint(ctx, w.bearer, more)
		if keep != nil {
			keep(w, r)
		}
		return fmt.Sprintf("%s, lives %s", r, r.life()), is(r.status == 200 && near(r.life(), life)), err
	}
}

// refused checks that a password is refused with all words in the server's message.
func refused(ctx context.Context, w *workspace, host string, password credential.Secret, words ...string) (any, verdict, error) {
	user, _, err := w.login(ctx, login{host: host, tls: w.tls(host), password: password})
	if err == nil {
		return "logged in as " + user, fails, nil
	}
	for _, word := range words {
		if !strings.Contains(strings.ToLower(err.Error()), word) {
			return nil, fails, err
		}
	}
	return nil, holds, err
}

// facts are all statements, in the order of their needs.
var facts = []fact{
	{"/oidc/v1/token returns a token for 3600 s, as a JSON number", nothing, func(ctx context.Context, w *workspace) (any, verdict, error) {
		r, err := w.signIn(ctx, w.secret, "all-apis")
		w.bearer = credential.NewSecret(r.field("access_token"))
		seen := fmt.Sprintf("%s, token_type=%s scope=%s expires_in=%s", r, r.field("token_type"), r.field("scope"), r.field("expires_in"))
		return seen, is(r.status == 200 && !w.bearer.IsZero() && r.fields["expires_in"] == 3600.0), err
	}},
	{"a wrong secret is 401 invalid_client", nothing, func(ctx context.Context, w *workspace) (any, verdict, error) {
		r, err := w.signIn(ctx, credential.NewSecret("dose"+strings.Repeat("0", 32)), "all-apis")
		return r, is(r.status == 401 && r.field("error") == "invalid_client"), err
	}},
	{"the discovery document's token endpoint is on this host", nothing, func(ctx context.Context, w *workspace) (any, verdict, error) {
		r, err := w.call(ctx, http.MethodGet, discovery, credential.Secret{}, nil)
		if r.field("oidc_endpoint") == "" {
			return r, unknown, err
		}
		return fmt.Sprintf("host_type=%s oidc_endpoint=%s audiences=%s", r.field("host_type"), r.field("oidc_endpoint"),
				r.field("token_federation_default_oidc_audiences")),
			is(strings.HasPrefix(r.field("oidc_endpoint"), w.conf.Workspace.Value.URL()+"/")), err
	}},
	{"a response has a Date, within a minute of our clock", nothing, func(ctx context.Context, w *workspace) (any, verdict, error) {
		r, err := w.call(ctx, http.MethodGet, discovery, credential.Secret{}, nil)
		apart := time.Since(r.date)
		return apart.Round(time.Second).String() + " apart", is(apart.Abs() < time.Minute), err
	}},
	{"SCIM Me returns a service principal's client ID as userName", bearer, func(ctx context.Context, w *workspace) (any, verdict, error) {
		r, err := w.get(ctx, me)
		w.scimID = r.field("id")
		w.shorten(r.field("userName"), w.scimID, r.field("displayName"))
		return fmt.Sprintf("%s userName=%s", r, r.field("userName")), is(r.field("userName") == w.conf.ClientID.Value), err
	}},
	{"a service principal may list its own secrets", bearer, func(ctx context.Context, w *workspace) (any, verdict, error) {
		r, err := w.get(ctx, "/api/2.0/accounts/servicePrincipals/"+w.scimID+"/credentials/secrets")
		return r, is(r.status == 200), err
	}},
	{"an endpoint is found by its name, with its host", bearer, func(ctx context.Context, w *workspace) (any, verdict, error) {
		r, err := w.get(ctx, postgres+w.conf.Endpoint.Value)
		w.host, w.pooled = r.field("status", "hosts", "host"), r.field("status", "hosts", "read_write_pooled_host")
		w.shorten(r.field("uid"), w.host, w.pooled)
		return fmt.Sprintf("%s, state %s, host %s", r, r.field("status", "current_state"), w.host), is(r.status == 200 && w.host != ""), err
	}},
	{"a project has a field for native login", bearer, func(ctx context.Context, w *workspace) (any, verdict, error) {
		project, _, _ := strings.Cut(w.branch(), "/branches/")
		r, err := w.get(ctx, postgres+project)
		enabled := r.field("status", "enable_pg_native_login")
		return "enable_pg_native_login=" + enabled, is(enabled != ""), err
	}},
	{"an endpoint has a pooled host", endpoint, func(_ context.Context, w *workspace) (any, verdict, error) {
		return "read_write_pooled_host=" + w.pooled, is(w.pooled != ""), nil
	}},
	{"the Data API refuses a bad token with 400", endpoint, func(ctx context.Context, w *workspace) (any, verdict, error) {
		id := w.conf.Workspace.Value.WorkspaceID
		if id == "" {
			return "give the workspace's ID in the host, ?o=ID", unknown, nil
		}
		path := "/api/2.0/workspace/" + id + "/rest/" + w.conf.Database.Value + "/public/orders"
		r, err := w.call(ctx, http.MethodGet, "https://"+w.host+path, noPassword, nil)
		return r, is(r.status == 400), err
	}},
	{"a missing endpoint is 404 NOT_FOUND", bearer, func(ctx context.Context, w *workspace) (any, verdict, error) {
		r, err := w.get(ctx, postgres+w.branch()+"/endpoints/no-such-endpoint")
		return r, is(r.status == 404 && r.field("error_code") == "NOT_FOUND"), err
	}},
	{"a branch's roles have a postgres_role and an auth_method", bearer, func(ctx context.Context, w *workspace) (any, verdict, error) {
		r, err := w.get(ctx, postgres+w.branch()+"/roles")
		list, _ := r.fields["roles"].([]any)
		if len(list) == 0 {
			return r, unknown, err
		}
		first, _ := list[0].(map[string]any)
		status, _ := first["status"].(map[string]any)
		return r, is(status["postgres_role"] != nil && status["auth_method"] != nil), err
	}},
	{"a database credential lives an hour", bearer, minted(nil, time.Hour,
		func(w *workspace, r reply) { w.token = credential.NewSecret(r.field("token")) })},
	{"a workspace token of scope postgres is enough for a credential", bearer, func(ctx context.Context, w *workspace) (any, verdict, error) {
		narrow, err := w.signIn(ctx, w.secret, "postgres")
		if err != nil || narrow.status != 200 {
			return narrow, fails, err
		}
		r, err := w.mint(ctx, credential.NewSecret(narrow.field("access_token")), nil)
		return r, is(r.status == 200), err
	}},
	{"a credential's ttl is honored", bearer, minted(map[string]any{"ttl": "600s"}, 10*time.Minute, nil)},
	{"a ttl below 300 s is refused", bearer, func(ctx context.Context, w *workspace) (any, verdict, error) {
		r, err := w.mint(ctx, w.bearer, map[string]any{"ttl": "60s"})
		return r, is(r.status == 400), err
	}},
	{"the database's certificate is signed by a public authority", host, func(ctx context.Context, w *workspace) (any, verdict, error) {
		cfg := w.tls(w.databaseHost())
		cfg.RootCAs = nil
		_, asked, err := w.login(ctx, login{host: w.databaseHost(), tls: cfg, password: noPassword})
		if errors.As(err, new(*tls.CertificateVerificationError)) {
			return nil, fails, err
		}
		return nil, map[bool]verdict{true: holds, false: unknown}[asked], err
	}},
	{"the database asks for the password in clear text, inside TLS", host, func(ctx context.Context, w *workspace) (any, verdict, error) {
		_, asked, err := w.login(ctx, login{host: w.databaseHost(), tls: w.tls(w.databaseHost()), password: noPassword})
		return nil, is(asked), err
	}},
	{"a startup message without SNI is refused", host, func(ctx context.Context, w *workspace) (any, verdict, error) {
		cfg := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12} // no secret is sent
		_, asked, err := w.login(ctx, login{host: w.databaseHost(), tls: cfg, password: noPassword})
		return nil, is(!asked), err
	}},
	{"a credential logs in as the client ID", token, func(ctx context.Context, w *workspace) (any, verdict, error) {
		user, _, err := w.login(ctx, login{host: w.databaseHost(), tls: w.tls(w.databaseHost()), password: w.token})
		return user, is(user == w.conf.ClientID.Value), err
	}},
	{"channel binding is not available", token, func(ctx context.Context, w *workspace) (any, verdict, error) {
		user, _, err := w.login(ctx, login{host: w.databaseHost(), tls: w.tls(w.databaseHost()), password: w.token, binding: "require"})
		return "logged in as " + user, is(err != nil && strings.Contains(err.Error(), "channel binding")), err
	}},
	{"a workspace token is refused as the password", token, func(ctx context.Context, w *workspace) (any, verdict, error) {
		return refused(ctx, w, w.databaseHost(), w.bearer)
	}},
	{"a password that is no JWT is refused as that", token, func(ctx context.Context, w *workspace) (any, verdict, error) {
		return refused(ctx, w, w.databaseHost(), noPassword, "not a valid jwt encoding")
	}},
	{"the pooled host accepts a token", token, func(ctx context.Context, w *workspace) (any, verdict, error) {
		if w.pooled == "" {
			return "no pooled host", unknown, nil
		}
		user, _, err := w.login(ctx, login{host: w.pooled, tls: w.tls(w.pooled), password: w.token})
		return user, is(user == w.conf.ClientID.Value), err
	}},
	{"an ended token is refused as expired", token, func(ctx context.Context, w *workspace) (any, verdict, error) {
		if !w.patient {
			return "give --patient", unknown, nil
		}
		r, err := w.mint(ctx, w.bearer, map[string]any{"ttl": "300s"})
		if err != nil || !near(r.life(), 5*time.Minute) {
			return r, unknown, err
		}
		select {
		case <-ctx.Done():
			return nil, unknown, ctx.Err()
		case <-time.After(r.life() + 10*time.Second):
		}
		return refused(ctx, w, w.databaseHost(), credential.NewSecret(r.field("token")), "expired")
	}},
}
