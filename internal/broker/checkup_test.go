package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
	"github.com/lakebase-exec/lakebase-exec/internal/tokencache"
)

// healthy is a world in which every step of the road works.
func healthy() *ways {
	w := newWays()
	w.stored["secret:w.example:"+client] = secretText
	w.world.endpoint.State = "ACTIVE"
	w.branches = map[string][]exchange.Branch{"projects/p": {{Name: "projects/p/branches/b", State: "READY"}}}
	return w
}

// checkup is a walk in this world, as a program wires it.
func (w *ways) checkup(c config.Config) *Checkup {
	b := w.broker(c)
	b.Cache = tokencache.New(tokencache.Options{Observer: quietCache{}, Now: time.Now})
	return &Checkup{
		Broker: b,
		Clock:  func(context.Context) (time.Duration, error) { w.note("clock"); return time.Second, nil },
		Look:   func(context.Context) pglogin.Peer { return pglogin.Peer{Issuer: "CN=workspace"} },
		Probe: func(_ context.Context, t pglogin.Target) (pglogin.Peer, error) {
			w.note("probe:" + t.Host)
			return pglogin.Peer{Issuer: "CN=database"}, nil
		},
	}
}

// found is the parts that are not ok, each with its status, or what it needs.
func found(findings []Finding) string {
	var out []string
	for _, f := range findings {
		switch f.Status {
		case StatusOK:
		case StatusNotTried:
			out = append(out, fmt.Sprintf("%s<%s", f.Part, f.Needs))
		default:
			out = append(out, fmt.Sprintf("%s:%s", f.Part, f.Status))
		}
	}
	return strings.Join(out, ", ")
}

func part(t *testing.T, findings []Finding, p Part) Finding {
	t.Helper()
	for _, f := range findings {
		if f.Part == p {
			return f
		}
	}
	t.Fatalf("nothing was found of %s", p)
	return Finding{}
}

// Everything is asked anew, each time, and nothing is stored.
func TestCheckupWalksTheRoad(t *testing.T) {
	w := healthy()
	for n := 1; n <= 2; n++ {
		findings, seen := w.checkup(resolve(t)).Walk(t.Context(), nil)
		if got := found(findings); got != "" || len(findings) != 10 {
			t.Fatalf("%d findings, %s", len(findings), got)
		}
		want := fmt.Sprintf("keychain clock sign-in me endpoint branches probe:%s credential login:token-%d", ownHost, n)
		if got := w.did(); got != want {
			t.Errorf("did %s\nwant %s", got, want)
		}
		if seen.Host != ownHost || seen.Me.UserName != ada || seen.Branch.State != "READY" || seen.Workspace.Issuer != "CN=workspace" || seen.Database.Issuer != "CN=database" || seen.TokenEnds.IsZero() || seen.CredentialEnds.IsZero() {
			t.Errorf("%+v", seen)
		}
	}
	if len(w.items) != 0 || len(w.stamps) != 0 {
		t.Errorf("%v and %v are stored", w.items, w.stamps)
	}
}

// What a step needs and has not is in its way; all others are looked at.
func TestCheckupStopsAtNothing(t *testing.T) {
	const afterSignIn = "identity<sign-in, target<sign-in, database host<target, database<database host, credential<target, login<database"
	for _, c := range []struct {
		name string
		be   func(*ways, *Checkup)
		want string
	}{
		{"no secret", func(w *ways, _ *Checkup) { clear(w.stored) }, "secret:failed, sign-in<secret, " + afterSignIn},
		{"no workspace", func(_ *ways, c *Checkup) {
			c.Clock = func(context.Context) (time.Duration, error) {
				return 0, &exchange.Error{Call: exchange.CallClock, Kind: exchange.KindCertificate}
			}
		}, "workspace:failed, clock<workspace, sign-in<workspace, " + afterSignIn},
		{"refused", func(w *ways, _ *Checkup) {
			w.token = func(int) error {
				return &exchange.Error{Call: exchange.CallWorkspaceToken, Kind: exchange.KindInvalidClient, Status: 401}
			}
		}, "sign-in:failed, " + afterSignIn},
		{"disabled", func(w *ways, _ *Checkup) { w.world.endpoint.Disabled = true }, "target:failed, database host<target, database<database host, credential<target, login<database"},
		{"archived", func(w *ways, _ *Checkup) { w.branches["projects/p"][0].Archived = true }, "target:warning"},
		{"no credential", func(w *ways, _ *Checkup) {
			w.credError = func(context.Context, int) error {
				return &exchange.Error{Kind: exchange.KindPermissionDenied, Status: 403}
			}
		}, "credential:failed, login<credential"},
		{"no database", func(_ *ways, c *Checkup) {
			c.Probe = func(context.Context, pglogin.Target) (pglogin.Peer, error) {
				return pglogin.Peer{}, &pglogin.Error{Kind: pglogin.Certificate}
			}
		}, "database:failed, login<database"},
		{"no role", func(w *ways, _ *Checkup) {
			w.login = func(context.Context, pglogin.Target, string) error { return &pglogin.Error{Kind: pglogin.RoleMissing} }
		}, "login:failed"},
	} {
		w := healthy()
		checkup := w.checkup(resolve(t))
		c.be(w, checkup)
		findings, _ := checkup.Walk(t.Context(), nil)
		if got := found(findings); got != c.want {
			t.Errorf("%s: %s\nwant %s", c.name, got, c.want)
		}
		for _, f := range findings {
			if (f.Status == StatusFailed || f.Status == StatusWarning) && f.Err == nil {
				t.Errorf("%s: %s has no reason", c.name, f.Part)
			}
		}
	}
	w := healthy()
	findings, _ := w.checkup(resolve(t)).Walk(t.Context(), map[Part]Part{PartWorkspace: "trust", PartTarget: "configuration"})
	if got := found(findings); !strings.HasPrefix(got, "workspace<trust, clock<workspace, sign-in<workspace, ") || !strings.Contains(got, "target<configuration") {
		t.Error(got)
	}
	if got := w.did(); got != "keychain" {
		t.Errorf("did %s", got)
	}
}

func TestCheckupClock(t *testing.T) {
	noDate := &exchange.Error{Call: exchange.CallClock, Kind: exchange.KindBadReply, Status: 200, Message: "it has no Date"}
	for _, c := range []struct {
		skew time.Duration
		err  error
		want string
		says string
	}{
		{time.Minute, nil, "", ""},
		{-time.Minute, nil, "", ""},
		{61 * time.Second, nil, "clock:warning", "1m1s behind that of w.example"},
		{-5 * time.Minute, nil, "clock:warning", "5m0s ahead of that of w.example"},
		{301 * time.Second, nil, "clock:failed", "5m1s behind that of w.example"},
		{-10 * time.Minute, nil, "clock:failed", "10m0s ahead of that of w.example"},
		{0, noDate, "clock:warning", "no Date"},
	} {
		checkup := healthy().checkup(resolve(t))
		checkup.Clock = func(context.Context) (time.Duration, error) { return c.skew, c.err }
		findings, _ := checkup.Walk(t.Context(), nil)
		if got := found(findings); got != c.want {
			t.Errorf("%s, %v: %s", c.skew, c.err, got)
		}
		if err := part(t, findings, PartClock).Err; c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v", c.skew, err)
		}
	}
}

// The token goes to no host but the target's; an option takes any.
func TestCheckupHost(t *testing.T) {
	const other = "ep-y.database.eu-west-1.cloud.databricks.com"
	w := healthy()
	findings, _ := w.checkup(resolve(t, "PGHOST", other)).Walk(t.Context(), nil)
	var wrong *HostError
	if got := found(findings); got != "database host:failed, database<database host, login<database" || !errors.As(part(t, findings, PartHost).Err, &wrong) || wrong.Named != ownHost {
		t.Errorf("%s, %v", got, wrong)
	}
	if did := w.did(); strings.Contains(did, "probe") || strings.Contains(did, "login") {
		t.Errorf("did %s", did)
	}
	w = healthy()
	findings, seen := w.checkup(resolve(t, "pghost", other)).Walk(t.Context(), nil)
	if got := found(findings); got != "database host:warning" || seen.Host != other || !strings.Contains(w.did(), "probe:"+other) {
		t.Errorf("%s at %s", got, seen.Host)
	}
	// Who may not look at the endpoint goes to a trusted host, and to no other.
	denied := func(context.Context, int) error {
		return &exchange.Error{Call: exchange.CallEndpoint, Kind: exchange.KindPermissionDenied, Status: 403}
	}
	w = healthy()
	w.endError = denied
	findings, seen = w.checkup(resolve(t, "PGHOST", ownHost)).Walk(t.Context(), nil)
	if got := found(findings); got != "target:failed" || seen.Host != ownHost {
		t.Errorf("%s at %s", got, seen.Host)
	}
	w = healthy()
	w.endError = denied
	findings, _ = w.checkup(resolve(t)).Walk(t.Context(), nil)
	if got := found(findings); got != "target:failed, database host<target, database<database host, credential<target, login<database" {
		t.Error(got)
	}
}

// A person's road: who they are is asked, and a refresh token that the workspace
// replaces is the one thing that is stored.
func TestCheckupOfAPerson(t *testing.T) {
	w := healthy().signedIn(ada)
	w.rotates = true
	checkup := w.checkup(as(t))
	findings, seen := checkup.Walk(t.Context(), nil)
	if got := found(findings); got != "" {
		t.Fatal(got)
	}
	if seen.Config.User.Value != ada || seen.Config.Auth.Value != credential.AuthBrowser || w.stored[config.RefreshAccount("w.example", ada)] != w.refresh || len(w.items) != 0 {
		t.Errorf("%s by %s, stored %v", seen.Config.User.Value, seen.Config.Auth.Value, w.items)
	}

	w = healthy()
	findings, _ = w.checkup(as(t)).Walk(t.Context(), nil)
	var nobody *NoPersonError
	if got := found(findings); !strings.HasPrefix(got, "secret:failed, sign-in<secret") || !errors.As(part(t, findings, PartSecret).Err, &nobody) {
		t.Errorf("%s, %v", got, nobody)
	}
}

// Who cannot be asked who they are: a warning where the user is known, and in the
// way of a login where not.
func TestCheckupIdentity(t *testing.T) {
	for _, c := range []struct {
		conf config.Config
		want string
	}{
		{resolve(t), "identity:warning"},
		{as(t, "auth", "pat", "DATABRICKS_TOKEN", "dapi-0"), "identity:failed, login<identity"},
	} {
		w := healthy()
		checkup := w.checkup(c.conf)
		checkup.People, checkup.Workspace = nobodyKnown{w}, anyBearer{w}
		findings, _ := checkup.Walk(t.Context(), nil)
		if got := found(findings); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}

// nobodyKnown refuses to tell who has signed in.
type nobodyKnown struct{ *ways }

func (nobodyKnown) Me(context.Context, credential.Secret) (exchange.Identity, error) {
	return exchange.Identity{}, &exchange.Error{Call: exchange.CallMe, Kind: exchange.KindPermissionDenied, Status: 403}
}

// anyBearer takes a personal access token too.
type anyBearer struct{ *ways }

func (a anyBearer) Endpoint(ctx context.Context, _ credential.Secret, name string) (exchange.Endpoint, error) {
	return a.world.Endpoint(ctx, credential.NewSecret("bearer"), name)
}

func (a anyBearer) DatabaseCredential(ctx context.Context, _ credential.Secret, name string, ttl time.Duration) (credential.Token, error) {
	return a.world.DatabaseCredential(ctx, credential.NewSecret("bearer"), name, ttl)
}
