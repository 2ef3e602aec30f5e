package control

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// started returns an emulator without Postgres, and what steers it.
func started(t *testing.T) (*emulator.Lakebase, func(words ...string) (string, error)) {
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
	return l, func(words ...string) (string, error) { return Do(t.Context(), l, words) }
}

// Every switch has a word, which sets it and nothing else.
func TestEverySwitchHasAWord(t *testing.T) {
	elsewhere := []string{"Wake", "WakeTime", "Faults", "LoginFaults"} // words of their own
	reached := map[string]string{}
	for word := range setters {
		var s emulator.Settings
		for _, value := range []string{"true", "3s", "7", "STOPPED", "missing"} { // one of each kind
			if Apply(&s, word+"="+value) == nil && !reflect.ValueOf(s).IsZero() {
				break
			}
		}
		v := reflect.ValueOf(s)
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; !v.Field(i).IsZero() {
				if other := reached[name]; other != "" {
					t.Errorf("%s and %s both set %s", other, word, name)
				}
				reached[name] = word
			}
		}
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[emulator.Settings]()) {
		if reached[f.Name] == "" && !slices.Contains(elsewhere, f.Name) {
			t.Errorf("no word sets %s", f.Name)
		}
	}
	if len(reached) != len(setters) {
		t.Errorf("%d words set %d settings", len(setters), len(reached))
	}
}

func TestSetIsWholeOrNothing(t *testing.T) {
	l, do := started(t)
	if _, err := do("set", "refresh-rotates=true", "page-size=-1"); !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), "page-size") || l.Settings().RefreshRotates {
		t.Errorf("%v, %+v", err, l.Settings())
	}
	if _, err := do("set", "refresh-rotates=true", "audiences=a,b", "page-size=2"); err != nil {
		t.Fatal(err)
	}
	if s := l.Settings(); !s.RefreshRotates || !slices.Equal(s.Audiences, []string{"a", "b"}) || s.PageSize != 2 {
		t.Errorf("%+v", s)
	}
	for value, want := range map[string][]string{"none": {}, "": nil} {
		if _, err := do("set", "audiences="+value); err != nil || !reflect.DeepEqual(l.Settings().Audiences, want) {
			t.Errorf("%q: %v, %#v", value, err, l.Settings().Audiences)
		}
	}
}

// each authentication type has its own variables, and none that names another auth.
func TestEnv(t *testing.T) {
	l, do := started(t)
	own := map[emulator.AuthType][]string{
		emulator.AuthM2M:        {"DATABRICKS_CLIENT_ID", "DATABRICKS_CLIENT_SECRET"},
		emulator.AuthBrowser:    nil,
		emulator.AuthEnvOIDC:    {"DATABRICKS_CLIENT_ID", "DATABRICKS_OIDC_TOKEN"},
		emulator.AuthFileOIDC:   {"DATABRICKS_CLIENT_ID", "DATABRICKS_OIDC_TOKEN_FILEPATH"},
		emulator.AuthGitHubOIDC: {"ACTIONS_ID_TOKEN_REQUEST_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_URL", "DATABRICKS_CLIENT_ID"},
		emulator.AuthPAT:        {"DATABRICKS_TOKEN"},
	}
	common := []string{"DATABRICKS_HOST", "ENDPOINT_NAME", "PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGSSLROOTCERT", "LAKEBASE_CACERT", "LOCAL_LAKEBASE_USER"}
	for _, auth := range emulator.AuthTypes() {
		out, err := do("env", string(auth))
		if err != nil {
			t.Errorf("%s: %v", auth, err)
			continue
		}
		var names []string
		for line := range strings.Lines(out) {
			name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
			if !ok || value == "" || strings.ContainsAny(value, " '\"$`\\") {
				t.Errorf("%s: %q", auth, line)
			}
			names = append(names, name)
		}
		want := append(slices.Clone(common), own[auth]...)
		slices.Sort(names)
		slices.Sort(want)
		if !slices.Equal(names, want) {
			t.Errorf("%s has %v, want %v", auth, names, want)
		}
		user := l.ClientID
		if auth == emulator.AuthPAT || auth == emulator.AuthBrowser {
			user = l.User
		}
		if !strings.Contains(out, "PGUSER="+user+"\n") {
			t.Errorf("%s: %s", auth, out)
		}
	}
}

func TestTokens(t *testing.T) {
	l, do := started(t)
	for _, words := range [][]string{{"workload-token"}, {"workload-token", "subject=s", "audience=a", "issuer=i", "life=3s", "foreign"}, {"workspace-token", "subject=" + l.User, "life=1m"}} {
		if out, err := do(words...); err != nil || strings.Count(out, ".") != 2 || !strings.HasSuffix(out, "\n") {
			t.Errorf("%v: %q, %v", words, out, err)
		}
	}
	if out, err := do("pat"); err != nil || out != l.PAT()+"\n" {
		t.Errorf("%q, %v", out, err)
	}
	if out, err := do("refresh-token", l.User); err != nil || len(out) != 44 {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := do("add-user", "eve@example.com"); err != nil {
		t.Error(err)
	}
	if out, err := do("refresh-token", "eve@example.com"); err != nil || len(out) != 44 {
		t.Errorf("%q, %v", out, err)
	}
	for _, words := range [][]string{{"workload-token", "life=soon"}, {"workload-token", "aud=x"}, {"workspace-token", "kind=x"}, {"refresh-token", "nobody"}, {"refresh-token", "a", "b"},
		{"env"}, {"env", "azure-cli"}, {"env", "env-oidc", "x"}, {"add-user"}} {
		if _, err := do(words...); !errors.Is(err, ErrUsage) {
			t.Errorf("%v: %v, want a usage error", words, err)
		}
	}
}

func TestResources(t *testing.T) {
	_, do := started(t)
	for _, words := range [][]string{{"put", "projects/lab/branches/main/endpoints/e", "read-only", "disabled"}, {"put", "projects/shop/branches/old", "archived"}, {"remove", "projects/shop/branches/production"}} {
		if _, err := do(words...); err != nil {
			t.Errorf("%v: %v", words, err)
		}
	}
	var want strings.Builder
	for _, line := range [][]string{{"projects/shop"}, {"projects/lab"}, {"projects/lab/branches/main"}, {"projects/lab/branches/main/endpoints/e", "disabled", "read-only"}, {"projects/shop/branches/old", "archived"}} {
		want.WriteString(strings.Join(append([]string{line[0], emulator.UID(line[0])}, line[1:]...), " ") + "\n")
	}
	if out, err := do("resources"); err != nil || out != want.String() {
		t.Errorf("%v\n%swant\n%s", err, out, want.String())
	}
	for _, words := range [][]string{{"put"}, {"put", "shop"}, {"put", "projects/x", "asleep"}, {"remove"}} {
		if _, err := do(words...); !errors.Is(err, ErrUsage) {
			t.Errorf("%v: %v, want a usage error", words, err)
		}
	}
	if _, err := do("remove", "projects/none"); err == nil || errors.Is(err, ErrUsage) {
		t.Errorf("%v", err)
	}
	out, err := do("status")
	if err != nil || !strings.Contains(out, "\ngranted_refresh_token=0\n") || !strings.Contains(out, "\nrefused_token_exchange=0\n") || !strings.Contains(out, "\nrequests_authorize=0\n") || !strings.Contains(out, "\nuser=ada@example.com\n") {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := do("wake", "held", time.Second.String()); err != nil {
		t.Error(err)
	}
}
