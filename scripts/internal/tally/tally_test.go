package main

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// sources are packages of a module, each of which ends in another way.
var sources = map[string]string{
	"good/a_test.go": `
func TestPlain(t *testing.T) { t.Log("nobody reads this") }
func TestMany(t *testing.T) { t.Attr("cases", "40") }
func TestParts(t *testing.T) { t.Run("one", func(t *testing.T) {}); t.Run("two", func(t *testing.T) {}) }
func TestAbsent(t *testing.T) { t.Skip("not here") }`,
	"bad/a_test.go": `
func TestBad(t *testing.T) { t.Run("leaf", func(t *testing.T) { t.Error("the leaf is ill") }); t.Run("well", func(t *testing.T) { t.Log("the other is well") }) }
func TestAbove(t *testing.T) { t.Run("well", func(t *testing.T) {}); t.Error("what is above is ill") }
func TestSlashes(t *testing.T) { t.Run("one/name/alone", func(t *testing.T) {}) }`,
	"panics/a_test.go":  `func TestPanics(t *testing.T) { panic("it goes wrong") }`,
	"late/a_test.go":    "import \"time\"\nfunc TestLate(t *testing.T) { t.Log(\"it waits\"); time.Sleep(time.Minute) }",
	"leaves/a_test.go":  "import \"os\"\nfunc TestLeaves(t *testing.T) { os.Exit(3) }",
	"around/a_test.go":  "import \"os\"\nfunc TestMain(m *testing.M) { m.Run(); println(\"something is left\"); os.Exit(1) }\nfunc TestFine(t *testing.T) {}",
	"unbuilt/a_test.go": `func TestUnbuilt(t *testing.T) { nothing() }`,
}

// try runs go test over these packages and gives its exit code, what a person
// sees, and the cases by their names.
func try(t *testing.T, packages ...string) (int, string, map[string]testCase) {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module example.com/m\n\ngo 1.26\n")
	for name, text := range sources {
		write(name, "package p\nimport \"testing\"\n"+text+"\n")
	}
	script := "cd '" + dir + "' && exec go test -json -vet=off -count=1 -timeout=2s \"$@\""
	argv := append([]string{"sh", "-c", script, "sh"}, packages...)
	var out bytes.Buffer
	record := filepath.Join(dir, "record")
	code, err := run(record, argv, &out)
	if err != nil {
		t.Fatal(err)
	}
	cases, err := load([]string{record})
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]testCase{}
	for _, c := range cases {
		byName[strings.TrimPrefix(c.Name, "example.com/m/")] = c
	}
	if len(byName) != len(cases) {
		t.Errorf("a name stands twice: %+v", cases)
	}
	return code, out.String(), byName
}

func names(cases map[string]testCase, failed bool) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(cases)), func(name string) bool { return cases[name].Failed != failed })
}

func TestAllIsWell(t *testing.T) {
	code, out, cases := try(t, "./good")
	if want := []string{"good TestAbsent", "good TestMany", "good TestParts/one", "good TestParts/two", "good TestPlain"}; code != 0 || !slices.Equal(names(cases, false), want) {
		t.Errorf("%d %+v", code, cases)
	}
	if cases["good TestMany"].Count != 40 || cases["good TestPlain"].Count != 1 || !cases["good TestAbsent"].Skipped {
		t.Errorf("%+v", cases)
	}
	if !strings.HasPrefix(out, "ok  \texample.com/m/good\t") || strings.Count(out, "\n") != 1 {
		t.Errorf("a person sees %q", out)
	}
	var table bytes.Buffer
	if code := tableOf(&table, cases); code != 1 || !strings.Contains(table.String(), "tools     43         0") ||
		!strings.Contains(table.String(), "SKIPPED, which counts as a failure:\n      0.0 s  example.com/m/good TestAbsent\n") {
		t.Errorf("%d:\n%s", code, &table)
	}
	delete(cases, "good TestAbsent")
	table.Reset()
	if code := tableOf(&table, cases); code != 0 || !strings.Contains(table.String(), "tools     43         0") || strings.Contains(table.String(), "SKIPPED") {
		t.Errorf("nothing is skipped: %d:\n%s", code, &table)
	}
}

// Every way of failing is counted, blamed on the one who failed, and shown with
// all that it has said.
func TestEveryFailureCounts(t *testing.T) {
	code, out, cases := try(t, "./...")
	if code != 1 {
		t.Errorf("the exit code is %d", code)
	}
	want := []string{"around what is around its tests", "bad TestAbove", "bad TestBad/leaf", "late TestLate", "leaves TestLeaves", "panics TestPanics", "unbuilt it does not build"}
	if got := names(cases, true); !slices.Equal(got, want) {
		t.Errorf("failed are %q", got)
	}
	for _, text := range []string{"the leaf is ill", "what is above is ill", "--- FAIL: TestBad/leaf", "--- FAIL: TestBad (", "panic: it goes wrong", "a_test.go:3 ",
		"panic: test timed out after 2s", "it waits", "something is left", "undefined: nothing", "[build failed]",
		"FAIL\texample.com/m/bad\t", "FAIL\texample.com/m/late\t", "ok  \texample.com/m/good\t"} {
		if !strings.Contains(out, text) {
			t.Errorf("a person does not see %q", text)
		}
	}
	for _, text := range []string{"the other is well", "nobody reads this", "=== RUN"} {
		if strings.Contains(out, text) {
			t.Errorf("a person sees %q", text)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
	var table bytes.Buffer
	if code := tableOf(&table, cases); code != 1 || !strings.Contains(table.String(), "all     54         7") || !strings.Contains(table.String(), "FAILED:\n") {
		t.Errorf("%d:\n%s", code, &table)
	}
}

func tableOf(out *bytes.Buffer, cases map[string]testCase) int {
	return table(out, slices.Collect(maps.Values(cases)))
}

// A go test that cannot even begin is no success.
func TestGoItselfFails(t *testing.T) {
	if code, _, cases := try(t, "-no-such-flag", "./good"); code == 0 || len(names(cases, true)) == 0 {
		t.Errorf("%d %+v", code, cases)
	}
	record := filepath.Join(t.TempDir(), "record")
	code, err := run(record, []string{"sh", "-c", "echo words; exit 4"}, &bytes.Buffer{})
	list, _ := load([]string{record})
	if err != nil || code != 4 || len(list) != 1 || !list[0].Failed || list[0].Name != " go test itself" {
		t.Errorf("%d %+v %v", code, list, err)
	}
	cut := `{"Action":"start","Package":"p"}` + "\n" + `{"Action":"run","Package":"p","Test":"TestCut"}` + "\n"
	code, err = run(record, []string{"sh", "-c", "printf '%s' '" + cut + "'; kill -9 $$"}, &bytes.Buffer{})
	list, _ = load([]string{record})
	if err != nil || code != 1 || len(list) != 2 || !list[0].Failed || !list[1].Failed {
		t.Errorf("%d %+v %v", code, list, err)
	}
	if _, err := run(record, []string{filepath.Join(t.TempDir(), "nothing")}, &bytes.Buffer{}); err == nil {
		t.Error("a program that is not there was run")
	}
}

func TestSuites(t *testing.T) {
	for name, want := range map[string]string{
		"internal/pglogin TestRetry": "unit", "cmd/internal/cli FuzzPlain": "unit", "test/emulator TestStart": "tools", "scripts/internal/tally TestSuites": "tools", "test/archtest TestImports": "walls",
		"test/e2e TestScripts/login": "stories", "test/e2e TestScripts/attack_path": "attacks", "test/e2e TestFaults/token_503": "matrix", "test/e2e TestCrash/get": "crash",
		"test/e2e TestGet_ThousandAtOnce": "load", "test/e2e TestSoak": "soak", "test/e2e TestClients/psql": "programs", "test/e2e it does not build": "programs",
	} {
		path, test, _ := strings.Cut(name, " ")
		if got := suite(module+path, test); got != want || !slices.Contains(order, got) {
			t.Errorf("%s is of %s, not of %s", name, got, want)
		}
	}
}

// What runs side by side takes its time once; what stands still takes none.
func TestSum(t *testing.T) {
	at := func(s float64) time.Time { return time.Unix(1000, 0).Add(time.Duration(s * float64(time.Second))) }
	got := sum([]testCase{{Count: 1, End: at(10), Seconds: 10}, {Count: 2, End: at(8), Seconds: 2}, {Count: 1, End: at(12), Seconds: 4, Failed: true}, {Count: 1, End: at(30), Seconds: 5}})
	if got != (line{cases: 5, failures: 1, took: 17}) {
		t.Errorf("%+v", got)
	}
}
