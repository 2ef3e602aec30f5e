package doctest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// tool runs a program that reads an example on its standard input.
func tool(ctx context.Context, text, program string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdin = strings.NewReader(text)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8"}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", program, err, strings.TrimSpace(errs.String()))
	}
	return out.Bytes(), nil
}

// yamlToJSON takes whichever library the system's Python has; the AWS CLI, which
// the tests drive, brings one of them.
const yamlToJSON = `
import json, sys
try:
    import yaml
    tree = yaml.safe_load(sys.stdin)
except ImportError:
    from ruamel.yaml import YAML
    tree = YAML(typ="safe").load(sys.stdin)
json.dump(tree, sys.stdout)
`

const readINI = `
import configparser, sys
c = configparser.ConfigParser(interpolation=None)
c.read_file(sys.stdin)
if not c.sections(): sys.exit("no section")
`

// prompted are the lines behind "$ " in a console, with those that go on.
func prompted(text string) string {
	var out []string
	goesOn := false
	for _, line := range strings.Split(text, "\n") {
		command, begins := strings.CutPrefix(line, "$ ")
		if begins || goesOn {
			out = append(out, command)
			goesOn = strings.HasSuffix(line, `\`)
		}
	}
	return strings.Join(out, "\n") + "\n"
}

var hclList = regexp.MustCompile(`= (\[.*\])`)

// parseExample reads one block in its own language.
func parseExample(ctx context.Context, b fence) (err error) {
	switch b.language {
	case "sh", "bash":
		_, err = tool(ctx, b.text, "bash", "-n")
	case "console":
		_, err = tool(ctx, prompted(b.text), "bash", "-n")
	case "json":
		d := json.NewDecoder(strings.NewReader(b.text))
		var tree any
		if err = d.Decode(&tree); err == nil && !errors.Is(d.Decode(&tree), io.EOF) {
			err = errors.New("more than one document")
		}
	case "yaml":
		_, err = tool(ctx, b.text, "/usr/bin/python3", "-c", yamlToJSON)
	case "ini":
		_, err = tool(ctx, b.text, "/usr/bin/python3", "-c", readINI)
	case "hcl": // no parser is at hand for more than its lists
		for _, list := range submatches(hclList, b.text) {
			err = errors.Join(err, json.Unmarshal([]byte(list), new([]string)))
		}
		if strings.Count(b.text, "{") != strings.Count(b.text, "}") {
			err = errors.Join(err, errors.New("unbalanced braces"))
		}
	case "sql", "text": // sql: by a real Postgres, in TestSQL
	default:
		err = fmt.Errorf("nothing here reads %q", b.language)
	}
	return err
}

func TestExamplesParse(t *testing.T) {
	seen := map[string]int{}
	for _, d := range pages(t) {
		_, blocks := d.split()
		for _, b := range blocks {
			seen[b.language]++
			if err := parseExample(t.Context(), b); err != nil {
				t.Errorf("%s:%d: %v", d.name, b.line, err)
			}
		}
		if strings.Count(d.text, "\n```")%2 != 0 {
			t.Errorf("%s: a block is left open", d.name)
		}
	}
	if seen["sh"] < 12 || seen["yaml"] < 4 || seen["json"] < 1 || seen["ini"] < 2 {
		t.Errorf("only these examples were found: %v", seen)
	}
}

func TestExampleCheckFinds(t *testing.T) {
	for _, b := range []fence{
		{language: "sh", text: "if true; then\n"},
		{language: "sh", text: "echo \"it\n"},
		{language: "console", text: "$ f (x\noutput\n"},
		{language: "json", text: `{"a":1,}`},
		{language: "json", text: `{} {}`},
		{language: "yaml", text: "a: [b\n"},
		{language: "yaml", text: "a: b\n c: d\n"},
		{language: "ini", text: "a = b\n"},
		{language: "hcl", text: "program = [\"a\", b]\n"},
		{language: "hcl", text: "data {\n"},
		{language: "ruby", text: "x"},
		{text: "x"},
	} {
		if err := parseExample(t.Context(), b); err == nil {
			t.Errorf("%s is taken: %q", b.language, b.text)
		}
	}
	for _, b := range []fence{
		{language: "sh", text: "a | b # it's\n"},
		{language: "console", text: "$ a \\\n  b\noutput ( \" '\n$ c\n"},
		{language: "json", text: `{"a":"…"}`},
		{language: "yaml", text: "- run: a 'b' ${{ c }}\n  env: {D: e}\n"},
		{language: "ini", text: "[a]\nb = %s\n"},
		{language: "hcl", text: "a {\n  program = [\"a\"]\n}\n"},
	} {
		if err := parseExample(t.Context(), b); err != nil {
			t.Errorf("%s is refused: %q: %v", b.language, b.text, err)
		}
	}
}

// prelude puts functions in place of our programs, and of go, and takes away all
// others, so that an example starts nothing. A call is told in one write, as some
// are made in the background; bash would break it after a line's end.
const prelude = `
record() { printf '%s\0' "$@" $'\036' >&3; }
lakebase-exec() { record lakebase-exec "$@"; }
lakebase-credential-helper() { record lakebase-credential-helper "$@"; }
go() { record go "$@"; }
ctl() { go run ./test/emulator/local-lakebase ctl "$@"; }
command_not_found_handle() { :; }
PATH=/nonexistent
`

// record runs an example under bash and returns the calls in it, as words.
func record(ctx context.Context, dir, example string) ([][]string, error) {
	example = strings.ReplaceAll(example, "/usr/local/bin/"+helper, helper)
	script := "exec 3>&1 >&2\nHOME=" + dir + "\ncd " + dir + "\n" + prelude + example + "\nwait\nexit 0\n"
	out, err := tool(ctx, script, "bash", "-s")
	if err != nil {
		return nil, err
	}
	var calls [][]string
	for _, call := range strings.Split(string(out), "\x00\x1e\x00") {
		if words := strings.Split(call, "\x00"); call != "" {
			calls = append(calls, words)
		}
	}
	return calls, nil
}

func TestRecord(t *testing.T) {
	got, err := record(t.Context(), t.TempDir(), `eval "$(/usr/local/bin/lakebase-credential-helper get -p 'a b')"; umask 077
lakebase-exec --set "X={url}" -- sh -c 'f "$X"' | jq . >file
no-such-program --x; scripts/test
go run ./x --y & . ./missing.env
ctl() { go run ./z ctl "$@"; }
ctl set a=1   # said`)
	want := [][]string{{helper, "get", "-p", "a b"}, {wrapper, "--set", "X={url}", "--", "sh", "-c", `f "$X"`}, {"go", "run", "./x", "--y"}, {"go", "run", "./z", "ctl", "set", "a=1"}}
	for _, w := range want {
		if !slices.ContainsFunc(got, func(g []string) bool { return slices.Equal(g, w) }) {
			t.Errorf("%q is not among %q", w, got)
		}
	}
	if err != nil || len(got) != len(want) {
		t.Errorf("%q, %v", got, err)
	}
}
