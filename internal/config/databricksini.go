package config

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// implicitSection is the section of keys before the first header.
const implicitSection = "DEFAULT"

// parseDatabricksINI reads a .databrickscfg as the parser of the Databricks SDK does
// (gopkg.in/ini.v1): "key: value", quoted keys and values, values of several lines, keys
// before the first section, and sections and keys that are given twice, where the last
// value counts. A line that it cannot read is an error of its section alone: see problem.
func parseDatabricksINI(name string, data []byte) *ini {
	f := &ini{name: name}
	if rest, ok := bytes.CutPrefix(data, []byte("\xef\xbb\xbf")); ok {
		f.bom, data = true, rest
	}
	section := implicitSection
	lines := strings.SplitAfter(string(data), "\n")
	for n := 0; n < len(lines); n++ {
		if lines[n] == "" {
			continue
		}
		l := iniLine{raw: lines[n], number: n + 1, section: section}
		switch text := strings.TrimSpace(l.raw); {
		case text == "" || text[0] == '#' || text[0] == ';':
		case text[0] == '[':
			if end := strings.LastIndexByte(text, ']'); end > 0 && strings.TrimSpace(text[1:end]) != "" {
				section = strings.TrimSpace(text[1:end])
				l.header, l.section = true, section
			} else {
				l.problem = "this line is not a [profile] header"
			}
		default:
			used := l.parseDatabricks(text, lines[n+1:])
			l.raw += strings.Join(lines[n+1:n+1+used], "")
			n += used
		}
		f.lines = append(f.lines, l)
	}
	return f
}

// parseDatabricks reads a setting and returns how many of the next lines belong to it.
func (l *iniLine) parseDatabricks(text string, next []string) (used int) {
	key, value, ok := cutKey(text)
	if !ok {
		l.problem = "this line is neither a [profile], a key = value, nor a comment"
		return 0
	}
	for _, quote := range []string{`"""`, "`"} {
		rest, ok := strings.CutPrefix(value, quote)
		if !ok {
			continue
		}
		if end := strings.LastIndex(rest, quote); end >= 0 {
			l.key, l.value = key, rest[:end]
			return 0
		}
		rest += "\n"
		for i, line := range next {
			if end := strings.LastIndex(line, quote); end >= 0 {
				l.key, l.value = key, rest+line[:end]
				return i + 1
			}
			rest += line
		}
		l.problem = "the quoted value of this line does not end"
		return 0
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

// unquoteValue removes the comment, which a space precedes, and the quotation marks of
// a value.
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

// problem returns the error of the first line of a section that could not be read.
func (f *ini) problem(section string) error {
	for _, l := range f.lines {
		if l.section == section && l.problem != "" {
			number := strconv.Itoa(l.number)
			return &Error{Name: f.name + ":" + number, Problem: l.problem, Fix: fmt.Sprintf("correct line %s of %s: it holds [name], key = value, or # and a comment", number, f.name)}
		}
	}
	return nil
}
