package doctest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
	"github.com/lakebase-exec/lakebase-exec/test/emulator/control"
)

const (
	localLakebase = "./test/emulator/local-lakebase"
	module        = "github.com/lakebase-exec/lakebase-exec"
)

// steer carries out a call of go: install, or the local Lakebase and its ctl,
// which a real one obeys.
func steer(ctx context.Context, l *emulator.Lakebase, words []string) error {
	if len(words) > 2 && words[1] == "install" {
		pattern, _, hasVersion := strings.Cut(words[len(words)-1], "@")
		if _, inside, _ := strings.Cut(pattern, module+"/"); !hasVersion || !exists(strings.TrimSuffix(inside, "/...")) || inside == "" {
			return fmt.Errorf("there is no %s", pattern)
		}
		return nil
	}
	if len(words) < 3 || words[1] != "run" || words[2] != localLakebase {
		return fmt.Errorf("nothing here knows %q", words)
	}
	if words = words[3:]; len(words) > 0 && words[0] == "ctl" {
		_, err := control.Do(ctx, l, words[1:])
		return err
	}
	_, err := tool(ctx, "", filepath.Join(bin, "local-lakebase"), append(slices.Clone(words), "--help")...)
	return err
}

var hyphened = regexp.MustCompile(`^[a-z]+(?:-[a-z0-9]+)+(?:=.*)?$`)

// checkWords lists the words of a page's text that steer nothing: commands
// behind ctl, and what has a hyphen.
func checkWords(d document, commands, switches []string) (wrong []string) {
	prose, _ := d.split()
	for _, s := range spans(prose) {
		words := strings.Fields(s)
		name, _, _ := strings.Cut(s, "=")
		switch {
		case words[0] == "ctl" && len(words) > 1 && !slices.Contains(commands, words[1]),
			words[0] == "ctl" && len(words) > 2 && words[1] == "set" && !slices.Contains(switches, strings.Split(words[2], "=")[0]),
			hyphened.MatchString(s) && !slices.Contains(switches, name):
			wrong = append(wrong, s)
		}
	}
	return wrong
}

// known reads what there is from the language's own words for a mistake.
func known(t *testing.T, l *emulator.Lakebase, words []string, before, between string) []string {
	t.Helper()
	_, err := control.Do(t.Context(), l, words)
	_, list, found := strings.Cut(fmt.Sprint(err), before)
	if !errors.Is(err, control.ErrUsage) || !found {
		t.Fatalf("%v", err)
	}
	return strings.Split(list, between)
}

func TestSteeringExamples(t *testing.T) {
	l, err := emulator.Start(t.Context(), emulator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	steered := 0
	eachCall(t, func(where string, words []string) {
		if words[0] != "go" {
			return
		}
		steered++
		if err := steer(t.Context(), l, words); err != nil {
			t.Errorf("%s: %q: %v", where, words, err)
		}
	})
	if steered < 12 {
		t.Errorf("only %d examples were found", steered)
	}
	for call, want := range map[string]string{
		"go run ./test/emulator/local-lakebase ctl suspnd":         "no such command",
		"go run ./test/emulator/local-lakebase ctl set tokn-life=": "is no NAME=VALUE",
		"go run ./test/emulator/local-lakebase --env-fil x":        "env-fil",
		"go run ./test/emulator/locl-lakebase":                     "nothing here knows",
		"go install " + module + "/cmds/...@latest":                "there is no",
		"go build ./cmd": "nothing here knows",
	} {
		if err := steer(t.Context(), l, strings.Fields(call)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, not %s", call, err, want)
		}
	}
}

func TestSteeringWords(t *testing.T) {
	l, err := emulator.Start(t.Context(), emulator.Options{NoPostgres: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	commands := known(t, l, nil, "ctl ", "|")
	switches := known(t, l, []string{"set"}, "one of ", ", ")
	for _, way := range emulator.AuthTypes() {
		switches = append(switches, string(way))
	}
	for _, w := range checkWords(page(t, "docs/local-lakebase.md"), commands, switches) {
		t.Errorf("docs/local-lakebase.md: there is no %q", w)
	}
	if got := checkWords(document{"x.md", "`ctl suspnd`, `ctl set tokn-life=3s`, `refresh-rottes`, `pat-revoked=true`, `ctl status`, `env-oidc`, `ctl env env-oidc`"}, commands, switches); !slices.Equal(got, []string{"ctl suspnd", "ctl set tokn-life=3s", "refresh-rottes"}) {
		t.Errorf("the check finds %q", got)
	}
}

// statements are those of a page's SQL, for this service principal.
func statements(d document, clientID string) (out []string) {
	_, blocks := d.split()
	for _, b := range blocks {
		if b.language == "sql" {
			for _, s := range strings.SplitAfter(strings.TrimSpace(b.text), ";") {
				out = append(out, strings.ReplaceAll(s, "CLIENT-ID", clientID))
			}
		}
	}
	return out
}

// refused says whether a real Postgres takes a statement. What Databricks adds
// to it, it does not have; that is another error than one of the grammar.
func refused(ctx context.Context, l *emulator.Lakebase, statement string) error {
	if strings.TrimSpace(statement) == "" {
		return nil
	}
	_, err := l.SQL(ctx, statement)
	if err != nil && strings.Contains(err.Error(), "databricks_") && strings.Contains(statement, "databricks_auth;") || err != nil && strings.Contains(err.Error(), "42883") {
		return nil
	}
	return err
}

func TestSQL(t *testing.T) {
	l, err := emulator.Start(t.Context(), emulator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	all := statements(page(t, "README.md"), l.ClientID)
	if len(all) < 5 {
		t.Errorf("only %q", all)
	}
	for _, s := range all {
		if err := refused(t.Context(), l, s); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	for _, s := range []string{"GRANT CONECT ON DATABASE databricks_postgres TO \"" + l.ClientID + "\";", "SELECT databricks_create_role('x', 'y'", "CREATE EXTENSION IF NOT databricks_auth"} {
		if refused(t.Context(), l, s) == nil {
			t.Errorf("%s: is taken", s)
		}
	}
}
