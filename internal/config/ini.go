package config

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// ini is a file of [sections] with key = value lines. Writing it back keeps comments,
// order, spacing and line ends, which libraries do not.
type ini struct {
	name  string
	bom   bool
	lines []iniLine
	where map[string][]int // the lines of each section; nil: outdated
}

type iniLine struct {
	raw     string // with its line end; a value of several lines has them all
	number  int    // of the line in the file
	problem string // why a line of a .databrickscfg is not read
	section string // the section of the line
	key     string // empty: not a setting
	value   string
	header  bool
}

// parseINI reads data; its errors name file and line.
func parseINI(name string, data []byte) (*ini, error) {
	f := &ini{name: name}
	if rest, ok := bytes.CutPrefix(data, []byte("\xef\xbb\xbf")); ok {
		f.bom, data = true, rest
	}
	section, seen := "", map[string]int{}
	for n, raw := range strings.SplitAfter(string(data), "\n") {
		if raw == "" {
			continue
		}
		l := iniLine{raw: raw, number: n + 1, section: section}
		text := strings.TrimSpace(raw)
		if text != "" && text[0] != '#' && text[0] != ';' {
			if err := l.parse(text); err != nil {
				return nil, &Error{Name: fmt.Sprintf("%s:%d", name, n+1), Problem: err.Error(), Fix: "correct line " + strconv.Itoa(n+1) + " of " + name + ": it holds [name], key = value, or # and a comment"}
			}
			section = l.section
			id := l.section + "\x00" + l.key
			if first, twice := seen[id]; twice {
				fix := fmt.Sprintf("delete line %d or line %d of %s", first, n+1, name)
				if l.header {
					fix = fmt.Sprintf("rename one of the two sections, in lines %d and %d of %s, or merge them", first, n+1, name)
				}
				return nil, &Error{Name: fmt.Sprintf("%s:%d", name, n+1), Problem: fmt.Sprintf("duplicate %s, first in line %d", l.what(), first), Fix: fix}
			}
			seen[id] = n + 1
		}
		f.lines = append(f.lines, l)
	}
	return f, nil
}

func (l *iniLine) what() string {
	if l.header {
		return "[" + l.section + "]"
	}
	return "key " + l.key
}

// parse reads a header or a setting. A comment at the end of a line needs a
// space before it, so that a value may hold a '#'.
func (l *iniLine) parse(text string) error {
	if text[0] == '[' {
		end := strings.IndexByte(text, ']')
		rest := strings.TrimSpace(text[end+1:])
		name := strings.TrimSpace(text[1:max(end, 1)])
		if name == "" || !isComment(rest) {
			return fmt.Errorf("this line is not a [profile] header") // not shown: it may contain a value
		}
		l.header, l.section = true, name
		return nil
	}
	key, value, found := strings.Cut(text, "=")
	key, value = strings.TrimSpace(key), strings.TrimSpace(value)
	switch {
	case !found || key == "":
		return fmt.Errorf("this line is neither a [profile], a key = value, nor a comment")
	case l.section == "":
		return fmt.Errorf("key %s is before the first [profile]", sanitize.Quote(key))
	}
	if len(value) > 1 && value[0] == '"' {
		if end := strings.IndexByte(value[1:], '"'); end >= 0 {
			if !isComment(strings.TrimSpace(value[end+2:])) {
				return fmt.Errorf("unexpected text after the quoted value of key %s", sanitize.Quote(key))
			}
			l.key, l.value = key, value[1:end+1]
			return nil
		}
	}
	value = " " + value
	for _, mark := range []string{" #", " ;", "\t#", "\t;"} {
		value, _, _ = strings.Cut(value, mark)
	}
	l.key, l.value = key, strings.TrimSpace(value)
	return nil
}

// isComment reports whether text is one, or empty.
func isComment(text string) bool { return text == "" || text[0] == '#' || text[0] == ';' }

// sections lists the names in their order.
func (f *ini) sections() []string {
	var out []string
	seen := map[string]bool{}
	for _, l := range f.lines {
		if (l.header || l.key != "") && !seen[l.section] {
			seen[l.section] = true
			out = append(out, l.section)
		}
	}
	return out
}

// get returns a section's settings as key → (value, line number).
func (f *ini) get(section string) (map[string]iniValue, bool) {
	if f.where == nil { // makes the lookup of all sections linear
		f.where = map[string][]int{}
		for n, l := range f.lines {
			f.where[l.section] = append(f.where[l.section], n)
		}
	}
	out, found := map[string]iniValue{}, false
	for _, n := range f.where[section] {
		l := f.lines[n]
		found = found || l.header || l.key != ""
		if l.key != "" {
			out[l.key] = iniValue{l.value, l.number}
		}
	}
	return out, found
}

type iniValue struct {
	text string
	line int
}

// set writes key = value to section: in place of the key's line, else after the
// section's last setting, else in a new section at the end.
func (f *ini) set(section, key, value string) {
	f.where = nil
	eol := "\n"
	if len(f.lines) > 0 && strings.HasSuffix(f.lines[0].raw, "\r\n") {
		eol = "\r\n"
	}
	written := value
	if value != strings.TrimSpace(value) || strings.ContainsAny(value, "#;") || strings.HasPrefix(value, `"`) {
		written = `"` + value + `"`
	}
	line := iniLine{raw: key + " = " + written + eol, section: section, key: key, value: value}
	last := -1
	for i, l := range f.lines {
		if l.section != section {
			continue
		}
		if l.key == key && !l.header {
			if l.value != value { // one that is the same keeps its comment and spacing
				f.lines[i] = line
			}
			return
		}
		if l.header || l.key != "" {
			last = i
		}
	}
	if n := len(f.lines); n > 0 && !strings.HasSuffix(f.lines[n-1].raw, "\n") {
		f.lines[n-1].raw += eol
	}
	if last < 0 {
		if len(f.lines) > 0 {
			f.lines = append(f.lines, iniLine{raw: eol})
		}
		f.lines = append(f.lines, iniLine{raw: "[" + section + "]" + eol, section: section, header: true}, line)
		return
	}
	f.lines = append(f.lines[:last+1], append([]iniLine{line}, f.lines[last+1:]...)...)
}

// remove deletes a section's setting, with all its lines.
func (f *ini) remove(section, key string) {
	f.where = nil
	f.lines = slices.DeleteFunc(f.lines, func(l iniLine) bool { return l.section == section && l.key == key && !l.header })
}

func (f *ini) bytes() []byte {
	var b bytes.Buffer
	if f.bom {
		b.WriteString("\xef\xbb\xbf")
	}
	for _, l := range f.lines {
		b.WriteString(l.raw)
	}
	return b.Bytes()
}
