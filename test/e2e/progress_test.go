package e2e

import (
	"regexp"
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
