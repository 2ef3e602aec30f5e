package main

import (
	"flag"
	"strings"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/gen"
	"github.com/lakebase-exec/lakebase-exec/completions"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
)

// update is set by scripts/generate.
var update = flag.Bool("update", false, "write the generated files")

func generated() gen.Program {
	p := gen.Program{
		Page:        topPage(),
		Environment: append(gen.Environment, gen.HelperEnvironment...),
		Files:       append(gen.Files, gen.HelperFiles...),
		SeeAlso:     []string{"lakebase-exec(1)", "psql(1)", gen.Site},
	}
	for _, c := range commands() {
		p.Commands = append(p.Commands, c.page)
	}
	return p
}

func TestGeneratedFilesAreCurrent(t *testing.T) {
	stale, err := generated().Sync("../..", *update)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range stale {
		t.Errorf("%s is not what the help says; run scripts/generate", name)
	}
}

// The words that completion offers for the commands' own options are those that
// the commands take.
func TestOwnWordsAreWhatIsTaken(t *testing.T) {
	checks := map[string]func(map[string][]string, *config.Input) error{"format": checkGet, "store": checkLogin}
	for _, c := range commands() {
		for _, o := range c.page.More {
			if o.Words == nil {
				continue
			}
			check := checks[o.Name]
			if check == nil {
				t.Errorf("%s --%s: nothing here checks its words", c.page.Name, o.Name)
				continue
			}
			for _, w := range o.Words {
				if err := check(map[string][]string{o.Name: {w}}, &config.Input{}); err != nil {
					t.Errorf("--%s %s: %v", o.Name, w, err)
				}
			}
			if err := check(map[string][]string{o.Name: {"no-such-word"}}, &config.Input{}); err == nil {
				t.Errorf("--%s takes other words too", o.Name)
			}
		}
	}
}

func TestScriptsAreThoseOfTheFiles(t *testing.T) {
	p := generated()
	for shell, text := range map[string]string{"bash": p.Bash(), "zsh": p.Zsh(), "fish": p.Fish()} {
		if got := completions.Script(shell); !strings.HasSuffix(got, "\n"+text) || !strings.Contains(got, "lakebase-exec.") {
			t.Errorf("%s: the script is not that of both programs", shell)
		}
	}
	if completions.Script("tcsh") != "" {
		t.Error("there is a script for tcsh")
	}
}
