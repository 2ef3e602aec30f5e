package main

import (
	"flag"
	"io"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/cmd/internal/gendocs"
)

// update is set by scripts/generate.
var update = flag.Bool("update", false, "write the generated files")

func TestGeneratedFiles_AreCurrent(t *testing.T) {
	app := (&invocation{Environment: cli.NewEnvironment(program, nil, nil, nil, nil, nil)}).app()
	cli.Configure(app, program, nil, io.Discard)
	stale, err := gendocs.Sync("../..", app, *update)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range stale {
		t.Errorf("%s is not current; run scripts/generate", name)
	}
}
