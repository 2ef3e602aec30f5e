package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

var oauthFacts = []fact{
	{"a workspace's token endpoint is /oidc/v1/token, with no discovery", func(ctx context.Context, r *road) (string, verdict) {
		a, err := r.signIn(ctx, r.secret, "all-apis")
		if err != nil {
			return lost(err)
		}
		r.bearer = credential.NewSecret(a.field("access_token"))
		r.hide(r.bearer)
		return fmt.Sprintf("%s, token_type=%s scope=%s, %d bytes", a.said(), a.field("token_type"), a.field("scope"), len(r.bearer.Reveal())), is(a.status == 200 && !r.bearer.IsZero())
	}},
	{"a workspace token lives 3600 s, told as a number", func(ctx context.Context, r *road) (string, verdict) {
		a, err := r.signIn(ctx, r.secret, "all-apis")
		if err != nil {
			return lost(err)
		}
		r.hide(credential.NewSecret(a.field("access_token")))
		var number struct {
			ExpiresIn *int `json:"expires_in"`
		}
		_ = json.Unmarshal(a.body, &number)
		return "expires_in=" + a.field("expires_in"), is(number.ExpiresIn != nil && *number.ExpiresIn == 3600)
	}},
	{"a wrong secret is answered with 401 invalid_client", func(ctx context.Context, r *road) (string, verdict) {
		a, err := r.signIn(ctx, credential.NewSecret("dose"+strings.Repeat("0", 32)), "all-apis")
		if err != nil {
			return lost(err)
		}
		return a.said(), is(a.status == 401 && a.field("error") == "invalid_client")
	}},
	{"the narrower scope postgres is granted, and mints a credential", func(ctx context.Context, r *road) (string, verdict) {
		a, err := r.signIn(ctx, r.secret, "postgres")
		if err != nil {
			return lost(err)
		}
		bearer := credential.NewSecret(a.field("access_token"))
		r.hide(bearer)
		if a.status != 200 || bearer.IsZero() {
			return a.said(), fails
		}
		c, err := r.mint(ctx, bearer, nil)
		if err != nil {
			return lost(err)
		}
		r.hide(credential.NewSecret(c.field("token")))
		return "scope=" + a.field("scope") + ", then " + c.said(), is(c.status == 200)
	}},
	{"the discovery document's token endpoint is on this host", func(ctx context.Context, r *road) (string, verdict) {
		a, err := r.call(ctx, http.MethodGet, "/.well-known/databricks-config", credential.Secret{}, nil)
		if err != nil {
			return lost(err)
		}
		if a.status != 200 || a.field("oidc_endpoint") == "" {
			return a.said(), unseen
		}
		return "host_type=" + a.field("host_type") + " oidc_endpoint=" + a.field("oidc_endpoint") + " audiences=" + a.field("token_federation_default_oidc_audiences"),
			is(strings.HasPrefix(a.field("oidc_endpoint"), r.conf.Workspace.Value.URL()+"/"))
	}},
	{"an answer tells the server's time, and our clock is within a minute of it", func(ctx context.Context, r *road) (string, verdict) {
		a, err := r.call(ctx, http.MethodGet, "/.well-known/databricks-config", credential.Secret{}, nil)
		if err != nil {
			return lost(err)
		}
		if a.date.IsZero() {
			return "no Date", fails
		}
		apart := time.Since(a.date)
		return apart.Round(time.Second).String() + " apart", is(apart.Abs() < time.Minute)
	}},
}

// withBearer is for facts that need a workspace token.
func withBearer(see func(ctx context.Context, r *road) (string, verdict)) func(context.Context, *road) (string, verdict) {
	return func(ctx context.Context, r *road) (string, verdict) {
		if r.bearer.IsZero() {
			return noSignIn, unseen
		}
		return see(ctx, r)
	}
}

var apiFacts = []fact{
	{"SCIM Me gives a service principal's client id as its userName", withBearer(func(ctx context.Context, r *road) (string, verdict) {
		a, err := r.call(ctx, http.MethodGet, "/api/2.0/preview/scim/v2/Me", r.bearer, nil)
		if err != nil {
			return lost(err)
		}
		r.me = me{UserName: a.field("userName"), ID: a.field("id")}
		same := r.me.UserName == r.conf.ClientID.Value
		r.name(r.me.UserName, r.me.ID, a.field("displayName"))
		return a.said() + " userName=" + r.me.UserName, is(same)
	})},
	{"a service principal may list its own secrets, by its SCIM id", withBearer(func(ctx context.Context, r *road) (string, verdict) {
		if r.me.ID == "" {
			return "its id is not known", unseen
		}
		a, err := r.call(ctx, http.MethodGet, "/api/2.0/accounts/servicePrincipals/"+r.me.ID+"/credentials/secrets", r.bearer, nil)
		if err != nil {
			return lost(err)
		}
		return a.said(), is(a.status == 200)
	})},
	{"an endpoint is found by its name, and tells its host", withBearer(func(ctx context.Context, r *road) (string, verdict) {
		a, err := r.call(ctx, http.MethodGet, "/api/2.0/postgres/"+r.conf.Endpoint.Value, r.bearer, nil)
		if err != nil {
			return lost(err)
		}
		_ = json.Unmarshal(a.body, &r.endpoint)
		h := r.endpoint.Status.Hosts
		r.name(h.Host, h.Pooled, r.endpoint.UID)
		return fmt.Sprintf("%s, state %s, host %s", a.said(), r.endpoint.Status.State, h.Host), is(a.status == 200 && h.Host != "")
	})},
	{"a database host's first label is the endpoint's uid", withBearer(func(_ context.Context, r *road) (string, verdict) {
		h := r.endpoint.Status.Hosts.Host
		if h == "" || r.endpoint.UID == "" {
			return "host or uid is not known", unseen
		}
		label, _, _ := strings.Cut(h, ".")
		return label + " and " + r.endpoint.UID, is(label == r.endpoint.UID)
	})},
	{"an endpoint is found by the uids of its branch and itself too", withBearer(func(ctx context.Context, r *road) (string, verdict) {
		branch, _, _ := strings.Cut(r.conf.Endpoint.Value, "/endpoints/")
		a, err := r.call(ctx, http.MethodGet, "/api/2.0/postgres/"+branch, r.bearer, nil)
		if err != nil {
			return lost(err)
		}
		uid := a.field("uid")
		if uid == "" || r.endpoint.UID == "" {
			return "the uids are not told", unseen
		}
		r.name(uid)
		project, _, _ := strings.Cut(branch, "/branches/")
		a, err = r.call(ctx, http.MethodGet, "/api/2.0/postgres/"+project+"/branches/"+uid+"/endpoints/"+r.endpoint.UID, r.bearer, nil)
		if err != nil {
			return lost(err)
		}
		return a.said(), is(a.status == 200)
	})},
	{"an endpoint is suspended after 5 minutes, unless that was changed", withBearer(func(_ context.Context, r *road) (string, verdict) {
		s := r.endpoint.Status.Suspend
		if s == "" {
			return "it does not tell", unseen
		}
		return "suspend_timeout_duration=" + s, is(s == "300s")
	})},
	{"an endpoint tells a pooled host", withBearer(func(_ context.Context, r *road) (string, verdict) {
		if r.endpoint.Status.Hosts.Host == "" {
			return "the endpoint is not known", unseen
		}
		return "read_write_pooled_host=" + r.endpoint.Status.Hosts.Pooled, is(r.endpoint.Status.Hosts.Pooled != "")
	})},
	{"an endpoint that is not there is 404 NOT_FOUND", withBearer(func(ctx context.Context, r *road) (string, verdict) {
		branch, _, _ := strings.Cut(r.conf.Endpoint.Value, "/endpoints/")
		a, err := r.call(ctx, http.MethodGet, "/api/2.0/postgres/"+branch+"/endpoints/no-such-endpoint", r.bearer, nil)
		if err != nil {
			return lost(err)
		}
		return a.said(), is(a.status == 404 && a.field("error_code") == "NOT_FOUND")
	})},
}
