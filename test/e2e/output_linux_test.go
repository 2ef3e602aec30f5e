package e2e

import (
	"strings"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
	"github.com/lakebase-exec/lakebase-exec/test/testkeyring"
)

// A command that cannot write its result to standard output reports that and fails.
func TestStdout_NotWritable(t *testing.T) {
	t.Parallel()
	l := startLakebase(t, emulator.Options{})
	p := newKeyringFixture(t, l, testkeyring.Unlocked)
	p.login()
	for _, command := range []string{
		"lakebase-credential-helper get", "lakebase-credential-helper get --format env", "lakebase-credential-helper list --json",
		"lakebase-credential-helper endpoints", "lakebase-credential-helper endpoints --json", "lakebase-credential-helper doctor", "lakebase-credential-helper doctor --json",
		"lakebase-credential-helper completion bash", "lakebase-exec --print-env -- true",
		"lakebase-credential-helper --version", "lakebase-exec --help",
	} {
		p.do("sh", "-c", command+" >/dev/full").wantExit(125).wantStderr("error: standard output: no space left on device", "redirect standard output to a writable file or pipe")
		p.do("sh", "-c", command+" 1</dev/null").wantExit(125).wantStderr("error: standard output: bad file descriptor")
		p.do("sh", "-c", command+" >/dev/null").wantExit(0)
		if !strings.Contains(command, " get") && !strings.Contains(command, "completion") && !strings.Contains(command, "--print-env") { // a report
			continue
		}
		l.ResetCounters()
		p.do("sh", "-c", command+" >&-").wantExit(125).wantStderr("error: standard output: is closed", "redirect standard output to a file or a pipe, or with >/dev/null to discard it")
		if strings.Contains(command, " get") {
			requests(t, l, command, 0)
		}
	}
	// No output is lost in these cases: there is none, or the descriptors are those of
	// a daemon.
	p.do("sh", "-c", "lakebase-exec -- true >&-").wantExit(0)
	p.do("sh", "-c", "lakebase-credential-helper get <>/dev/null >&0 2>&0").wantExit(0)
}
