package doctest

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A path is what begins with a folder of the repository, or is a page at its top.
var pathPattern = regexp.MustCompile(`(?m)(?:^|[\s` + "`" + `(\["'=])(?:\./|\.\./)?((?:scripts|docs|test|internal|cmd|completions|man|\.ci|\.github)/[^\s` + "`" + `)\]"'|,;:…]*|[A-Z]+\.md|go\.(?:mod|sum))`)

func exists(name string) bool {
	_, err := os.Stat(filepath.Join(root, name))
	return err == nil
}

// checkPaths lists the paths in a page's words and examples that there are not.
func checkPaths(d document, exists func(string) bool) (wrong []string) {
	for _, m := range pathPattern.FindAllStringSubmatch(d.text, -1) {
		name, _, _ := strings.Cut(m[1], "#")
		if name = strings.TrimSuffix(strings.TrimRight(name, "./"), "/..."); !exists(name) {
			wrong = append(wrong, name)
		}
	}
	return wrong
}

// checkLinks lists the links that lead nowhere within the repository.
func checkLinks(d document, exists func(string) bool, others []document) (wrong []string) {
	prose, _ := d.split()
	for _, m := range linkPattern.FindAllStringSubmatch(prose, -1) {
		if strings.HasPrefix(m[2], "https://") {
			continue
		}
		file, anchor, hasAnchor := strings.Cut(m[2], "#")
		name := d.name
		if file != "" {
			name = path.Join(path.Dir(d.name), file)
		}
		if !exists(name) {
			wrong = append(wrong, m[2]+": there is no such file")
			continue
		}
		if !hasAnchor {
			continue
		}
		i := slices.IndexFunc(others, func(o document) bool { return o.name == name })
		if i < 0 || !slices.Contains(others[i].anchors(), anchor) {
			wrong = append(wrong, m[2]+": there is no such heading")
		}
	}
	return wrong
}

func TestPathsAndLinks(t *testing.T) {
	all := pages(t)
	paths, links := 0, 0
	for _, d := range all {
		paths += len(pathPattern.FindAllString(d.text, -1))
		links += len(linkPattern.FindAllString(d.text, -1))
		for _, w := range append(checkPaths(d, exists), checkLinks(d, exists, all)...) {
			t.Errorf("%s: %s", d.name, w)
		}
	}
	if paths < 60 || links < 20 {
		t.Errorf("only %d paths and %d links were found", paths, links)
	}
}

func TestPathAndLinkChecksFind(t *testing.T) {
	have := func(name string) bool {
		return slices.Contains([]string{"scripts/test", "docs/a.md", "internal/config", "README.md", "cmd", "x.md"}, name)
	}
	for text, want := range map[string]string{
		"run `scripts/tset`":                 "scripts/tset",
		"```sh\nscripts/mising 1h\n```":      "scripts/mising",
		"see [it](docs/b.md)":                "docs/b.md",
		"`./internal/confg/...` and `cmd/`":  "internal/confg",
		"LICENCE.md says":                    "LICENCE.md",
		"the folder `internal/config/old/`.": "internal/config/old",
	} {
		if got := checkPaths(document{"x.md", text}, have); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: found %q", text, got)
		}
	}
	good := "`scripts/test ./internal/config/...` in cmd/, [a](docs/a.md#b), README.md. https://example.com/docs/none and github.com/x/y/cmd/...@latest"
	if got := checkPaths(document{"x.md", good}, have); len(got) != 0 {
		t.Errorf("%q", got)
	}
	others := []document{{"docs/a.md", "# One\n## Two-three `x`\n"}, {"README.md", "# Top\n"}}
	for text, want := range map[string]string{
		"[x](b.md)":             "no such file",
		"[x](a.md#tow)":         "no such heading",
		"[x](../README.md#one)": "no such heading",
		"[x](#one-two)":         "no such heading",
		"[x](../LICENCE)":       "no such file",
	} {
		if got := checkLinks(document{"docs/a.md", text}, have, others); len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("%s: found %q", text, got)
		}
	}
	if got := checkLinks(document{"docs/a.md", "[x](#one) [y](a.md#two-three-x) [z](../README.md#top) [w](https://example.com/#q)"}, have, others); len(got) != 0 {
		t.Errorf("%q", got)
	}
}

// Every folder of code is in the table of rooms, which checkPaths has found to
// name none that there is not.
func TestRoomsAreComplete(t *testing.T) {
	var folders []string
	for _, above := range []string{"cmd", "cmd/internal", "internal", "test"} {
		entries, err := os.ReadDir(filepath.Join(root, above))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if name := above + "/" + e.Name(); e.IsDir() && name != "cmd/internal" {
				folders = append(folders, name)
			}
		}
	}
	for _, w := range checkRooms(page(t, "docs/architecture.md"), folders) {
		t.Error(w)
	}
	if got := checkRooms(document{"x.md", "| folder | owns |\n|---|---|\n| `internal/a` | |\n"}, []string{"internal/a", "internal/b"}); len(got) != 1 || !strings.Contains(got[0], "internal/b") {
		t.Errorf("the check finds %q", got)
	}
}

func checkRooms(d document, folders []string) (wrong []string) {
	prose, _ := d.split()
	var named []string
	for _, r := range rows(prose) {
		named = append(named, spans(r["folder"])...)
	}
	for _, f := range folders {
		if !slices.Contains(named, f) {
			wrong = append(wrong, fmt.Sprintf("%s is not in the table of %s", f, d.name))
		}
	}
	return wrong
}
