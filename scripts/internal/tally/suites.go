package main

import "strings"

const module = "github.com/lakebase-exec/lakebase-exec/"

// stories are told one a file; those that begin with this word are attacks.
const (
	stories = "TestScripts/"
	attack  = "attack_"
)

// suites are the parts of test/e2e, by how the names of their tests begin. The
// first that fits counts.
var suites = []struct{ begin, name string }{
	{"TestFaults", "matrix"},
	{stories + attack, "attacks"},
	{"TestAttack", "attacks"},
	{"TestScripts", "stories"},
	{"TestCrash", "crash"},
	{"TestGet_", "load"},
	{"TestWarmGet", "load"},
	{"TestExec_ColdStarts", "load"},
	{"TestExec_MintingProcessKilled", "load"},
	{"TestSoak", "soak"},
	{"TestLongLived", "long-lived"},
	{"TestWake", "wakes"},
	{"TestWake_Never", "wakes"},
}

// order is that of the table; others come after, by name.
var order = []string{"unit", "tools", "walls", "stories", "matrix", "attacks", "programs", "wakes", "long-lived", "load", "crash", "soak", "fuzz"}

// suite is the part that a test belongs to.
func suite(path, name string) string {
	switch at := short(path); {
	case at == "test/e2e":
		for _, s := range suites {
			if strings.HasPrefix(name, s.begin) {
				return s.name
			}
		}
		return "programs"
	case at == "test/archtest":
		return "walls"
	case strings.HasPrefix(at, "cmd/"), strings.HasPrefix(at, "internal/"), at == "completions":
		return "unit"
	}
	return "tools"
}

// short is a package's path inside the module.
func short(path string) string { return strings.TrimPrefix(path, module) }
