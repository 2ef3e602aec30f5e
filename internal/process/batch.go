package process

import (
	"fmt"
	"path/filepath"
	"strings"
	"unicode"
)

// isBatchFile reports whether Windows runs a file by cmd.exe. It ignores dots and spaces
// at the end of a name.
func isBatchFile(path string) bool {
	switch strings.ToLower(filepath.Ext(strings.TrimRight(path, ". "))) {
	case ".bat", ".cmd":
		return true
	}
	return false
}

// plain are those ASCII characters, apart from letters and digits, that are no syntax of
// cmd.exe (the list of Rust's std::process).
const plain = `#$*+-./:?@\_`

// batchLine returns the command line that runs a batch file. cmd.exe does not parse
// arguments as programs do (CVE-2024-24576): in quotes it still expands %NAME%, and a
// quotation mark has no form that cmd.exe and all programs read alike, so that arguments
// with these are refused, and the others quoted where needed.
//
// Errors: *Error.
func batchLine(path string, argv []string) (string, error) {
	var b strings.Builder
	b.WriteString(`cmd.exe /d /e:ON /v:OFF /c "`) // no AutoRun, no expansion of !NAME!
	for i, arg := range append([]string{path}, argv[1:]...) {
		if at := strings.IndexFunc(arg, func(c rune) bool { return c == '"' || c == '%' || unicode.IsControl(c) }); at >= 0 {
			what := fmt.Sprintf("argument %d", i)
			if i == 0 {
				what = "the path"
			}
			return "", notExecutable(path, fmt.Sprintf("it is a batch file, and %s contains %q, which cmd.exe would interpret", what, arg[at]),
				"run the program that the batch file starts, as in: node SCRIPT instead of npx, or pass the value in a variable", nil)
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		if i > 0 && arg != "" && !strings.HasSuffix(arg, `\`) && !strings.ContainsFunc(arg, needsQuotes) {
			b.WriteString(arg)
			continue
		}
		// Backslashes before a quotation mark count double (CommandLineToArgvW).
		slashes := len(arg) - len(strings.TrimRight(arg, `\`))
		b.WriteString(`"` + arg + strings.Repeat(`\`, slashes) + `"`)
	}
	b.WriteString(`"`) // cmd.exe removes the outer two
	return b.String(), nil
}

func needsQuotes(c rune) bool {
	isASCII := c <= unicode.MaxASCII
	return unicode.IsSpace(c) || isASCII && !unicode.IsLetter(c) && !unicode.IsDigit(c) && !strings.ContainsRune(plain, c)
}
