package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// end is how a run of go test ended.
type end int

const (
	passed end = iota
	failed
	unusable // it does not compile, or go itself failed
)

type result struct {
	end    end
	test   string // the first that failed
	output string // its last words
	took   time.Duration
}

// goBuild compiles one folder: tests that build the programs themselves could not
// tell a break that does not compile from one that they have noticed.
func goBuild(ctx context.Context, tree, dir string) result {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", os.DevNull, "./"+filepath.ToSlash(dir))
	cmd.Dir = tree
	if out, err := cmd.CombinedOutput(); err != nil {
		return result{end: unusable, output: err.Error() + "\n" + string(out)}
	}
	return result{}
}

// goTest runs go test in a tree. Vet is off: a mutant is for the tests to find.
func goTest(ctx context.Context, tree, tests string, limit time.Duration) result {
	ctx, cancel := context.WithTimeout(ctx, limit+2*time.Minute) // the rest is for the compiler
	defer cancel()
	args := []string{"test", "-json", "-trimpath", "-vet=off", "-count=1", "-failfast", "-timeout=" + limit.String()}
	cmd := exec.CommandContext(ctx, "go", append(args, strings.Fields(tests)...)...)
	cmd.Dir = tree
	cmd.WaitDelay = 5 * time.Second
	alone(cmd)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	begun := time.Now()
	err := cmd.Run()
	r := result{took: time.Since(begun)}
	if err == nil {
		return r
	}
	e := parse(out.Bytes())
	switch {
	case e.unbuilt:
		r.end, r.output = unusable, e.build
	case e.test != "":
		r.end, r.test, r.output = failed, e.test, e.output
	case e.late != "":
		r.end, r.test, r.output = failed, e.late+" (time is up)", e.output
	case e.pkg != "":
		r.end, r.test, r.output = failed, "what follows the tests of "+e.pkg, e.output
	default:
		r.end, r.output = unusable, err.Error()+"\n"+said.String()
	}
	return r
}

// events is what matters of the lines of go test -json (cmd/test2json).
type events struct {
	unbuilt       bool
	build         string // the compiler's words
	test, pkg     string // the first to fail
	late          string // what ran when time was up
	output        string
	outputsByTest map[string]string
}

func parse(lines []byte) events {
	e := events{outputsByTest: map[string]string{}}
	scan := bufio.NewScanner(bytes.NewReader(lines))
	scan.Buffer(nil, 16<<20)
	for scan.Scan() {
		var v struct{ Action, Package, Test, Output, FailedBuild string }
		if json.Unmarshal(scan.Bytes(), &v) != nil {
			continue
		}
		id := v.Package + " " + v.Test
		switch v.Action {
		case "build-output":
			e.build += v.Output
		case "build-fail":
			e.unbuilt = true
		case "output":
			if e.late == "running" {
				e.late, _, _ = strings.Cut(strings.TrimSpace(v.Output), " ")
			} else if strings.TrimSpace(v.Output) == "running tests:" {
				e.late = "running"
			}
			e.outputsByTest[id] = last(e.outputsByTest[id]+v.Output, 4000)
		case "fail":
			e.unbuilt = e.unbuilt || v.FailedBuild != ""
			if v.Test != "" && e.test == "" {
				e.test, e.output = v.Test, e.outputsByTest[id]
			}
			if v.Test == "" && e.pkg == "" {
				e.pkg = v.Package[strings.LastIndexByte(v.Package, '/')+1:]
				if e.test == "" {
					e.output = e.outputsByTest[id]
				}
			}
		}
	}
	return e
}

func last(s string, n int) string { return s[max(0, len(s)-n):] }
