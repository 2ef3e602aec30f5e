package gen

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
)

var sample = Program{
	Page: cli.Page{Name: "the-program", Brief: "does it", Usage: "the-program COMMAND", Text: "First.\n\n.Second - 'so'."},
	Commands: []cli.Page{
		{Name: "one", Brief: "it's one", Usage: "the-program one", Omit: all(), More: []cli.Option{
			{Name: "mode", Short: "m", Value: "MODE", Text: "a [mode]", Words: []string{"a", "b"}}, {Name: "both", Text: "for both"}}},
		{Name: "two", Brief: "two", Usage: "the-program two", Omit: all(), More: []cli.Option{
			{Name: "mode", Short: "m", Value: "MODE", Text: "another", Words: []string{"c"}}, {Name: "both", Text: "for both"}, {Name: "file", Value: "PATH", Text: "a file"}}},
	},
	SeeAlso: []string{"psql(1)"},
}

// all leaves out every setting.
func all() []string {
	var out []string
	for _, o := range (cli.Page{}).Options(config.Settings()) {
		out = append(out, o.Name)
	}
	return out
}

func TestSyncFindsWhatDiffers(t *testing.T) {
	root := t.TempDir()
	if _, err := sample.Sync(root, false); !os.IsNotExist(err) {
		t.Errorf("files that are missing: %v", err)
	}
	for _, dir := range []string{"man", "completions"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := sample.Sync(root, true); err != nil {
		t.Fatal(err)
	}
	if stale, err := sample.Sync(root, false); len(stale) != 0 || err != nil {
		t.Errorf("just written: %q, %v", stale, err)
	}
	other := sample
	other.Page.Brief = "does something else" // in the manual alone
	if stale, err := other.Sync(root, false); !cmp.Equal(stale, []string{"man/the-program.1"}) || err != nil {
		t.Errorf("%q, %v", stale, err)
	}
	if err := os.WriteFile(filepath.Join(root, "completions", "_the-program"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if stale, err := sample.Sync(root, false); !cmp.Equal(stale, []string{"completions/_the-program"}) || err != nil {
		t.Errorf("%q, %v", stale, err)
	}
}

func TestOptionsOfTheSameWordsAreOne(t *testing.T) {
	var got []string
	for _, u := range sample.uses() {
		got = append(got, u.Name+" "+strings.Join(u.commands, ","))
	}
	if want := []string{"mode one", "both one,two", "mode two", "file two"}; !slices.Equal(got, want) {
		t.Errorf("%q, not %q", got, want)
	}
}

func TestScripts(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"bash": {sample.Bash(), []string{"one:--mode | one:-m) __lakebase_words \"$cur\" a b;", "two:--mode | two:-m) __lakebase_words \"$cur\" c;",
			"*:--file) __lakebase_files", "one) __lakebase_words \"$cur\" --both --mode -m ;;", "complete -F _the_program the-program\n"}},
		"zsh": {sample.Zsh(), []string{"#compdef the-program\n", `'one:it'\''s one'`, `--mode '(--mode -m)--mode=[a \[mode\]]:MODE:(a b)'`,
			"two--mode '(--mode -m)--mode=[another]:MODE:(c)'", "two) mine=(--both two--mode two-m --file)"}},
		"fish": {sample.Fish(), []string{`-a one -d 'it\'s one'`, "-n '__lakebase_helper_in one' -s m -l mode -x -a 'a b'",
			"-n '__lakebase_helper_in one two' -l both -d 'for both'", "-l file -r -F"}},
		"man": {sample.Man(), []string{`.TH THE\-PROGRAM 1 "" the\-program "User Commands"`, "\nFirst.\n.PP\n\\&.Second \\- \\(aqso\\(aq.\n",
			"\\fB\\-m\\fR, \\fB\\-\\-mode\\fR \\fIMODE\\fR\na [mode]\n", "\n.BR psql (1)\n"}},
	} {
		for _, w := range c.want {
			if !strings.Contains(c.text, w) {
				t.Errorf("%s: %q is not in\n%s", name, w, c.text)
			}
		}
	}
}

// A manual page is ASCII, and its characters are shown as they are.
func TestRoffEscapes(t *testing.T) {
	for in, want := range map[string]string{
		`a\b-c`:             `a\eb\-c`,
		"'`^~\"":            `\(aq\(ga\(ha\(ti\(dq`,
		"5f2b… \u00e9":      `5f2b... \[u00E9]`,
		"plain, (text) [x]": "plain, (text) [x]",
	} {
		if got := esc(in); got != want {
			t.Errorf("%q: %q, not %q", in, got, want)
		}
	}
}
