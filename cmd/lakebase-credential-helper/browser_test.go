package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseBrowser(t *testing.T) {
	const at = "https://h/?a=1&b=%2F;`x`"
	for browser, want := range map[string][][]string{
		"":                         nil,
		" : :":                     nil,
		"firefox":                  {{"firefox", at}},
		"firefox:chromium -n":      {{"firefox", at}, {"chromium", "-n", at}},
		"open -u %s --x":           {{"open", "-u", at, "--x"}},
		"a --url=%s:sh -c 'b $1'":  {{"a", "--url=" + at}, {"sh", "-c", "'b", "$1'", at}},
		"/opt/a b::/usr/bin/w3m  ": {{"/opt/a", "b", at}, {"/usr/bin/w3m", at}},
	} {
		if d := cmp.Diff(want, parseBrowser(browser, at, ":")); d != "" {
			t.Errorf("%q: %s", browser, d)
		}
	}
	if d := cmp.Diff([][]string{{`C:\b.exe`, at}, {"c", at}}, parseBrowser(`C:\b.exe;c`, at, ";")); d != "" {
		t.Error(d)
	}
}
