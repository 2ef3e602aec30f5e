package main

import (
	"flag"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/gen"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
)

// update is set by scripts/generate.
var update = flag.Bool("update", false, "write the generated files")

var generated = gen.Program{
	Page: help, Settings: config.Settings(), Wraps: true,
	Environment: gen.Environment,
	Files:       gen.Files,
	SeeAlso:     []string{"lakebase-credential-helper(1)", "psql(1)", gen.Site},
}

func TestGeneratedFilesAreCurrent(t *testing.T) {
	stale, err := generated.Sync("../..", *update)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range stale {
		t.Errorf("%s is not what the help says; run scripts/generate", name)
	}
}
