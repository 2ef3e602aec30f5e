package main

import (
	"os"
	"regexp"
	"slices"
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
	var named []string
	for _, m := range regexp.MustCompile(`--format[ ",]+([a-z-]+)`).FindAllStringSubmatch(doc, -1) {
		named = append(named, m[1])
	}
	slices.Sort(named)
	if want := slices.Sorted(slices.Values(credformat.Names())); !slices.Equal(slices.Compact(named), want) {
		t.Errorf("got formats %q, want %q", slices.Compact(named), want)
	}
	for _, m := range regexp.MustCompile("`Test…/([^`]+)`").FindAllStringSubmatch(doc, -1) {
		if !strings.Contains(tests, `t.Run("`+m[1]+`",`) {
			t.Errorf("there is no test %q", m[1])
		}
	}
}
