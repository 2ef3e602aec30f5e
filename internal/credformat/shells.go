package credformat

import (
	"strings"
)

// steer are the variables that a shell may have set and that would send the
// token elsewhere, or put another password in its place (PostgreSQL manual,
// libpq-envars). A shell that takes our values must drop them.
var steer = []string{"PGHOSTADDR", "PGSERVICE", "PGSERVICEFILE", "PGPASSFILE"}

// expiresVariable tells a child until when the token opens new connections.
const expiresVariable = "LAKEBASE_TOKEN_EXPIRES_AT"

// assign writes one assignment a line, in a shell's own quoting, and before them
// what is to be dropped.
func assign(a Answer, drop, before, between string, quote func(string) string) []byte {
	var b strings.Builder
	for _, name := range steer {
		b.WriteString(strings.ReplaceAll(drop, "NAME", name) + "\n")
	}
	for _, f := range append(a.fields(), field{"", expiresVariable, expiry(a.ExpiresAt)}) {
		b.WriteString(before + f.env + between + quote(f.value) + "\n")
	}
	return []byte(b.String())
}

// posix is for sh, bash, dash and zsh: inside single quotes nothing is special
// but the quote (POSIX, "Single-Quotes").
func posix(a Answer, _ Context) ([]byte, error) {
	return assign(a, "unset NAME", "export ", "=", func(s string) string {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}), nil
}

// fish knows \\ and \' inside single quotes, and nothing else (fish
// documentation, "Quotes").
func fish(a Answer, _ Context) ([]byte, error) {
	return assign(a, "set -e NAME", "set -gx ", " ", func(s string) string {
		return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
	}), nil
}

// powershell takes typographic single quotes for the plain one, and all of them
// are doubled (PowerShell documentation, about_Quoting_Rules; the tokenizer's
// CharTraits).
func powershell(a Answer, _ Context) ([]byte, error) {
	double := strings.NewReplacer("'", "''", "‘", "‘‘", "’", "’’", "‚", "‚‚", "‛", "‛‛")
	return assign(a, `Remove-Item -ErrorAction SilentlyContinue Env:\NAME`, "$env:", " = ", func(s string) string {
		return "'" + double.Replace(s) + "'"
	}), nil
}

// dotenv is for node's dotenv, which has three quotes and no way to escape one:
// a value with all three, or with a backslash before the closing one, cannot be
// written (dotenv, lib/main.js).
func dotenv(a Answer, _ Context) ([]byte, error) {
	var b strings.Builder
	for _, f := range append(a.fields(), field{"", expiresVariable, expiry(a.ExpiresAt)}) {
		v, what := dotenvValue(f.value)
		if what != "" {
			return nil, &Error{"dotenv", f.keyword, what}
		}
		b.WriteString(f.env + "=" + v + "\n")
	}
	return []byte(b.String()), nil
}

const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:@%+,="

func dotenvValue(s string) (value, what string) {
	switch {
	case strings.Trim(s, plain) == "" && s != "":
		return s, ""
	case strings.Contains(s, "\r"):
		return "", "a carriage return" // dotenv makes it a line feed
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

// GitHubEnv gives what a workflow step writes: the masking of the token for
// stdout, and the lines for the file that GITHUB_ENV names. delimiter must be
// random, so that no value can end its own block (GitHub documentation,
// "Workflow commands").
func GitHubEnv(a Answer, delimiter string) (stdout, file []byte, err error) {
	if err := a.check("github-env", "\x00\r"); err != nil {
		return nil, nil, err
	}
	token := a.Password.Reveal()
	if strings.Contains(token, "\n") {
		return nil, nil, &Error{"github-env", "password", "a line feed"}
	}
	var b strings.Builder
	for _, f := range append(a.fields(), field{"", expiresVariable, expiry(a.ExpiresAt)}) {
		if strings.Contains(f.value, delimiter) {
			return nil, nil, &Error{"github-env", f.keyword, "the delimiter"}
		}
		b.WriteString(f.env + "<<" + delimiter + "\n" + f.value + "\n" + delimiter + "\n")
	}
	return line("::add-mask::" + strings.NewReplacer("%", "%25").Replace(token)), []byte(b.String()), nil
}
