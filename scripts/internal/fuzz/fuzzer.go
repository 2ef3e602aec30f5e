package main

import (
	"bytes"
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// place is a package with fuzzers.
type place struct {
	path, short string // its import path, and what is left of it inside the module
	dir         string
	binary      string // its tests, compiled for fuzzing
}

// fuzzer is one function.
type fuzzer struct {
	*place
	name string
}

// find gives the fuzzers of packages, for this system.
func find(ctx context.Context, packages []string) (all []fuzzer, err error) {
	const form = `{{.ImportPath}}{{"\t"}}{{with .Module}}{{.Path}}{{end}}{{"\t"}}{{.Dir}}{{range .TestGoFiles}}{{"\t"}}{{.}}{{end}}{{range .XTestGoFiles}}{{"\t"}}{{.}}{{end}}`
	text, err := output(ctx, append([]string{"go", "list", "-f", form}, packages...)...)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(text) {
		words := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		p := &place{path: words[0], short: strings.TrimPrefix(words[0], words[1]+"/"), dir: words[2]}
		for _, file := range words[3:] {
			source, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.dir, file), nil, parser.SkipObjectResolution)
			if err != nil {
				return nil, err
			}
			for _, d := range source.Decls {
				if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Fuzz") {
					all = append(all, fuzzer{p, f.Name.Name})
				}
			}
		}
	}
	return all, nil
}

// builder compiles and runs.
type builder struct{ dir, cache string }

// places are those of the fuzzers, each once.
func (b *builder) places(fuzzers []fuzzer) (all []*place) {
	for _, f := range fuzzers {
		if f.binary == "" {
			f.binary = filepath.Join(b.dir, strconv.Itoa(len(all))+".test")
			all = append(all, f.place)
		}
	}
	return all
}

// compile makes the test binary of a package; -fuzz has the compiler count what is
// reached.
func (b *builder) compile(ctx context.Context, p *place) error {
	_, err := output(ctx, "go", "test", "-c", "-vet=off", "-fuzz=.", "-o", p.binary, p.path)
	return err
}

// spare is what a fuzzer may take beyond its time: a begin on a busy machine, and
// the shortening of what it found.
const spare = 2 * time.Minute

// progress is what Go's fuzzer says, last: "fuzz: elapsed: 5s, execs: 1234
// (400/sec), new interesting: 5 (total: 60)".
var progress = regexp.MustCompile(`execs: (\d+) .*\(total: (\d+)\)`)

// baseline is what it says before that, while it runs what it knows already.
var baseline = regexp.MustCompile(`baseline coverage: (\d+)/(\d+) completed`)

// tried reads how many inputs were run, and how many are known. A slow machine may
// run the known ones alone.
func tried(output string) (executions, kept int) {
	for _, form := range []*regexp.Regexp{baseline, progress} {
		if all := form.FindAllStringSubmatch(output, -1); all != nil {
			last := all[len(all)-1]
			n, _ := strconv.Atoi(last[1])
			executions = max(executions, n)
			kept, _ = strconv.Atoi(last[2])
		}
	}
	return executions, kept
}

// cutOff says whether a fuzzer failed only as its time was up in the midst of a
// try, which Go before 1.27 takes for a failure (go.dev/issue/75804).
func cutOff(r result, span time.Duration) bool {
	return r.took >= span && r.executions > 0 && deadline.MatchString(r.output) && !strings.Contains(r.output, "Failing input")
}

var deadline = regexp.MustCompile(`--- FAIL: \w+ \(.*\)\n    context deadline exceeded\nFAIL\n$`)

// run lets one fuzz. What is found is made shorter by few tries only: where others
// run beside it, nothing is the same twice, and the time would go there.
func (b *builder) run(ctx context.Context, f fuzzer, span time.Duration) result {
	ctx, cancel := context.WithTimeout(ctx, span+spare)
	defer cancel()
	cmd := exec.CommandContext(ctx, f.binary, "-test.run=^$", "-test.fuzz=^"+f.name+"$", "-test.fuzztime="+span.String(), "-test.parallel=1", "-test.fuzzminimizetime=100x",
		"-test.fuzzcachedir="+b.found(f.place))
	cmd.Dir = f.dir // for its testdata
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	begun := time.Now()
	err := cmd.Run()
	r := result{fuzzer: f, end: time.Now(), took: time.Since(begun), output: out.String()}
	r.executions, r.kept = tried(r.output)
	switch {
	case err != nil && !cutOff(r, span):
		r.wrong = err.Error()
	case r.executions == 0:
		r.wrong = "nothing was tried"
	}
	return r
}

// output is what a program prints; its error holds what it said.
func output(ctx context.Context, argv ...string) (string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.WaitDelay = 5 * time.Second
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", strings.Join(argv, " "), err, out, &said)
	}
	return string(out), nil
}
