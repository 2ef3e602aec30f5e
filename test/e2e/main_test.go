package e2e

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// bin is the directory of the programs under test, built once.
var bin string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "lakebase-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	// Commands run as other users in some tests have to reach the programs.
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	bin = dir
	if err := build(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// build compiles both programs, with the race detector where the tests have it.
func build(dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	args := []string{"build", "-o", dir + string(filepath.Separator)}
	if raceEnabled {
		args = append(args, "-race")
	}
	args = append(args, "github.com/lakebase-exec/lakebase-exec/cmd/lakebase-exec",
		"github.com/lakebase-exec/lakebase-exec/cmd/lakebase-credential-helper")
	out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("building the programs: %w\n%s", err, out)
	}
	return nil
}

// progressAfter is how long nothing is said about a wait.
const progressAfter = 2 * time.Second

// progress are the lines about a wait, as they are off a terminal.
var progress = regexp.MustCompile(`(?m)^lakebase-(exec|credential-helper): (signing in to \S+:[0-9]+|waiting for (the keychain|the compute to wake|another process that is signing in))\n`)

// withoutProgress is stderr without what is said about a wait: on a busy machine
// any run may take longer than progressAfter. A run that took less has no such line.
func withoutProgress(stderr string, took time.Duration) string {
	if took < progressAfter {
		return stderr
	}
	return progress.ReplaceAllString(stderr, "")
}

// token is the shape of a JWT.
var token = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}`)

// encoded lists the forms in which a secret may slip out unseen.
func encoded(id, secret string) []string {
	return []string{
		base64.StdEncoding.EncodeToString([]byte(secret)),
		base64.StdEncoding.EncodeToString([]byte(id + ":" + secret)),
		base64.RawURLEncoding.EncodeToString([]byte(secret)),
		hex.EncodeToString([]byte(secret)),
		url.QueryEscape("x " + secret)[2:],
	}
}

// secretIn names what text holds of any secret that the service principal ever
// had, in clear or encoded.
func secretIn(l *emulator.Lakebase, text string) string {
	for _, secret := range l.EverySecret() {
		if strings.Contains(text, secret) {
			return "the secret"
		}
		for _, form := range encoded(l.ClientID, secret) {
			if strings.Contains(text, form) {
				return "the secret, encoded"
			}
		}
	}
	return ""
}
