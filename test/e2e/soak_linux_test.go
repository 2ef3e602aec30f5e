package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"
)

// Without SOAK_TIME the soak is about as short as its measurements allow.
const (
	defaultSoak          = 32 * time.Second
	defaultSoakTokenLife = 5 * time.Second // of a token
)

// TestSoak is scripts/soak for a short while: faults all the time, clients that
// come and go, and a proxy that does not grow. SOAK_TIME says for how long. The
// programs are as they are released; the race detector has a memory of its own.
func TestSoak(t *testing.T) {
	t.Parallel()
	span, life := defaultSoak, defaultSoakTokenLife
	if text := os.Getenv("SOAK_TIME"); text != "" {
		var err error
		if span, err = time.ParseDuration(text); err != nil {
			t.Fatalf("SOAK_TIME: %v", err)
		}
		life = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(t.Context(), span+10*time.Minute)
	defer cancel()
	dir := t.TempDir()
	build := exec.CommandContext(ctx, "go", "build", "-o", dir, "github.com/lakebase-exec/lakebase-exec/scripts/internal/soak")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.CommandContext(ctx, filepath.Join(dir, "soak"), "-for", span.String(), "-token-life", life.String())
	cmd.Env = append(os.Environ(), "PATH="+released(t)+string(os.PathListSeparator)+os.Getenv("PATH"))
	cmd.Cancel, cmd.WaitDelay = terminate(cmd), time.Minute
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
	if m := regexp.MustCompile(`\nlogins made +(\d+), `).FindSubmatch(out); m != nil {
		t.Attr("cases", string(m[1]))
	} else {
		t.Error("it made no logins")
	}
}

// released is the folder of programs as they are released, without the race
// detector, built once.
func released(t *testing.T) string {
	t.Helper()
	dir, err := buildReleased()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

var buildReleased = sync.OnceValues(func() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	dir := filepath.Join(bin, "released") + string(filepath.Separator)
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", "urfave_cli_no_docs", "-o", dir, "github.com/lakebase-exec/lakebase-exec/cmd/lakebase-credential-helper")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return dir, nil
})
