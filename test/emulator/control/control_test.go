package control

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start returns an emulator without Postgres, and what runs a command on it.
func start(t *testing.T) (*emulator.Lakebase, func(line string) (string, error)) {
	t.Helper()
	l, err := emulator.Start(t.Context(), emulator.Options{NoPostgres: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l, func(line string) (string, error) { return Do(t.Context(), l, strings.Fields(line)) }
}

// Every field of Settings can be set but those with a command of their own, and a set is
// whole or nothing.
func TestSet(t *testing.T) {
	for _, f := range reflect.VisibleFields(reflect.TypeFor[emulator.Settings]()) {
		name := f.Tag.Get("ctl")
		if own := slices.Contains([]string{"Wake", "WakeTime", "Faults", "LoginFaults"}, f.Name); own != (name == "") {
			t.Errorf("%s has the tag %q", f.Name, name)
		} else if own {
			continue
		}
		var s emulator.Settings
		for _, value := range []string{"true", "3s", "7", "STOPPED", "missing"} { // one of each kind
			if Apply(&s, name+"="+value) == nil && !reflect.ValueOf(s).FieldByIndex(f.Index).IsZero() {
				break
			}
		}
		if reflect.ValueOf(s).FieldByIndex(f.Index).IsZero() {
			t.Errorf("%s sets nothing", name)
		}
	}
	l, do := start(t)
	if _, err := do("set refresh-rotates=true page-size=x"); !errors.Is(err, ErrUsage) ||
		!strings.Contains(err.Error(), "page-size") || l.Settings().RefreshRotates {
		t.Errorf("got %v, %+v", err, l.Settings())
	}
	for value, want := range map[string][]string{"a,b": {"a", "b"}, "none": {}, "": nil} {
		if _, err := do("set audiences=" + value); err != nil || !reflect.DeepEqual(l.Settings().Audiences, want) {
			t.Errorf("%q: got %v, %#v, want %#v", value, err, l.Settings().Audiences, want)
		}
	}
}

// Each authentication type has its own variables, and none that names another.
func TestEnv(t *testing.T) {
	_, do := start(t)
	const common = "DATABRICKS_HOST ENDPOINT_NAME PGHOST PGPORT PGDATABASE PGUSER PGSSLROOTCERT LAKEBASE_CACERT LOCAL_LAKEBASE_USER "
	for auth, own := range map[emulator.AuthType]string{
		emulator.AuthM2M:        "DATABRICKS_CLIENT_ID DATABRICKS_CLIENT_SECRET",
		emulator.AuthBrowser:    "",
		emulator.AuthEnvOIDC:    "DATABRICKS_CLIENT_ID DATABRICKS_OIDC_TOKEN",
		emulator.AuthFileOIDC:   "DATABRICKS_CLIENT_ID DATABRICKS_OIDC_TOKEN_FILEPATH",
		emulator.AuthGitHubOIDC: "DATABRICKS_CLIENT_ID ACTIONS_ID_TOKEN_REQUEST_TOKEN ACTIONS_ID_TOKEN_REQUEST_URL",
		emulator.AuthPAT:        "DATABRICKS_TOKEN",
	} {
		out, err := do("env " + string(auth))
		var names []string
		for line := range strings.Lines(out) {
			name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
			if !ok || value == "" || strings.ContainsAny(value, " '\"$`\\") {
				t.Errorf("%s: got %q", auth, line)
			}
			names = append(names, name)
		}
		want := strings.Fields(common + own)
		slices.Sort(names)
		if slices.Sort(want); err != nil || !slices.Equal(names, want) {
			t.Errorf("%s: got %v, %v, want %v", auth, names, err, want)
		}
	}
}

func TestCommands(t *testing.T) {
	l, do := start(t)
	uid := emulator.UID
	for _, c := range []struct{ line, want string }{
		{"workload-token subject=s audience=a issuer=i life=3s foreign", "eyJ"}, {"workspace-token life=1m subject=" + l.User, "eyJ"},
		{"pat", l.PAT() + "\n"}, {"add-user eve@example.com", ""}, {"refresh-token eve@example.com", ""}, {"wake held 1s", ""},
		{"put projects/lab/branches/main/endpoints/e read-only disabled", ""}, {"put projects/shop/branches/old archived", ""},
		{"remove projects/shop/branches/production", ""},
		{"resources", "projects/shop " + uid("projects/shop") + "\nprojects/lab " + uid("projects/lab") + "\nprojects/lab/branches/main " +
			uid("projects/lab/branches/main") + "\nprojects/lab/branches/main/endpoints/e " + uid("projects/lab/branches/main/endpoints/e") +
			" disabled read-only\nprojects/shop/branches/old " + uid("projects/shop/branches/old") + " archived\n"},
		{"fault token times=3 status=503 retry-after=1", ""}, {"login-fault startup times=2 reset", ""},
		{"status", "\nfaults=2\n"}, {"status", "\nuser=ada@example.com\n"}, {"status", "\ngranted_refresh_token=0\n"}, {"status", "\nwake_time=1s\n"},
	} {
		if out, err := do(c.line); err != nil || !strings.Contains(out, c.want) {
			t.Errorf("%s: got %q, %v, want %q", c.line, out, err, c.want)
		}
	}
	if f := l.Settings().Faults; len(f) != 1 || f[0].Times != 3 || f[0].Status != 503 || f[0].Header.Get("Retry-After") != "1" || !strings.Contains(f[0].Body, "TEMPORARILY") {
		t.Errorf("got faults %+v", f)
	}
	for _, line := range []string{"", "sleep", "wake softly 1s", "wake held", "wake held -1s", "set", "set latency", "set latency=soon", "set latency=9s no=1",
		"set instance-state=RESTING", "set expire-time=zero", "fault nothing", "fault token times=x", "login-fault startup spin", "workload-token life=soon",
		"workload-token aud=x", "workspace-token kind=x", "refresh-token nobody", "refresh-token a b", "env", "env azure-cli", "env env-oidc x", "add-user",
		"put", "put shop", "put projects/x asleep", "remove"} {
		if _, err := do(line); !errors.Is(err, ErrUsage) {
			t.Errorf("%s: got %v, want a usage error", line, err)
		}
	}
	for _, line := range []string{"remove projects/none", "suspend"} {
		if _, err := do(line); err == nil || errors.Is(err, ErrUsage) {
			t.Errorf("%s: got %v, want an error that is not of usage", line, err)
		}
	}
}
