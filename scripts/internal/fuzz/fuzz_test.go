package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A fuzzer that finds nothing, one that finds something, and one that cannot try.
const source = `package p

import "testing"

func FuzzWell(f *testing.F) { f.Add("a"); f.Fuzz(func(t *testing.T, s string) { _ = len(s) }) }

func FuzzIll(f *testing.F) {
	f.Add(1)
	f.Fuzz(func(t *testing.T, n int) {
		if n != 1 {
			t.Error("it is not one")
		}
	})
}

func FuzzIdle(f *testing.F) { f.Skip("it does not want to") }

const _ = "\nfunc FuzzNone(f *testing.F) {}"
`

func TestVerdicts(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for name, text := range map[string]string{"go.mod": "module example.com/p\n\ngo 1.26\n", "in/p_test.go": source, "none/none.go": "package none\n"} {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	record := filepath.Join(dir, "record")
	failed, err := all(t.Context(), time.Second, 2, 1, record, []string{"./..."})
	if err != nil || failed != 2 {
		t.Fatalf("%d failed, %v", failed, err)
	}
	text, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		var c struct {
			Suite, Name string
			Count       int
			End         time.Time
			Failed      bool
		}
		if err := json.Unmarshal([]byte(line), &c); err != nil || c.Suite != "fuzz" || c.Count != 1 || time.Since(c.End) > time.Minute {
			t.Errorf("%v: %s", err, line)
		}
		got[c.Name] = c.Failed
	}
	if len(got) != 3 || got["in FuzzWell"] || !got["in FuzzIll"] || !got["in FuzzIdle"] {
		t.Errorf("%v", got)
	}
	// What was found is a case from now on.
	if found, _ := filepath.Glob("in/testdata/fuzz/FuzzIll/*"); len(found) != 1 {
		t.Errorf("%v", found)
	}
	if _, err := all(t.Context(), time.Second, 2, 0, "", []string{"./none"}); err == nil || !strings.Contains(err.Error(), "no fuzzer") {
		t.Errorf("%v", err)
	}
}

// Only the end of its time is no failure of a fuzzer.
func TestCutOff(t *testing.T) {
	const ends = "fuzz: elapsed: 6s, execs: 975 (0/sec), new interesting: 0 (total: 132)\n--- FAIL: FuzzIt (6.01s)\n    context deadline exceeded\nFAIL\n"
	for _, c := range []struct {
		result
		want bool
	}{
		{result{took: 6 * time.Second, executions: 975, output: ends}, true},
		{result{took: 4 * time.Second, executions: 975, output: ends}, false},
		{result{took: 6 * time.Second, output: ends}, false},
		{result{took: 6 * time.Second, executions: 975, output: ends + "    Failing input written to testdata"}, false},
		{result{took: 6 * time.Second, executions: 975, output: "--- FAIL: FuzzIt (6.01s)\n    it_test.go:7: context deadline exceeded\nFAIL\n"}, false},
	} {
		if got := cutOff(c.result, 5*time.Second); got != c.want {
			t.Errorf("%t: %+v", got, c.result)
		}
	}
}

func TestTried(t *testing.T) {
	const known = "fuzz: elapsed: 0s, gathering baseline coverage: 0/248 completed\nfuzz: elapsed: 3s, gathering baseline coverage: 133/248 completed\n"
	for output, want := range map[string][2]int{
		known: {133, 248},
		known + "fuzz: elapsed: 6s, execs: 975 (0/sec), new interesting: 2 (total: 250)\n": {975, 250},
		"fuzz: elapsed: 0s, gathering baseline coverage: 0/1 completed\nPASS\n":            {0, 1},
		"PASS\n": {},
	} {
		if executions, kept := tried(output); executions != want[0] || kept != want[1] {
			t.Errorf("%d and %d, not %v, of\n%s", executions, kept, want, output)
		}
	}
}
