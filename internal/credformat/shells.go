package credformat

import (
	"slices"
	"strings"
)

// unsetVariables may be set in a shell and would send the token elsewhere, or replace
// it with another password (PostgreSQL manual, libpq-envars).
var unsetVariables = []string{"PGHOSTADDR", "PGSERVICE", "PGSERVICEFILE", "PGPASSFILE"}

// shell is the syntax of a shell.
type shell struct {
	unset, set, assign string // around a variable's name
	quote              func(string) string
}

var (
	// Inside single quotes only the quote is special (POSIX, "Single-Quotes").
	posix = shell{"unset ", "export ", "=", quoteWith(`'`, `'\''`)}

	// Inside single quotes \ and ' are escaped (fish documentation, "Quotes").
	fish = shell{"set -e ", "set -gx ", " ", quoteWith(`\`, `\\`, `'`, `\'`)}

	// PowerShell takes typographic quotes for the single one, and each is doubled
	// (about_Quoting_Rules; the tokenizer's CharTraits).
	powerShell = shell{`Remove-Item -ErrorAction SilentlyContinue Env:\`, "$env:", " = ",
		quoteWith("'", "''", "‘", "‘‘", "’", "’’", "‚", "‚‚", "‛", "‛‛")}
)

// render returns one statement a line.
func (s shell) render(a Answer, _ Env) (Output, error) {
	var b strings.Builder
	unset := unsetVariables
	if a.ExpiresAt.IsZero() {
		unset = append(slices.Clone(unset), expiresAt)
	}
	for _, name := range unset {
		b.WriteString(s.unset + name + "\n")
	}
	for _, f := range a.variables() {
		b.WriteString(s.set + f.env + s.assign + s.quote(f.value) + "\n")
	}
	return Output{Stdout: []byte(b.String())}, nil
}

// quoteWith returns a function that puts single quotes around a text in which it has
// made the replacements.
func quoteWith(oldnew ...string) func(string) string {
	r := strings.NewReplacer(oldnew...)
	return func(s string) string { return "'" + r.Replace(s) + "'" }
}

// renderDotenv is for node's dotenv, which has three kinds of quotes and no escape
// for them: a value with all three, or with a backslash at its end, cannot be
// represented (dotenv, lib/main.js).
func renderDotenv(a Answer, _ Env) (Output, error) {
	var b strings.Builder
	for _, f := range a.variables() {
		value, what := dotenvValue(f.value)
		if what != "" {
			return Output{}, cannotRepresent("dotenv", f.keyword, what)
		}
		b.WriteString(f.env + "=" + value + "\n")
	}
	return Output{Stdout: []byte(b.String())}, nil
}

// dotenvPlain are the characters of a value that needs no quotes.
const dotenvPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:@%+,="

// dotenvValue returns s as dotenv reads it, or what in it cannot be represented.
func dotenvValue(s string) (value, what string) {
	switch {
	case strings.Trim(s, dotenvPlain) == "" && s != "":
		return s, ""
	case strings.Contains(s, "\r"):
		return "", "a carriage return" // dotenv reads a line feed
	case strings.HasSuffix(s, `\`):
		return "", "a backslash at the end"
	}
	for _, q := range []string{"'", "`", `"`} {
		if strings.Contains(s, q) || q == `"` && (strings.Contains(s, `\n`) || strings.Contains(s, `\r`)) {
			continue
		}
		return q + s + q, ""
	}
	return "", "all three of ', ` and \""
}
