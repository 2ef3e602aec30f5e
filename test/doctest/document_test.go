package doctest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// root is the repository, seen from this package.
const root = "../.."

// document is one page; name is its path in the repository.
type document struct{ name, text string }

// pages reads every document that users are sent to.
func pages(t *testing.T) []document {
	t.Helper()
	names := []string{"README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"}
	found, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(found) < 6 {
		t.Fatalf("%d pages in docs/, %v", len(found), err)
	}
	for _, f := range found {
		names = append(names, "docs/"+filepath.Base(f))
	}
	var out []document
	for _, name := range names {
		out = append(out, page(t, name))
	}
	return out
}

func page(t *testing.T, name string) document {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return document{name, string(text)}
}

// fence is a block between two lines of three backticks.
type fence struct {
	language, text string
	line           int // of its first backticks, from 1
}

// split takes the blocks out; their lines stay empty in prose.
func (d document) split() (prose string, blocks []fence) {
	var out []string
	open := false
	for i, line := range strings.Split(d.text, "\n") {
		mark, isMark := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case isMark && !open:
			blocks = append(blocks, fence{language: mark, line: i + 1})
		case !isMark && open:
			blocks[len(blocks)-1].text += line + "\n"
		}
		if isMark || open {
			line = ""
		}
		open = open != isMark
		out = append(out, line)
	}
	return strings.Join(out, "\n"), blocks
}

var spanPattern = regexp.MustCompile("`([^`]+)`")

// spans are the words between backticks, a table's escaped bars undone.
func spans(prose string) []string {
	var out []string
	for _, m := range spanPattern.FindAllStringSubmatch(prose, -1) {
		out = append(out, strings.ReplaceAll(strings.Join(strings.Fields(m[1]), " "), `\|`, "|"))
	}
	return out
}

var (
	linkPattern    = regexp.MustCompile(`\[([^\]]*)\]\(([^)\s]+)\)`)
	headingPattern = regexp.MustCompile(`(?m)^#{1,6} +(.*)$`)
	notInAnchors   = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors are the names that GitHub gives to a page's headings.
func (d document) anchors() []string {
	prose, _ := d.split()
	var out []string
	for _, m := range headingPattern.FindAllStringSubmatch(prose, -1) {
		text := linkPattern.ReplaceAllString(m[1], "$1")
		out = append(out, strings.ReplaceAll(notInAnchors.ReplaceAllString(strings.ToLower(text), ""), " ", "-"))
	}
	return out
}

// row is one line of a table: cells by the names of its head.
type row map[string]string

var barPattern = regexp.MustCompile(`(^|[^\\])\|`)

func cells(line string) []string {
	line = barPattern.ReplaceAllString(strings.TrimSpace(line), "$1\x00")
	parts := strings.Split(strings.Trim(line, "\x00"), "\x00")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

// rows are those of all tables of a text.
func rows(prose string) []row {
	var out []row
	var head []string
	for _, line := range strings.Split(prose, "\n") {
		if !strings.HasPrefix(line, "|") {
			head = nil
			continue
		}
		switch c := cells(line); {
		case head == nil:
			head = c
		case strings.Trim(line, "|-: ") == "":
		default:
			r := row{}
			for i := range min(len(c), len(head)) {
				r[head[i]] = c[i]
			}
			out = append(out, r)
		}
	}
	return out
}

func TestDocumentIsTakenApart(t *testing.T) {
	d := document{"x.md", "# A `b` c: [d](e.md)!\n\nSee `one\ntwo` and `a \\| b`.\n```sh\n# no heading\ncmd\n```\n## Exit codes\n\n| what | shown by |\n|---|---|\n| a \\| b | `t` |\n\n| other |\n|---|\n| z |\n"}
	prose, blocks := d.split()
	if len(blocks) != 1 || blocks[0] != (fence{"sh", "# no heading\ncmd\n", 5}) {
		t.Errorf("%+v", blocks)
	}
	if got := spans(prose)[1:3]; !slices.Equal(got, []string{"one two", "a | b"}) {
		t.Errorf("spans %q", got)
	}
	if got := d.anchors(); !slices.Equal(got, []string{"a-b-c-d", "exit-codes"}) {
		t.Errorf("anchors %q", got)
	}
	if got := rows(prose); len(got) != 2 || got[0]["what"] != `a \| b` || got[0]["shown by"] != "`t`" || got[1]["other"] != "z" {
		t.Errorf("rows %q", got)
	}
}
