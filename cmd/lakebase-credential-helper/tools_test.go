package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/internal/credformat"
)

// docs/tools.md names every format, and only formats, options and tests that
// there are.
func TestToolsPage(t *testing.T) {
	read := func(name string) string {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	doc, tests := read("../../docs/tools.md"), read("../../test/e2e/formats_linux_test.go")
	named := map[string]bool{}
	for _, m := range regexp.MustCompile(`--format[ ",]+([a-z-]+)`).FindAllStringSubmatch(doc, -1) {
		named[m[1]] = true
	}
	for _, f := range credformat.Names() {
		if !named[f] {
			t.Errorf("format %s is not in the document", f)
		}
		delete(named, f)
	}
	for f := range named {
		t.Errorf("there is no format %s", f)
	}
	for _, m := range regexp.MustCompile("`Test…/([^`]+)`").FindAllStringSubmatch(doc, -1) {
		if !strings.Contains(tests, `t.Run("`+m[1]+`",`) {
			t.Errorf("there is no test %q", m[1])
		}
	}
}
