package e2e

import (
	"regexp"
	"testing"
	"time"
)

// progressAfter is how long nothing is said about a wait.
const progressAfter = 2 * time.Second

// progress are the lines about a wait, as they are off a terminal.
var progress = regexp.MustCompile(`(?m)^lakebase-(exec|credential-helper): (signing in to \S+:[0-9]+|waiting for (the keychain|the compute to wake|another process that is signing in))\n`)

// withoutProgress is stderr without what is said about a wait: on a busy machine
// any run may take longer than progressAfter. A run that took less has no such line.
func withoutProgress(stderr string, took time.Duration) string {
	if took < progressAfter {
		return stderr
	}
	return progress.ReplaceAllString(stderr, "")
}

// Only the progress lines of a slow run are dropped.
func TestWithoutProgress(t *testing.T) {
	t.Parallel()
	const lines = "lakebase-exec: signing in to localhost:443\nlakebase-exec: waiting for the keychain\n" +
		"lakebase-credential-helper: waiting for the compute to wake\nlakebase-exec: waiting for another process that is signing in\n"
	if got := withoutProgress(lines, progressAfter); got != "" {
		t.Errorf("%q is left", got)
	}
	if got := withoutProgress(lines, progressAfter-1); got != lines {
		t.Errorf("after a short run %q is left", got)
	}
	for _, other := range []string{"lakebase-exec: note: signing in to localhost:443 as x\n", "lakebase-exec: error: waiting for the keychain\n",
		"lakebase-exec: waiting for the keychain, and more\n", "lakebase-exec: waiting for the keychain", " lakebase-exec: waiting for the keychain\n",
		"psql: waiting for the keychain\n", "\x1b[Klakebase-exec: waiting for the keychain\n"} {
		if got := withoutProgress(lines+other, time.Hour); got != other {
			t.Errorf("%q is left of %q", got, other)
		}
	}
}
