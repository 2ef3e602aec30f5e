package exchange

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// ours is our clock when the request is sent; theirs is half an hour ahead.
var (
	ours   = time.Date(2026, 8, 1, 12, 0, 0, 123, time.FixedZone("", 7200))
	theirs = ours.Truncate(time.Second).Add(30 * time.Minute).UTC()
)

func stamp(t time.Time) string { return `"` + t.UTC().Format(time.RFC3339Nano) + `"` }

func TestDatabaseTokenLife(t *testing.T) {
	claims := `{"iat":1000,"exp":1900}`
	for _, tc := range []struct {
		name   string
		date   time.Time
		expire string
		claims string
		want   time.Duration // 0: refused
	}{
		{"their clock ahead", theirs, stamp(theirs.Add(50 * time.Minute)), "", 50 * time.Minute},
		{"their clock behind", theirs.Add(-5 * time.Hour), stamp(theirs.Add(-4*time.Hour - 15*time.Minute)), "", 45 * time.Minute},
		{"milliseconds", theirs, stamp(theirs.Add(10*time.Minute + 500*time.Millisecond)), "", 10*time.Minute + 500*time.Millisecond},
		{"microseconds", theirs, stamp(theirs.Add(10*time.Minute + time.Microsecond)), "", 10*time.Minute + time.Microsecond},
		{"nanoseconds", theirs, stamp(theirs.Add(10*time.Minute + 1)), "", 10*time.Minute + 1},
		{"an offset", theirs, `"` + theirs.Add(20*time.Minute).In(time.FixedZone("", -3600)).Format(time.RFC3339) + `"`, "", 20 * time.Minute},
		{"more than an hour", theirs, stamp(theirs.Add(24 * time.Hour)), "", time.Hour},
		{"the year 9999", theirs, `"9999-12-31T23:59:59Z"`, "", time.Hour},
		{"no Date", time.Time{}, stamp(ours.Add(40 * time.Minute)), "", 40 * time.Minute},
		{"no Date, our clock too far ahead", time.Time{}, stamp(ours.Add(-time.Minute)), "", defaultLifetime},
		{"passed by their clock", theirs, stamp(theirs.Add(-time.Second)), "", 0},
		{"at their clock", theirs, stamp(theirs), "", 0},
		{"missing, claims", theirs, `null`, claims, 15 * time.Minute},
		{"missing, claims of a day", theirs, `null`, `{"iat":1000,"exp":87400}`, time.Hour},
		{"missing, claims of nothing", theirs, `null`, `{"iat":1000,"exp":1000}`, defaultLifetime},
		{"missing, claims that go back", theirs, `null`, `{"iat":1000,"exp":10}`, defaultLifetime},
		{"missing, no iat", theirs, `null`, `{"exp":1900}`, defaultLifetime},
		{"missing, claims of the wrong type", theirs, `null`, `{"iat":"a","exp":[]}`, defaultLifetime},
		{"missing", theirs, `null`, "", defaultLifetime},
		{"not a time", theirs, `"tomorrow"`, "", defaultLifetime},
		{"a number", theirs, `1785600000`, "", defaultLifetime},
	} {
		t.Run(tc.name, func(t *testing.T) {
			value := "opaque"
			if tc.claims != "" {
				value = jwt(tc.claims)
			}
			w := newWorkspace(t, false, func(rw http.ResponseWriter, r *http.Request) {
				rw.Header()["Date"] = nil
				if !tc.date.IsZero() {
					rw.Header().Set("Date", tc.date.UTC().Format(http.TimeFormat))
				}
				says(200, fmt.Sprintf(`{"token":%q,"expire_time":%s}`, value, tc.expire))(rw, r)
			})
			c := w.client(t, func(o *Options) { o.Now = func() time.Time { return ours } })
			token, err := c.DatabaseCredential(soon(t), bearer, endpointName, 0)
			if tc.want == 0 {
				wants(t, err, KindBadReply, false)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			checkTimes(t, token, tc.want)
		})
	}
}

func checkTimes(t *testing.T, token credential.Token, life time.Duration) {
	t.Helper()
	if !token.MintedAt.Equal(ours) || token.MintedAt.Location() != time.UTC || token.ExpiresAt.Location() != time.UTC {
		t.Errorf("minted at %v, expires at %v, want %v in UTC", token.MintedAt, token.ExpiresAt, ours)
	}
	if got := token.ExpiresAt.Sub(ours); got != life {
		t.Errorf("life = %v, want %v", got, life)
	}
	if !token.Fresh(ours, time.Minute) {
		t.Error("not fresh when minted")
	}
}

func TestWorkspaceTokenLife(t *testing.T) {
	for field, want := range map[string]time.Duration{
		`,"expires_in":3600`:   time.Hour,
		`,"expires_in":"1800"`: 30 * time.Minute,
		`,"expires_in":900.5`:  15*time.Minute + 500*time.Millisecond,
		`,"expires_in":7200`:   time.Hour, `,"expires_in":86400`: time.Hour, `,"expires_in":86401`: defaultLifetime, `,"expires_in":1e300`: defaultLifetime,
		`,"expires_in":1e999`: defaultLifetime, `,"expires_in":0`: defaultLifetime, `,"expires_in":0.5`: defaultLifetime,
		`,"expires_in":-60`: defaultLifetime, `,"expires_in":"NaN"`: defaultLifetime, `,"expires_in":"Inf"`: defaultLifetime,
		`,"expires_in":"soon"`: defaultLifetime, `,"expires_in":null`: defaultLifetime, `,"expires_in":[3600]`: defaultLifetime,
		`,"expires_in":{"s":1}`: defaultLifetime, ``: defaultLifetime,
	} {
		t.Run(field, func(t *testing.T) {
			w := newWorkspace(t, false, says(200, `{"access_token":"opaque"`+field+`}`))
			c := w.client(t, func(o *Options) { o.Now = func() time.Time { return ours } })
			token, err := c.WorkspaceToken(soon(t), clientID, credential.NewSecret(clientSecret))
			if err != nil {
				t.Fatal(err)
			}
			checkTimes(t, token, want)
		})
	}
	w := newWorkspace(t, false, says(200, `{"access_token":"`+jwt(`{"iat":1000,"exp":2200}`)+`"}`))
	c := w.client(t, func(o *Options) { o.Now = func() time.Time { return ours } })
	token, err := c.WorkspaceToken(soon(t), clientID, credential.NewSecret(clientSecret))
	if err != nil {
		t.Fatal(err)
	}
	checkTimes(t, token, 20*time.Minute)
}

func TestMintedAtHasNoMonotonicClock(t *testing.T) {
	w := newWorkspace(t, false, lakebase)
	token, err := w.client(t).DatabaseCredential(soon(t), bearer, endpointName, 0)
	if err != nil {
		t.Fatal(err)
	}
	if token.MintedAt != token.MintedAt.Round(0) || token.ExpiresAt != token.ExpiresAt.Round(0) {
		t.Errorf("a monotonic reading is left: %v", token.MintedAt)
	}
}
