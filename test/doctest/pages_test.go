package doctest

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// root is the repository, relative to this package.
const root = "../.."

// document is one page; name is its path in the repository.
type document struct {
	name, prose string // prose has empty lines instead of the blocks
	blocks      []fence
}

// fence is a block between two lines of three backticks; line is its first, from 1.
type fence struct {
	language, text string
	line           int
}

// pages returns the pages for users and contributors. CHANGELOG.md names what was, too.
func pages(t *testing.T) (all []document) {
	t.Helper()
	found, err := fs.Glob(os.DirFS(root), "docs/*.md")
	must(t, err)
	for _, name := range append(found, "README.md", "SECURITY.md", "CONTRIBUTING.md") {
		all = append(all, page(t, name))
	}
	return all
}

func page(t *testing.T, name string) document {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	must(t, err)
	d, prose, open := document{name: name}, []string{}, false
	for i, line := range strings.Split(string(text), "\n") {
		language, isMark := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case isMark && !open:
			d.blocks = append(d.blocks, fence{language: language, line: i + 1})
		case !isMark && open:
			d.blocks[len(d.blocks)-1].text += line + "\n"
		}
		if isMark || open {
			line = ""
		}
		open = open != isMark
		prose = append(prose, line)
	}
	if open {
		t.Errorf("%s: a block has no end", name)
	}
	d.prose = strings.Join(prose, "\n")
	return d
}

// text is all of a page, prose first.
func (d document) text() string {
	all := d.prose
	for _, b := range d.blocks {
		all += "\n" + b.text
	}
	return all
}

// paragraph is the one that begins so.
func (d document) paragraph(begin string) string {
	for _, p := range strings.Split(d.prose, "\n\n") {
		if strings.HasPrefix(p, begin) {
			return p
		}
	}
	return ""
}

// column returns the cells of all tables in the column with this head.
func (d document) column(head string) (cells []string) {
	at := -1
	for _, line := range strings.Split(d.prose, "\n") {
		row := strings.Split(strings.ReplaceAll(strings.Trim(line, "| "), `\|`, "\x00"), "|")
		for i := range row {
			row[i] = strings.ReplaceAll(strings.TrimSpace(row[i]), "\x00", "|")
		}
		switch {
		case !strings.HasPrefix(line, "|"):
			at = -1
		case slices.Contains(row, head):
			at = slices.Index(row, head)
		case at >= 0 && at < len(row) && strings.Trim(row[at], "-: ") != "":
			cells = append(cells, row[at])
		}
	}
	return cells
}

var (
	pathPattern    = regexp.MustCompile(`(?m)(?:^|[\s` + "`" + `(\["'=])(?:\./|\.\./)?((?:scripts|docs|test|internal|cmd|man|\.ci|\.github)/[^\s` + "`" + `)\]"'|,;:…]*|[A-Z]+\.md|go\.(?:mod|sum))`)
	linkPattern    = regexp.MustCompile(`\[([^\]]*)\]\(([^)\s]+)\)`)
	headingPattern = regexp.MustCompile(`(?m)^#{1,6} +(.*)$`)
	notInAnchors   = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	testPattern    = regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w*(…?)`)
)

// anchors are the names that GitHub gives to a page's headings.
func (d document) anchors() (all []string) {
	for _, heading := range submatches(headingPattern, d.prose) {
		text := linkPattern.ReplaceAllString(heading, "$1")
		all = append(all, strings.ReplaceAll(notInAnchors.ReplaceAllString(strings.ToLower(text), ""), " ", "-"))
	}
	return all
}

func submatches(pattern *regexp.Regexp, text string) (all []string) {
	for _, m := range pattern.FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return all
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func exists(name string) bool {
	_, err := os.Stat(filepath.Join(root, name))
	return err == nil
}

func TestPaths(t *testing.T) {
	for _, d := range pages(t) {
		for _, name := range submatches(pathPattern, d.text()) {
			name, _, _ = strings.Cut(name, "#")
			if name = strings.TrimSuffix(strings.TrimRight(name, "./"), "/..."); !exists(name) {
				t.Errorf("%s: %s does not exist", d.name, name)
			}
		}
	}
}

func TestLinks(t *testing.T) {
	all := pages(t)
	for _, d := range all {
		for _, m := range linkPattern.FindAllStringSubmatch(d.prose, -1) {
			if strings.HasPrefix(m[2], "https://") {
				continue
			}
			file, anchor, hasAnchor := strings.Cut(m[2], "#")
			name := d.name
			if file != "" {
				name = path.Join(path.Dir(d.name), file)
			}
			if !exists(name) {
				t.Errorf("%s: link to %s: no such file", d.name, m[2])
			} else if hasAnchor && !slices.ContainsFunc(all, func(o document) bool { return o.name == name && slices.Contains(o.anchors(), anchor) }) {
				t.Errorf("%s: link to %s: no such heading", d.name, m[2])
			}
		}
	}
}

// TestTestNames checks that the tests and scripts that pages name exist.
func TestTestNames(t *testing.T) {
	var functions []string
	err := filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.IsDir() && (e.Name() == "node_modules" || e.Name() == ".git") {
			return filepath.SkipDir
		}
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		functions = append(functions, submatches(regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`), string(text))...)
		return err
	})
	must(t, err)
	for _, d := range pages(t) {
		for _, m := range testPattern.FindAllStringSubmatch(d.text(), -1) {
			name, isPrefix := strings.TrimSuffix(m[0], "…"), m[1] != ""
			if !slices.ContainsFunc(functions, func(f string) bool { return f == name || isPrefix && strings.HasPrefix(f, name) }) {
				t.Errorf("%s: there is no test %s", d.name, m[0])
			}
		}
	}
	for _, cell := range page(t, "SECURITY.md").column("shown by") {
		for _, name := range submatches(spanPattern, cell) {
			script := filepath.Join(root, "test/e2e/testdata/script", strings.Replace(name, "…", "*", 1)+".txtar")
			if found, _ := filepath.Glob(script); len(found) == 0 && !testPattern.MatchString(name) && !exists(name) {
				t.Errorf("SECURITY.md: there is no script test %s", name)
			}
		}
	}
}
