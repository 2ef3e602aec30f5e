package e2e

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// soundCase is a file with every keyword in it.
const soundCase = `# What it is about,
# on two lines.
target instance
env PGHOST= LAKEBASE_LOG=verbose
lakebase fault token times=-1 status=500 body='{"a":"it''s"}'
later 300ms suspend
when waking suspend
door compute raw "a\x1b\r\n"
run lakebase-exec --verbose -- psql -c 'select 1'
exit 122
error ^the workspace .* has: HTTP 500$
hint try again
says note: .* 'x'
never secret words
requests token=1 credentials=0-2
logins 3-4
starts 0
life 59m
least 1s
`

// A file that is not as it should be is an error that says why, and never a case
// that passes.
func TestMatrixFormat(t *testing.T) {
	t.Parallel()
	c, err := parseCase(soundCase)
	if err != nil {
		t.Fatal(err)
	}
	if c.steps[0].words[4] != `body={"a":"it's"}` || c.doors[0][2] != "a\x1b\r\n" || !slices.Equal(c.run[3:], []string{"psql", "-c", "select 1"}) ||
		c.requests[emulator.CallCredentials] != (countSpan{0, 2}) || c.logins != (countSpan{3, 4}) || c.steps[1].after != 300*time.Millisecond || c.steps[2].when != "waking" ||
		c.never[0] != "secret words" || c.says[0].String() != "note: .* 'x'" || !c.instance || c.exit != 122 || c.life != 59*time.Minute {
		t.Errorf("read as %+v", c)
	}
	if twin := c.twin(); len(twin.steps)+len(twin.doors) != 0 || twin.commandLine() != c.commandLine() || twin.exit != 0 || twin.starts != 1 {
		t.Errorf("its twin is %+v", twin)
	}
	for _, bad := range []struct{ change, to, why string }{
		{"# What it is about,\n# on two lines.\n", "", "does not say what it is about"},
		{"target instance", "target cluster", "wants instance"},
		{"env PGHOST=", "env PGHOST", "is no NAME=VALUE"},
		{"later 300ms suspend", "later suspend", "wants more words"},
		{"later 300ms", "later soon", "invalid duration"},
		{"when waking suspend", "when waking", "wants more words"},
		{"when waking", "when asleep", "wants waking or started"},
		{"door compute raw", "door compute ajar", "one of"},
		{`raw "a\x1b\r\n"`, "raw", "take bytes"},
		{`\x1b`, `\q`, "a double quote is open"},
		{"'select 1'", "'select 1", "a single quote is open"},
		{"run lakebase-exec", "run psql", "wants lakebase-exec"},
		{"run lakebase-exec --verbose -- psql -c 'select 1'\n", "", `no line "run"`},
		{"exit 122\n", "", `no line "exit"`},
		{"exit 122", "exit 0", "beside exit 0"},
		{"error ^the workspace .* has: HTTP 500$\n", "", `no line "error"`},
		{"error ^the", "error (^the", "missing closing )"},
		{"hint try again\n", "", `no line "hint"`},
		{"hint try again", "hint ", "wants a pattern"},
		{"requests token=1", "requests tokens=1", "is no CALL=N"},
		{"requests token=1 credentials=0-2\n", "", `no line "requests"`},
		{"credentials=0-2", "credentials=2-0", "less than the least"},
		{"logins 3-4\n", "", `no line "logins"`},
		{"starts 0\n", "", `no line "starts"`},
		{"starts 0", "starts 2", "never started twice"},
		{"least 1s", "least 0s", "above 0"},
		{"least 1s", "least 1s\nleast 2s", "stands twice"},
		{"least 1s", "least 1s\n\nlife 1s", "no such keyword"},
		{"least 1s", "least 1s\n# a comment", "no such keyword"},
		{"least 1s", "least 1s\nlast 6s", "no such keyword"},
	} {
		text := strings.Replace(soundCase, bad.change, bad.to, 1)
		if _, err := parseCase(text); text == soundCase || err == nil || !strings.Contains(err.Error(), bad.why) {
			t.Errorf("%q in place of %q: %v, not %q", bad.to, bad.change, err, bad.why)
		}
	}
	still := regexp.MustCompile(`(?m)^(lakebase|later|when|door) .*\n`).ReplaceAllString(soundCase, "")
	if _, err := parseCase(still); err == nil || !strings.Contains(err.Error(), "nothing happens") {
		t.Errorf("a failure without a fault: %v", err)
	}
}

// What a terminal would obey is found, and what it would not is let be.
func TestMatrixFindsWhatSteers(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"a\x1b[2J", "a\rb", "a\x00", "\x7f", "\u009b2J", "\u202ea", "\u200b", "\xff", "\u2028", strings.Repeat("a", maxLine+1)} {
		if steers(bad) == "" {
			t.Errorf("%q passes", bad)
		}
	}
	for _, good := range []string{"", `a\x1B[2J`, "Straße … “quoted”", strings.Repeat("a", maxLine)} {
		if why := steers(good); why != "" {
			t.Errorf("%q: %s", good, why)
		}
	}
}
