package main

import (
	"errors"
	"os"
	"testing"
)

// A killed local-lakebase leaves no Postgres, and the next one removes its directory.
func TestKilled(t *testing.T) {
	p := launch(t)
	dir := p.must(t, "status")["dir"]
	pid := postmaster(t, dir)
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	gone(t, []int{pid})
	launch(t, "--no-postgres", "--stdin")
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the next start left %s: %v", dir, err)
	}
}
