package doctest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// runLine is a step of a workflow, or a word of the matrix that one runs.
var runLine = regexp.MustCompile(`(?m)^ *- (?:run: )?(?:` + regexp.QuoteMeta(asRoot) + `)?((?:scripts/|\.ci/)\S.*)$`)

// asRoot is how a workflow runs a command as root, with the Go that it has set up.
const asRoot = `sudo --preserve-env=CI env PATH="$PATH" `

// permissions are what a workflow, or a job of it, may do with the repository
// (GitHub Actions, workflow syntax): with the block, those that it does not name
// are none.
var permissions = regexp.MustCompile(`(?m)^[ \t-]*["']?permissions["']?[ \t]*:.*\n(?:[ \t]+.*\n|[ \t]*#.*\n|[ \t]*\n)*`)

// readsOnly stands in each workflow, for all of its jobs, and no job has its own.
const readsOnly = "permissions:\n  contents: read\n"

// checkCI lists what keeps the two commands of README from being what decides:
// the workflow runs .ci/run, that hands over to scripts/test, and what else a
// workflow runs is there, and that a workflow may read the repository and no more.
func checkCI(readme document, ciRun string, workflows map[string]string, exists func(string) bool) (wrong []string) {
	_, blocks := readme.split()
	for _, command := range []string{"scripts/quickstart", "scripts/test"} {
		begins := regexp.MustCompile(`(?m)^` + command + `(\s|$)`)
		if !slices.ContainsFunc(blocks, func(b fence) bool { return begins.MatchString(b.text) }) {
			wrong = append(wrong, "README does not say: "+command)
		}
	}
	var commands []string
	for _, line := range strings.Split(ciRun, "\n") {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			commands = append(commands, line)
		}
	}
	if len(commands) != 1 || !strings.HasPrefix(commands[0], "exec ") || !strings.HasSuffix(commands[0], `/../scripts/test" "$@"`) {
		wrong = append(wrong, ".ci/run does something else than scripts/test: "+strings.Join(commands, "; "))
	}
	decides := false
	for name, text := range workflows {
		if got := permissions.FindAllString(text, -1); len(got) != 1 || got[0] != readsOnly {
			wrong = append(wrong, fmt.Sprintf("%s may do something else than read: %q", name, got))
		}
		for _, command := range submatches(runLine, text) {
			decides = decides || name == "ci.yml" && command == ".ci/run"
			if program := strings.Fields(command)[0]; !exists(program) {
				wrong = append(wrong, name+" runs what is not there: "+program)
			}
		}
	}
	if !decides {
		wrong = append(wrong, "ci.yml does not run .ci/run")
	}
	return wrong
}

func TestCI(t *testing.T) {
	read := func(name string) string { return page(t, name).text }
	workflows := map[string]string{}
	found, err := filepath.Glob(filepath.Join(root, ".github/workflows/*.yml"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no workflow, %v", err)
	}
	for _, f := range found {
		workflows[filepath.Base(f)] = read(".github/workflows/" + filepath.Base(f))
	}
	for _, w := range checkCI(page(t, "README.md"), read(".ci/run"), workflows, exists) {
		t.Error(w)
	}
	for _, name := range []string{"scripts/quickstart", "scripts/test", ".ci/run"} {
		if info, err := os.Stat(filepath.Join(root, name)); err != nil || info.Mode()&0o111 == 0 {
			t.Errorf("%s cannot be executed, %v", name, err)
		}
	}

	good := document{"README.md", "```sh\nscripts/quickstart   # a\nscripts/test\n```\n"}
	run, have := "#!/bin/sh\n# x\nexec \"$(dirname \"$0\")/../scripts/test\" \"$@\"\n", func(name string) bool { return !strings.Contains(name, "sok") }
	ci := map[string]string{"ci.yml": readsOnly + "jobs:\n    - run: .ci/run\n", "nightly.yml": "on:\n" + readsOnly + "x:\n  - scripts/soak 30m\n"}
	if got := checkCI(good, run, ci, have); len(got) != 0 {
		t.Errorf("%q", got)
	}
	for want, got := range map[string][]string{
		"README does not say: scripts/test": checkCI(document{"README.md", "```sh\nscripts/quickstart\nscripts/tests\n```\nscripts/test\n"}, run, ci, have),
		"something else than scripts/test":  checkCI(good, "exec \"$(dirname \"$0\")/../scripts/test\" -short\n", ci, have),
		"what is not there: scripts/sok":    checkCI(good, run, map[string]string{"ci.yml": ci["ci.yml"], "nightly.yml": readsOnly + "x:\n  - scripts/sok 30m\n"}, have),
		"ci.yml does not run .ci/run":       checkCI(good, run, map[string]string{"ci.yml": readsOnly + "x:\n  - run: go test ./...\n", "x.yml": ci["ci.yml"]}, have),
	} {
		if len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("%q, not %q", got, want)
		}
	}
	for what, text := range map[string]string{
		"none":            "jobs:\n    - run: .ci/run\n",
		"all":             "permissions: write-all\njobs:\n    - run: .ci/run\n",
		"writes":          "permissions:\n  contents: write\njobs:\n    - run: .ci/run\n",
		"something else":  "permissions:\n  contents: read\n  packages: write\njobs:\n    - run: .ci/run\n",
		"a job's own":     readsOnly + "jobs:\n  a:\n    permissions: write-all\n    - run: .ci/run\n",
		"behind a remark": "permissions:\n  contents: read\n# x\n\n  id-token: write\njobs:\n    - run: .ci/run\n",
	} {
		if got := checkCI(good, run, map[string]string{"ci.yml": text}, have); len(got) != 1 || !strings.Contains(got[0], "ci.yml may do something else than read") {
			t.Errorf("%s: %q", what, got)
		}
	}
}
