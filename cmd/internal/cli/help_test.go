package cli

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// What completion and manual offer as all values of an option is what the
// configuration takes.
func TestWordsAreWhatIsTaken(t *testing.T) {
	resolve := func(option, value string) error {
		options := map[string][]string{"host": {"localhost"}, "client-id": {"id"}, "endpoint": {"projects/p/branches/b/endpoints/e"}}
		if option == "on-refresh" {
			options["refresh"] = []string{config.RefreshPassfile}
		}
		environ := map[string]string{}
		if option == "auth" { // each way with what it starts from
			environ = map[string]string{"DATABRICKS_TOKEN": "t", "DATABRICKS_OIDC_TOKEN": "t", "DATABRICKS_OIDC_TOKEN_FILEPATH": "/t",
				"ACTIONS_ID_TOKEN_REQUEST_URL": "https://localhost/?a=b", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "t"}
			if credential.IsPerson(value) {
				delete(options, "client-id")
			}
		}
		options[option] = []string{value}
		_, err := config.Resolve(config.Input{Options: options, Environ: environ})
		return err
	}
	var seen []string
	for _, o := range (Page{}).Options(config.Settings()) {
		if o.Text == "" {
			t.Errorf("--%s has no words", o.Name)
		}
		if o.Words == nil {
			continue
		}
		seen = append(seen, o.Name)
		for _, w := range o.Words {
			if err := resolve(o.Name, w); err != nil {
				t.Errorf("--%s %s: %v", o.Name, w, err)
			}
		}
		var e *config.Error
		if err := resolve(o.Name, "no-such-word"); !errors.As(err, &e) || e.Name != "--"+o.Name {
			t.Errorf("--%s takes other words too: %v", o.Name, err)
		}
	}
	if want := []string{"auth", "credential", "sslmode", "child-sslmode", "wait", "refresh", "on-refresh", "cache", "log-format"}; !slices.Equal(seen, want) {
		t.Errorf("words have %q, not %q", seen, want)
	}
}

func TestOptionsOfAPage(t *testing.T) {
	p := Page{Name: "x", Omit: []string{"host"}, More: []Option{{Name: "own", Value: "V", Text: "mine"}}, ExitCodes: true}
	settings := []config.Setting{{Option: "host"}, {Option: "database", Alias: "d", Env: []string{"PGDATABASE"}, Value: "NAME", Usage: "the database", Default: "db"}, {Option: "keep", Many: true}}
	got := p.Options(settings)
	if len(got) != 3 || got[0].Name != "own" || got[1].Short != "d" || got[1].From != " [PGDATABASE; default db]" || !got[2].Many {
		t.Errorf("%+v", got)
	}
	text := Help(p, settings)
	for _, want := range []string{"      --own V                   mine\n", "  -d, --database NAME", "the database [PGDATABASE; default db]\n", "[repeatable]", "\n  120  usage", "\n  127  the command was not found\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if strings.Contains(text, "--host") {
		t.Error("an omitted setting is shown")
	}
}
