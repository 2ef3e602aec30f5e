package doctor

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
)

func TestRun_AllOK(t *testing.T) {
	w := newFakeWorld(t)
	report := w.run(t)
	if got := summary(report); got != "" || report.Err() != nil {
		t.Errorf("got %s, error %v", got, report.Err())
	}
	if len(report.Results) != len(checks) {
		t.Errorf("got %d results, want %d", len(report.Results), len(checks))
	}
	for i, r := range report.Results {
		if r.ID != checks[i].id || r.Text == "" {
			t.Errorf("result %d: got %+v, want %s with a text", i, r, checks[i].id)
		}
	}
	want := "secret clock sign-in me secrets target branches probe:" + endpointHost + " credential:" + endpointName + " login:" + clientID + ":token"
	if got := strings.Join(w.calls, " "); got != want {
		t.Errorf("got the calls %s\nwant %s", got, want)
	}
	if got := find(t, report, Child).Facts; got["PGHOST"] != endpointHost || got["PGPASSWORD"] != "<not shown>" {
		t.Errorf("child: got %v", got)
	}
}

// A check that fails keeps only those from running that need it.
func TestRun_Needs(t *testing.T) {
	const (
		afterTarget = "database host<target, database<database host, credential<target, login<database"
		afterSignIn = "identity<sign-in, target<sign-in, " + afterTarget
	)
	denied := refused(exchange.CallEndpoint, exchange.KindPermissionDenied)
	for _, c := range []struct {
		name    string
		set     func(*fakeWorld)
		options []string
		want    string
	}{
		{"no secret", func(w *fakeWorld) { w.secretErr = missing() }, nil, "secret:failed, sign-in<secret, " + afterSignIn},
		{"keychain locked", func(w *fakeWorld) { w.keychainErr, w.secretErr = locked(), locked() }, nil, "keychain:failed, secret<keychain, sign-in<secret, " + afterSignIn},
		{"keychain locked, secret given", func(w *fakeWorld) { w.keychainErr = locked() }, nil, "keychain:warning"},
		{"workspace", func(w *fakeWorld) { w.clockErr = certificateError() }, nil, "workspace:failed, clock<workspace, sign-in<workspace, " + afterSignIn},
		{"sign-in", func(w *fakeWorld) { w.tokenErr = refused(exchange.CallWorkspaceToken, exchange.KindInvalidClient) }, nil, "sign-in:failed, " + afterSignIn},
		{"target disabled", func(w *fakeWorld) { w.endpoint.Disabled = true }, nil, "target:failed, " + afterTarget},
		{"target not found", func(w *fakeWorld) { w.targetErr = denied }, nil, "target:failed, " + afterTarget},
		{"target denied, host trusted", func(w *fakeWorld) { w.targetErr = denied }, []string{"PGHOST", endpointHost}, "target:failed"},
		{"branch archived", func(w *fakeWorld) { w.branch.State = "ARCHIVED" }, nil, "target:warning"},
		{"branches denied", func(w *fakeWorld) { w.branchErr = denied }, nil, ""},
		{"other host", func(*fakeWorld) {}, []string{"PGHOST", otherHost}, "database host:failed, database<database host, login<database"},
		{"other host by option", func(*fakeWorld) {}, []string{"pghost", otherHost}, "database host:warning"},
		{"credential", func(w *fakeWorld) { w.credentialErr = denied }, nil, "credential:failed, login<credential"},
		{"database", func(w *fakeWorld) { w.probeErr = &pglogin.Error{Kind: pglogin.Certificate} }, nil, "database:failed, login<database"},
		{"login", func(w *fakeWorld) { w.loginErr = &pglogin.Error{Kind: pglogin.RoleMissing} }, nil, "login:failed"},
		{"identity, user known", func(w *fakeWorld) { w.meErr = denied }, nil, "identity:warning"},
		{"identity, user unknown", func(w *fakeWorld) { w.meErr = denied }, []string{"DATABRICKS_CLIENT_ID", ""}, "identity:failed, login<identity"},
		{"secret expires soon", func(w *fakeWorld) { w.expires = w.now.Add(24 * time.Hour) }, nil, "secret:warning"},
		{"unrecorded secret expires soon", func(w *fakeWorld) {
			w.secrets = []exchange.ClientSecret{{ExpiresAt: w.now.Add(24 * time.Hour)}}
		}, nil, "secret:warning"},
		{"certificate ends soon", func(w *fakeWorld) { w.certificateEnds = w.now.AddDate(0, 0, 13) }, nil, "database:warning"},
		{"runtime directory", func(w *fakeWorld) { w.runtimeErr = errors.New("none") }, nil, "runtime folder:warning"},
		{"runtime directory given", func(w *fakeWorld) { w.runtimeErr = errors.New("none") }, []string{"runtime-dir", "/x"}, "runtime folder:failed"},
		{"proxy setting", func(w *fakeWorld) { w.proxyErr = errors.New("bad") }, nil, "trust:failed, secret<trust, workspace<trust, clock<workspace, sign-in<secret, " + afterSignIn},
		{"roots of the database", func(*fakeWorld) {}, []string{"sslrootcert", "/nowhere.pem"}, "trust:failed, database<trust, login<database"},
		{"roots of the workspace", func(*fakeWorld) {}, []string{"cacert", "/nowhere.pem"}, "trust:failed, secret<trust, workspace<trust, clock<workspace, sign-in<secret, " + afterSignIn},
		{"no TLS verification", func(*fakeWorld) {}, []string{"sslmode", "require"}, "trust:warning"},
		{"dispensable settings", func(*fakeWorld) {}, []string{"timeout", "never", "PGSSLMODE", "prefer"}, "configuration:failed"},
		{"no endpoint", func(*fakeWorld) {}, []string{"LAKEBASE_ENDPOINT", ""}, "configuration:failed, target<configuration, " + afterTarget},
		{"unknown profile", func(*fakeWorld) {}, []string{"profile", "x"}, "configuration:failed, way in<configuration, secret<configuration, workspace<configuration, clock<workspace, sign-in<secret, " + afterSignIn + ", child<configuration"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newFakeWorld(t)
			c.set(w)
			report := w.run(t, c.options...)
			if got := summary(report); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			for _, r := range report.Results {
				if failed := r.Status == Failed; failed != (r.Err != nil) || (failed || r.Status == Warning) && (r.Text == "" || r.Fix == "") {
					t.Errorf("got %+v, want an error, a text and a fix", r)
				}
			}
		})
	}
}

func TestClock(t *testing.T) {
	for _, c := range []struct {
		skew   time.Duration
		err    error
		status Status
		text   string
		ahead  string
	}{
		{-time.Minute, nil, OK, "within 1m1s", "60"},
		{300 * time.Millisecond, nil, OK, "within 1s", "0"}, // not "-0"
		{61 * time.Second, nil, Warning, "1m1s behind that of w.example", "-61"},
		{-5 * time.Minute, nil, Warning, "5m0s ahead of that of w.example", "300"},
		{301 * time.Second, nil, Failed, "5m1s behind that of w.example", "-301"},
		{0, exchange.ErrNoDate, NotTried, "w.example does not send its time", ""},
	} {
		w := newFakeWorld(t)
		w.skew, w.clockErr = c.skew, c.err
		report := w.run(t)
		if r := find(t, report, Clock); r.Status != c.status || !strings.Contains(r.Text, c.text) || r.Facts["ahead_seconds"] != c.ahead {
			t.Errorf("%s, %v: got %s: %s, %v; want %s: %s, %s", c.skew, c.err, r.Status, r.Text, r.Facts, c.status, c.text, c.ahead)
		}
		if s := find(t, report, Login).Status; s != OK {
			t.Errorf("%s: got login %s, want it tried", c.skew, s)
		}
	}
}

func TestWithoutUserinfo(t *testing.T) {
	for in, want := range map[string]string{
		"http://proxy:3128":            "http://proxy:3128",
		"http://me:pass@proxy:3128/":   "http://proxy:3128/",
		"me:pass@proxy:3128":           "proxy:3128",
		"http://me:p/z@proxy":          "http://proxy",
		"socks5://me:p@ss@proxy:1080/": "socks5://proxy:1080/",
	} {
		if got := withoutUserinfo(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}
