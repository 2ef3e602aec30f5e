package doctest

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
)

const (
	wrapper = "lakebase-exec"
	helper  = "lakebase-credential-helper"
)

// help is what a program prints, with nothing of this process's environment.
func help(t *testing.T, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append(args, "--help")...)
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	out, err := cmd.Output()
	if err != nil || len(out) == 0 {
		t.Fatalf("%s %v --help: %v", program, args, err)
	}
	return string(out)
}

var (
	optionLine    = regexp.MustCompile(`(?m)^  (?:-\w, |    )?--?([a-z][a-z-]+)`)
	commandLine   = regexp.MustCompile(`(?m)^  ([a-z]+) +\S`)
	codeLine      = regexp.MustCompile(`(?m)^  (1\d\d)  (.+)$`)
	optionPattern = regexp.MustCompile("(?m)(?:^|[\\s`(\\[\"|])--([a-z][a-z-]*)")
	exitInProse   = regexp.MustCompile(`exit\s+code(?:\s+is)?\s+(\d+)`)
)

func submatches(pattern *regexp.Regexp, text string) (out []string) {
	for _, m := range pattern.FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	return out
}

// ourOptions are those of both programs and of each command.
func ourOptions(t *testing.T) []string {
	t.Helper()
	options := submatches(optionLine, help(t, filepath.Join(bin, wrapper)))
	top := help(t, filepath.Join(bin, helper))
	names := submatches(commandLine, top)
	if len(options) < 30 || len(names) < 8 {
		t.Fatalf("the help has the options %q and the commands %q", options, names)
	}
	options = append(options, submatches(optionLine, top)...)
	for _, name := range names {
		options = append(options, submatches(optionLine, help(t, filepath.Join(bin, helper), name))...)
	}
	slices.Sort(options)
	return slices.Compact(options)
}

// checkOptions lists the options of a page that no help has.
func checkOptions(d document, options []string) (wrong []string) {
	for _, name := range submatches(optionPattern, d.text) {
		if !slices.Contains(options, name) && !slices.Contains(wrong, name) {
			wrong = append(wrong, name)
		}
	}
	return wrong
}

// missing lists the options that a page does not name.
func missing(d document, options []string) (wrong []string) {
	named := submatches(optionPattern, d.text)
	for _, name := range options {
		if !slices.Contains(named, name) {
			wrong = append(wrong, name)
		}
	}
	return wrong
}

func TestOptionsAreThoseOfTheHelp(t *testing.T) {
	ours := ourOptions(t)
	// A page may name those of the tool that it is about.
	tools := map[string]string{
		"docs/local-lakebase.md": help(t, filepath.Join(bin, "local-lakebase")),
		"docs/doctor.md":         strings.ReplaceAll(help(t, filepath.Join(root, "scripts/verify-live")), "[--", "\n  --"),
	}
	for _, d := range pages(t) {
		options := append(slices.Clone(ours), submatches(optionLine, tools[d.name])...)
		for _, w := range checkOptions(d, options) {
			t.Errorf("%s: there is no option --%s", d.name, w)
		}
	}
	for _, w := range missing(page(t, "docs/options.md"), ours) {
		t.Errorf("docs/options.md does not name --%s", w)
	}
	names := submatches(commandLine, help(t, filepath.Join(bin, helper)))
	for _, w := range checkCommands(page(t, "docs/options.md"), names) {
		t.Errorf("docs/options.md: the table of commands has %s", w)
	}
}

// checkCommands compares the first cells of a table headed "command" with the
// commands that there are.
func checkCommands(d document, names []string) (wrong []string) {
	prose, _ := d.split()
	var told []string
	for _, r := range rows(prose) {
		told = append(told, spans(r["command"])...)
	}
	for _, name := range names {
		if !slices.Contains(told, name) {
			wrong = append(wrong, "no "+name)
		}
	}
	for _, name := range told {
		if !slices.Contains(names, name) {
			wrong = append(wrong, "an unknown "+name)
		}
	}
	return wrong
}

func TestOptionChecksFind(t *testing.T) {
	options := []string{"host", "wait", "wait-timeout"}
	text := "`--host X`, --wait 3s [--wait-tmeout D] and\n--hots; a -- CMD, x--y, ---, |--|"
	if got := checkOptions(document{"x.md", text}, options); !slices.Equal(got, []string{"wait-tmeout", "hots"}) {
		t.Errorf("%q", got)
	}
	if got := missing(document{"x.md", text}, options); !slices.Equal(got, []string{"wait-timeout"}) {
		t.Errorf("%q", got)
	}
	table := "| command | |\n|---|---|\n| `get` | `x` |\n| `lsit` | |\n"
	if got := checkCommands(document{"x.md", table}, []string{"get", "list"}); !slices.Equal(got, []string{"no list", "an unknown lsit"}) {
		t.Errorf("%q", got)
	}
}

// checkExits compares the table of a page, and the codes in its words, with
// those of a help page.
func checkExits(d document, help string, wantTable bool) (wrong []string) {
	meanings := map[string]string{}
	for _, m := range codeLine.FindAllStringSubmatch(help, -1) {
		meanings[m[1]] = m[2]
	}
	prose, _ := d.split()
	told := 0
	for _, r := range rows(prose) {
		if code, is := r["code"]; is {
			told++
			if r["meaning"] != meanings[code] {
				wrong = append(wrong, fmt.Sprintf("%s is %q, not %q", code, meanings[code], r["meaning"]))
			}
		}
	}
	if wantTable && told != len(meanings) {
		wrong = append(wrong, fmt.Sprintf("%d codes are told of %d", told, len(meanings)))
	}
	for _, code := range submatches(exitInProse, prose) {
		if meanings[code] == "" && code != "0" {
			wrong = append(wrong, "there is no exit code "+code)
		}
	}
	return wrong
}

func TestExitCodesAreThoseOfTheHelp(t *testing.T) {
	text := help(t, filepath.Join(bin, wrapper))
	codes := codeLine.FindAllString(text, -1)
	if len(codes) != 7 {
		t.Fatalf("%s tells %d exit codes", wrapper, len(codes))
	}
	for _, d := range pages(t) {
		for _, w := range checkExits(d, text, d.name == "README.md") {
			t.Errorf("%s: %s", d.name, w)
		}
	}
	// The helper starts no command, so it has none of 126 and 127.
	if got := codeLine.FindAllString(help(t, filepath.Join(bin, helper)), -1); !slices.Equal(got, codes[:5]) {
		t.Errorf("%s tells %q, and not %q", helper, got, codes[:5])
	}
	table := "  120  usage\n  121  no secret\n"
	head := "| code | meaning | retry? |\n|---|---|---|\n"
	for text, want := range map[string]string{
		head + "| 120 | usage | no |\n| 121 | no secrets | no |\n":                         `121 is "no secret"`,
		head + "| 120 | usage | no |\n":                                                    "1 codes are told of 2",
		head + "| 120 | usage | no |\n| 122 | x | no |\n":                                  `122 is ""`,
		head + "| 120 | usage | |\n| 121 | no secret | |\n\nexit\ncode 0, exit\ncode 124.": "there is no exit code 124",
	} {
		if got := checkExits(document{"x.md", text}, table, true); len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("%s: found %q", text, got)
		}
	}
}

// The keys of a profile are those of the table that profiles are read by.
func TestProfileKeys(t *testing.T) {
	keys := []string{"set.NAME"}
	for _, s := range config.Settings() {
		if s.Key != "" {
			keys = append(keys, s.Key)
		}
	}
	slices.Sort(keys)
	check := func(d document) []string {
		prose, _ := d.split()
		for _, s := range spans(prose) {
			if strings.HasPrefix(s, "host client_id ") {
				named := strings.Fields(s)
				slices.Sort(named)
				return named
			}
		}
		return nil
	}
	if got := check(page(t, "docs/options.md")); !slices.Equal(got, keys) {
		t.Errorf("docs/options.md has the keys %q, not %q", got, keys)
	}
	if got := check(document{"x.md", "Keys: `host client_id auht`."}); slices.Equal(got, keys) || len(got) != 3 {
		t.Errorf("%q", got)
	}
}
