package doctest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
)

const (
	wrapper = "lakebase-exec"
	helper  = "lakebase-credential-helper"
)

var (
	spanPattern   = regexp.MustCompile("`([^`]+)`")
	optionLine    = regexp.MustCompile(`(?m)^  (?:-\w, |    )?--?([a-z][a-z-]+)`)
	commandLine   = regexp.MustCompile(`(?m)^  ([a-z]+) +\S`)
	codeLine      = regexp.MustCompile(`(?m)^  (1\d\d)  (.+)$`)
	optionPattern = regexp.MustCompile("(?m)(?:^|[\\s`(\\[\"|])--([a-z][a-z-]*)")
	exitInProse   = regexp.MustCompile(`exit\s+code(?:\s+is)?\s+(\d+)`)
)

// help is what a program prints in an empty environment.
func help(t *testing.T, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append(args, "--help")...)
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	out, err := cmd.Output()
	if err != nil || len(out) == 0 {
		t.Fatalf("%s %v --help: %v", program, args, err)
	}
	return string(out)
}

// TestOptions checks that pages name existing options, and that docs/options.md
// names all options and commands.
func TestOptions(t *testing.T) {
	top := help(t, filepath.Join(bin, helper))
	commands := submatches(commandLine, top)
	ours := append(submatches(optionLine, help(t, filepath.Join(bin, wrapper))), submatches(optionLine, top)...)
	for _, name := range commands {
		ours = append(ours, submatches(optionLine, help(t, filepath.Join(bin, helper), name))...)
	}
	slices.Sort(ours)
	ours = slices.Compact(ours)
	if len(ours) < 30 || len(commands) < 8 {
		t.Fatalf("got options %q and commands %q", ours, commands)
	}
	local := help(t, filepath.Join(bin, "local-lakebase"))
	tools := map[string]string{ // options of another tool
		"README.md":              local + "\n  --snapshot\n  --from",
		"docs/local-lakebase.md": local,
		"docs/doctor.md":         "  --patient",
		"docs/kubernetes.md":     "  --from-file\n  --for\n  --raw", // kubectl's
		"docs/install.md": "  --snapshot\n  --from\n  --allow-untrusted\n  --cask\n  --manifest\n  --global\n  --omit\n  --user\n  --now\n" +
			"  --bundle\n  --certificate-identity-regexp\n  --certificate-oidc-issuer\n  --ignore-missing\n  --repo\n  --signer-workflow\n  --source-ref",
	}
	for _, d := range pages(t) {
		for _, name := range submatches(optionPattern, d.text()) {
			if !slices.Contains(ours, name) && !slices.Contains(submatches(optionLine, tools[d.name]), name) {
				t.Errorf("%s: there is no option --%s", d.name, name)
			}
		}
	}
	options := page(t, "docs/options.md")
	named := submatches(optionPattern, options.text())
	for _, name := range ours {
		if !slices.Contains(named, name) {
			t.Errorf("docs/options.md does not name --%s", name)
		}
	}
	got := submatches(spanPattern, strings.Join(options.column("command"), " "))
	slices.Sort(got)
	if slices.Sort(commands); !slices.Equal(got, commands) {
		t.Errorf("docs/options.md: got commands %q, want %q", got, commands)
	}
}

// TestExitCodes compares README.md's table, and all codes in prose, with the help.
func TestExitCodes(t *testing.T) {
	var codes, meanings []string
	for _, m := range codeLine.FindAllStringSubmatch(help(t, filepath.Join(bin, wrapper)), -1) {
		codes, meanings = append(codes, m[1]), append(meanings, m[2])
	}
	if len(codes) != 7 {
		t.Fatalf("got exit codes %q", codes)
	}
	readme := page(t, "README.md")
	if got := readme.column("code"); !slices.Equal(got, codes) {
		t.Errorf("README.md: got exit codes %q, want %q", got, codes)
	}
	if got := readme.column("meaning"); !slices.Equal(got, meanings) {
		t.Errorf("README.md: got meanings %q, want %q", got, meanings)
	}
	for _, d := range pages(t) {
		for _, code := range submatches(exitInProse, d.prose) {
			if code != "0" && !slices.Contains(codes, code) {
				t.Errorf("%s: there is no exit code %s", d.name, code)
			}
		}
	}
	// The helper starts no command, so that it has neither 126 nor 127.
	if got := submatches(codeLine, help(t, filepath.Join(bin, helper))); !slices.Equal(got, codes[:5]) {
		t.Errorf("%s: got exit codes %q, want %q", helper, got, codes[:5])
	}
}

// TestProfileKeys compares docs/options.md with the settings table.
func TestProfileKeys(t *testing.T) {
	want := []string{"set.NAME"}
	for _, s := range config.Settings() {
		if s.Key != "" {
			want = append(want, s.Key)
		}
	}
	slices.Sort(want)
	for _, span := range submatches(spanPattern, page(t, "docs/options.md").prose) {
		if got := strings.Fields(span); strings.HasPrefix(span, "host client_id ") {
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("docs/options.md: keys of profiles (-want +got):\n%s", diff)
			}
			return
		}
	}
	t.Error("docs/options.md has no list of keys")
}

var variablePattern = regexp.MustCompile(`\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b|\bPG[A-Z]+\b|\bBROWSER\b|\bAPPDATA\b`)

var printed = regexp.MustCompile(`(?m)^(?:unset )?([A-Z][A-Z0-9_]*)(?:=.*)?$`)

// TestEnvironmentLists compares the lists of variables that lakebase-exec sets,
// keeps and removes with --print-env.
func TestEnvironmentLists(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "secret"), []byte("s3cret\n"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "p.ini"), []byte("[prod]\nhost = https://dbc-a1b2c3.cloud.databricks.com\nclient_id = id\n"+
		"endpoint = projects/p/branches/b/endpoints/e\n"), 0o600))
	printEnv := func(caller ...string) (set, unset []string) {
		e := &environment{dir: dir, environ: append([]string{"HOME=" + dir, "LAKEBASE_CONFIG_FILE=" + filepath.Join(dir, "p.ini")}, caller...)}
		code, out := e.run(t.Context(), nil, wrapper, "-p", "prod", "--auth", "oauth-m2m", "--quiet", "--print-env", "--", "psql")
		if code != 0 {
			t.Fatalf("%q: got exit code %d, want 0\n%s", caller, code, out)
		}
		for line := range strings.Lines(out) {
			if names := submatches(printed, line); strings.HasPrefix(line, "unset ") {
				unset = append(unset, names...)
			} else {
				set = append(set, names...)
			}
		}
		slices.Sort(set)
		return set, unset
	}
	named := func(page document, begin string) []string {
		names := variablePattern.FindAllString(page.paragraph(begin), -1)
		slices.Sort(names)
		return slices.Compact(names)
	}
	options := page(t, "docs/options.md")
	set, _ := printEnv()
	for _, d := range []document{options, page(t, "README.md")} {
		if got := named(d, "Set: "); !slices.Equal(got, set) {
			t.Errorf("%s: got variables that are set %q, want %q", d.name, got, set)
		}
	}
	kept, removed := named(options, "Kept of libpq's: "), named(options, "Removed: ")
	for _, name := range kept {
		if set, unset := printEnv(name + "=1"); name != "PGAPPNAME" && (slices.Contains(set, name) || slices.Contains(unset, name)) {
			t.Errorf("%s is not kept", name)
		}
	}
	for _, name := range removed {
		caller := []string{name + "=x"}
		switch name {
		case "DATABRICKS_CLIENT_SECRET_FILE":
			caller = []string{name + "=" + filepath.Join(dir, "secret")}
		case "DATABRICKS_OIDC_TOKEN_ENV": // the variable that it names is removed
			caller, name = []string{name + "=MINE_IS", "MINE_IS=x"}, "MINE_IS"
		}
		if _, unset := printEnv(caller...); !slices.Contains(unset, name) {
			t.Errorf("%s is not removed", name)
		}
	}
	if len(kept) < 7 || len(removed) < 10 {
		t.Errorf("got only %q kept and %q removed", kept, removed)
	}
}
