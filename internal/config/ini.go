package config

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// ini is a file of [sections] with key = value lines, read as the parser of the Databricks
// SDK does (gopkg.in/ini.v1): "key: value", quoted keys and values, and values of several
// lines. Writing it back keeps comments, order, spacing and line ends, which libraries do not.
type ini struct {
	name     string
	bom      bool
	lines    []iniLine
	names    []string                      // of the sections, in the file's order
	sections map[string]map[string]iniLine // settings by section and key; of a key that is given twice the last counts
}

type iniLine struct {
	raw     string // with its line end; a value of several lines has them all
	number  int    // of the line in the file
	problem string // why the line is not read; it does not show the line, which may contain a secret
	strict  string // why ParseProfiles rejects the line, which the parser of the SDK reads
	section string // the section of the line
	key     string // empty: not a setting
	value   string
	header  bool
}

// parseINI reads data. Keys before the first header belong to section implicit. A line that
// cannot be read is an error of its section alone: see problem.
func parseINI(name string, data []byte, implicit string) *ini {
	f := &ini{name: name, sections: map[string]map[string]iniLine{}}
	data, f.bom = bytes.CutPrefix(data, []byte("\xef\xbb\xbf"))
	section := implicit
	lines := strings.SplitAfter(string(data), "\n")
	for n := 0; n < len(lines); n++ {
		if lines[n] == "" {
			continue
		}
		l := iniLine{raw: lines[n], number: n + 1, section: section}
		switch text := strings.TrimSpace(l.raw); {
		case isComment(text):
		case text[0] == '[':
			if end := strings.LastIndexByte(text, ']'); end > 0 && strings.TrimSpace(text[1:end]) != "" {
				section = strings.TrimSpace(text[1:end])
				l.header, l.section = true, section
			} else {
				l.problem = "this line is not a [profile] header"
			}
		default:
			used := l.parse(text, lines[n+1:])
			l.raw += strings.Join(lines[n+1:n+1+used], "")
			n += used
		}
		switch first, twice := f.sections[section][l.key]; {
		case l.header && f.sections[section] != nil:
			l.strict = "duplicate [" + section + "]"
		case twice:
			l.strict = fmt.Sprintf("duplicate key %s, first in line %d", l.key, first.number)
		case l.key != "" && section == "":
			l.strict = "key " + sanitize.Quote(l.key) + " is before the first [profile]"
		}
		f.lines = append(f.lines, l)
		if (l.header || l.key != "") && f.sections[section] == nil {
			f.sections[section] = map[string]iniLine{}
			f.names = append(f.names, section)
		}
		if l.key != "" {
			f.sections[section][l.key] = l
		}
	}
	return f
}

// parse reads a setting and returns how many of the next lines belong to it.
func (l *iniLine) parse(text string, next []string) (used int) {
	key, value, ok := cutKey(text)
	if !ok {
		l.problem = "this line is neither a [profile], a key = value, nor a comment"
		return 0
	}
	for _, quote := range []string{`"""`, "`"} {
		line, ok := strings.CutPrefix(value, quote)
		for line += "\n"; ok; used++ { // up to the last mark in a line
			if end := strings.LastIndex(line, quote); end >= 0 {
				l.key, l.value = key, l.value+line[:end]
				return used
			}
			if used == len(next) {
				l.value, l.problem = "", "the quoted value of this line does not end"
				return 0
			}
			l.value, line = l.value+line, next[used]
		}
	}
	for strings.HasSuffix(value, `\`) && used < len(next) { // continued in the next line
		line := strings.TrimSpace(next[used])
		value = value[:len(value)-1] + line
		if used++; line == "" {
			break
		}
	}
	l.key, l.value = key, unquoteValue(value)
	return used
}

// cutKey splits a setting at the first '=' or ':' behind its key, which may be quoted.
func cutKey(text string) (key, value string, ok bool) {
	rest := text
	for _, quote := range []string{`"""`, `"`, "`"} {
		if in, quoted := strings.CutPrefix(text, quote); quoted {
			if key, rest, ok = strings.Cut(in, quote); !ok {
				return "", "", false
			}
			break
		}
	}
	i := strings.IndexAny(rest, "=:")
	if i < 0 {
		return "", "", false
	}
	if !ok {
		key = rest[:i]
	}
	key = strings.TrimSpace(key)
	return key, strings.TrimSpace(rest[i+1:]), key != ""
}

// unquoteValue removes the comment, which a space precedes, and the quotation marks.
func unquoteValue(value string) string {
	if value != "" && (value[0] == '"' || value[0] == '\'') {
		if end := strings.IndexByte(value[1:], value[0]); end >= 0 && isComment(strings.TrimSpace(value[end+2:])) {
			return value[1 : end+1]
		}
	}
	value = " " + value
	for _, mark := range []string{" #", " ;", "\t#", "\t;"} {
		value, _, _ = strings.Cut(value, mark)
	}
	return strings.TrimSpace(value)
}

// isComment reports whether text is one, or empty.
func isComment(text string) bool { return text == "" || text[0] == '#' || text[0] == ';' }

// problem returns the error of the first line of a section that could not be read.
func (f *ini) problem(section string) error {
	for _, l := range f.lines {
		if l.section == section && l.problem != "" {
			return f.lineError(l, l.problem)
		}
	}
	return nil
}

func (f *ini) lineError(l iniLine, problem string) *Error {
	return &Error{Name: fmt.Sprintf("%s:%d", f.name, l.number), Problem: problem,
		Fix: fmt.Sprintf("correct or delete line %d of %s", l.number, f.name)}
}

// Names lists the sections in the file's order.
func (f *ini) Names() []string { return f.names }

// Has reports whether a section exists.
func (f *ini) Has(section string) bool { return f.sections[section] != nil }

// Value returns the text of a section's key; empty if it has none.
func (f *ini) Value(section, key string) string { return f.sections[section][key].value }

// set writes key = value to section: in place of the key's line, else after the
// section's last setting, else in a new section at the end.
func (f *ini) set(section, key, value string) {
	eol := "\n"
	if len(f.lines) > 0 && strings.HasSuffix(f.lines[0].raw, "\r\n") {
		eol = "\r\n"
	}
	written := value
	if value != unquoteValue(value) || strings.HasSuffix(value, `\`) || strings.HasPrefix(value, "`") {
		written = `"` + value + `"`
	}
	line := iniLine{raw: key + " = " + written + eol, section: section, key: key, value: value}
	last := -1
	for i, l := range f.lines {
		switch {
		case l.section != section:
		case l.key == key && l.value == value: // keeps its comment and spacing
			return
		case l.key == key:
			f.lines[i] = line
			return
		case l.header || l.key != "":
			last = i
		}
	}
	if n := len(f.lines); n > 0 && !strings.HasSuffix(f.lines[n-1].raw, "\n") {
		f.lines[n-1].raw += eol
	}
	if last >= 0 {
		f.lines = slices.Insert(f.lines, last+1, line)
		return
	}
	if len(f.lines) > 0 {
		f.lines = append(f.lines, iniLine{raw: eol})
	}
	f.lines = append(f.lines, iniLine{raw: "[" + section + "]" + eol, section: section, header: true}, line)
}

// remove deletes a section's setting, with all its lines.
func (f *ini) remove(section, key string) {
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
