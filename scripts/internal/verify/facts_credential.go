package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// mint asks for a database credential; more are further fields of the request.
func (r *road) mint(ctx context.Context, bearer credential.Secret, more map[string]any) (answer, error) {
	body := map[string]any{"endpoint": r.conf.Endpoint.Value}
	for k, v := range more {
		body[k] = v
	}
	a, err := r.call(ctx, http.MethodPost, "/api/2.0/postgres/credentials", bearer, body)
	if err == nil {
		r.hide(credential.NewSecret(a.field("token")))
	}
	return a, err
}

// life is how long a credential lives by the server's clock; 0: not told.
func (a answer) life() time.Duration {
	ends, err := time.Parse(time.RFC3339, a.field("expire_time"))
	if err != nil || a.date.IsZero() {
		return 0
	}
	return ends.Sub(a.date)
}

func near(d, want time.Duration) bool { return (d - want).Abs() < 30*time.Second }

var credentialFacts = []fact{
	{"a database credential is a JWT that lives an hour, by its expire_time", withBearer(func(ctx context.Context, r *road) (string, verdict) {
		a, err := r.mint(ctx, r.bearer, nil)
		if err != nil {
			return lost(err)
		}
		token := a.field("token")
		r.token = credential.NewSecret(token)
		jwt := strings.HasPrefix(token, "eyJ") && strings.Count(token, ".") == 2
		return fmt.Sprintf("%s, JWT %v, %d bytes, lives %s", a.said(), jwt, len(token), a.life()), is(a.status == 200 && jwt && near(a.life(), time.Hour))
	})},
	{"ttl is honoured: 600s gives 10 minutes", withBearer(func(ctx context.Context, r *road) (string, verdict) {
		a, err := r.mint(ctx, r.bearer, map[string]any{"ttl": "600s"})
		if err != nil {
			return lost(err)
		}
		return fmt.Sprintf("%s, lives %s", a.said(), a.life()), is(a.status == 200 && near(a.life(), 10*time.Minute))
	})},
	{"a ttl below 300 s is refused", withBearer(func(ctx context.Context, r *road) (string, verdict) {
		a, err := r.mint(ctx, r.bearer, map[string]any{"ttl": "60s"})
		if err != nil {
			return lost(err)
		}
		return fmt.Sprintf("%s, lives %s", a.said(), a.life()), is(a.status == 400)
	})},
	{"a request without an endpoint is 400 INVALID_PARAMETER_VALUE", withBearer(func(ctx context.Context, r *road) (string, verdict) {
		a, err := r.call(ctx, http.MethodPost, "/api/2.0/postgres/credentials", r.bearer, map[string]any{})
		if err != nil {
			return lost(err)
		}
		r.hide(credential.NewSecret(a.field("token")))
		return a.said(), is(a.status == 400 && a.field("error_code") == "INVALID_PARAMETER_VALUE")
	})},
	{"a token that ends in 5 minutes can be had, to see its end", withBearer(func(ctx context.Context, r *road) (string, verdict) {
		if !r.patient {
			return "give --patient", unseen
		}
		a, err := r.mint(ctx, r.bearer, map[string]any{"ttl": "300s"})
		if err != nil {
			return lost(err)
		}
		r.short, r.shortEnds = credential.NewSecret(a.field("token")), time.Now().Add(a.life())
		return fmt.Sprintf("%s, lives %s", a.said(), a.life()), is(a.status == 200 && near(a.life(), 5*time.Minute))
	})},
	{"the rate limit of the credential call", func(context.Context, *road) (string, verdict) {
		return "it would take many calls", unseen
	}},
}
