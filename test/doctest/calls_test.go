package doctest

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	ourLine       = regexp.MustCompile(`(?m)^(?:/usr/local/bin/)?(?:lakebase-exec|lakebase-credential-helper) .*$`)
	processOfAWS  = regexp.MustCompile(`(?m)^credential_process *= *(.*)$`)
	callsInASpan  = regexp.MustCompile(`\blakebase-(?:exec|credential-helper) `)
	placeOfHelper = "/usr/local/bin/"
)

// callsIn are the calls of our programs in a block, as words.
func callsIn(ctx context.Context, dir string, b fence) ([][]string, error) {
	switch b.language {
	case "sh", "bash":
		return record(ctx, dir, b.text)
	case "console":
		return record(ctx, dir, prompted(b.text))
	case "text":
		return record(ctx, dir, strings.Join(ourLine.FindAllString(b.text, -1), "\n"))
	case "ini":
		return record(ctx, dir, strings.Join(submatches(processOfAWS, b.text), "\n"))
	case "hcl":
		var calls [][]string
		for _, list := range submatches(hclList, b.text) {
			var words []string
			if err := json.Unmarshal([]byte(list), &words); err != nil {
				return nil, err
			}
			calls = append(calls, bare(words))
		}
		return calls, nil
	case "yaml":
		text, err := tool(ctx, b.text, "/usr/bin/python3", "-c", yamlToJSON)
		if err != nil {
			return nil, err
		}
		var tree any
		if err := json.Unmarshal(text, &tree); err != nil {
			return nil, err
		}
		return callsInTree(ctx, dir, tree)
	}
	return nil, nil
}

// eachCall does something with each call in a block of the pages. where is its page
// and line.
func eachCall(t *testing.T, do func(where string, words []string)) {
	t.Helper()
	for _, d := range pages(t) {
		_, blocks := d.split()
		for _, b := range blocks {
			where := fmt.Sprintf("%s:%d", d.name, b.line)
			calls, err := callsIn(t.Context(), t.TempDir(), b)
			if err != nil {
				t.Errorf("%s: %v", where, err)
			}
			for _, words := range calls {
				do(where, words)
			}
		}
	}
}

// callsInTree knows a CI job's run, a container's command, and command with args.
func callsInTree(ctx context.Context, dir string, tree any) (calls [][]string, err error) {
	switch tree := tree.(type) {
	case []any:
		for _, t := range tree {
			more, err := callsInTree(ctx, dir, t)
			if err != nil {
				return nil, err
			}
			calls = append(calls, more...)
		}
	case map[string]any:
		if line, ok := tree["run"].(string); ok {
			return record(ctx, dir, line)
		}
		switch command := tree["command"].(type) {
		case string:
			return [][]string{bare(append([]string{command}, texts(tree["args"])...))}, nil
		case []any:
			return [][]string{bare(texts(command))}, nil
		}
		for _, t := range tree {
			more, err := callsInTree(ctx, dir, t)
			if err != nil {
				return nil, err
			}
			calls = append(calls, more...)
		}
	}
	return calls, nil
}

func texts(list any) (out []string) {
	l, _ := list.([]any)
	for _, v := range l {
		s, _ := v.(string)
		out = append(out, s)
	}
	return out
}

// bare cuts the folder off the program.
func bare(words []string) []string {
	words[0] = strings.TrimPrefix(words[0], placeOfHelper)
	return words
}

// usage has a call's options read by the program itself, which answers with its
// help: "" when it does.
func usage(ctx context.Context, words []string) string {
	args := words[1:]
	switch {
	case words[0] == wrapper:
		if cut := slices.Index(args, "--"); cut >= 0 {
			args = args[:cut]
		}
		args = append([]string{"--help"}, args...)
	case len(args) > 0 && (args[0] != "completion" || len(args) == 1): // a script is printed, too
		args = append([]string{args[0], "--help"}, args[1:]...)
	}
	out, err := tool(ctx, "", filepath.Join(bin, words[0]), args...)
	switch {
	case err != nil:
		return err.Error()
	case len(out) == 0:
		return "it prints nothing"
	}
	return ""
}

// Every call of our programs in a page, in blocks and in the text, has only
// options that there are, with as many values as they take.
func TestCallsAreUnderstood(t *testing.T) {
	inBlocks, inText := 0, 0
	for _, d := range pages(t) {
		prose, blocks := d.split()
		var calls [][]string
		for _, b := range blocks {
			more, err := callsIn(t.Context(), t.TempDir(), b)
			if err != nil {
				t.Errorf("%s:%d: %v", d.name, b.line, err)
			}
			calls = append(calls, more...)
		}
		inBlocks += len(calls)
		for _, s := range spans(prose) {
			if !callsInASpan.MatchString(s) {
				continue
			}
			more, err := record(t.Context(), t.TempDir(), s)
			if err != nil || len(more) == 0 {
				t.Errorf("%s: `%s`: no call of ours, %v", d.name, s, err)
			}
			inText += len(more)
			calls = append(calls, more...)
		}
		for _, words := range calls {
			if words[0] != "go" {
				if wrong := usage(t.Context(), words); wrong != "" {
					t.Errorf("%s: %q: %s", d.name, words, wrong)
				}
			}
		}
	}
	if inBlocks < 40 || inText < 15 {
		t.Errorf("only %d calls in blocks and %d in the text were found", inBlocks, inText)
	}
}

func TestCallChecksFind(t *testing.T) {
	for call, want := range map[string]string{
		"lakebase-exec -p prod --refesh proxy -- x":                     "unknown option --refesh",
		"lakebase-exec -p prod psql":                                    "takes no arguments",
		"lakebase-exec --keep":                                          "needs a value",
		"lakebase-credential-helper gte -p prod":                        "unknown command",
		"lakebase-credential-helper get -p prod --wait-timeout 3s":      "unknown option --wait-timeout",
		"lakebase-credential-helper get prod":                           "takes no arguments",
		"lakebase-credential-helper completion tcsh":                    "takes one of",
		"lakebase-credential-helper login -p a -p b":                    "given twice",
		"lakebase-credential-helper rotate --lifetime 90d --keep-odl x": "unknown option --keep-odl",
	} {
		if got := usage(t.Context(), strings.Fields(call)); !strings.Contains(got, want) {
			t.Errorf("%s: %q, not %q", call, got, want)
		}
	}
	for _, call := range []string{"lakebase-exec -p prod -- x --no-such", "lakebase-exec -p prod --print-env", "lakebase-credential-helper get --format …", "lakebase-credential-helper completion fish"} {
		if got := usage(t.Context(), strings.Fields(call)); got != "" {
			t.Errorf("%s: %s", call, got)
		}
	}
	for _, b := range []fence{
		{language: "yaml", text: "- run: lakebase-exec -- x\n"},
		{language: "yaml", text: "a:\n- b: {command: [lakebase-exec, --, x]}\n"},
		{language: "yaml", text: "exec:\n  command: /usr/local/bin/lakebase-exec\n  args: [--, x]\n"},
		{language: "hcl", text: "p = [\"/usr/local/bin/lakebase-exec\", \"--\", \"x\"]\n"},
		{language: "ini", text: "[p]\ncredential_process = \"/usr/local/bin/lakebase-credential-helper\" -- x\n"},
		{language: "text", text: "/usr/local/bin/lakebase-credential-helper -- x\nargv → config\n"},
		{language: "console", text: "$ lakebase-exec -- \\\n  x\nlakebase-exec -- output\n"},
	} {
		calls, err := callsIn(t.Context(), t.TempDir(), b)
		if err != nil || len(calls) != 1 || strings.Join(calls[0][1:], " ") != "-- x" || strings.Contains(calls[0][0], "/") {
			t.Errorf("%s: %q, %v", b.text, calls, err)
		}
	}
}
