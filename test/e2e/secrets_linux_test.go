package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
	"github.com/lakebase-exec/lakebase-exec/test/testkeyring"
)

// The secret is in the keychain and nowhere else that others of the same user
// can look: no argv, no environment, no file, and the keyring's file is sealed.
func TestSecret_NotInProcessOrFiles(t *testing.T) {
	t.Parallel()
	l := startLakebase(t, emulator.Options{})
	p := newKeyringFixture(t, l, testkeyring.Unlocked)
	p.set(longTimeouts...)
	login := p.command("lakebase-credential-helper", "login", "--profile", "prod", "--secret-stdin")
	login.Stdin = strings.NewReader(l.ClientSecret + "\n")
	p.finish(login).wantExit(0)

	suspend(t, l, emulator.Held, emulator.Never)
	cmd := p.command("lakebase-exec", "--quiet", "--", "sh", "-c", "echo up; read line")
	feed, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	r := p.start(cmd)
	eventually(t, "the wrapper waits", func() bool { return l.State() == emulator.Waking })
	wrapper := process(t, cmd.Process.Pid)
	if !strings.HasPrefix(wrapper["cmdline"], "lakebase-exec\x00--quiet") {
		t.Fatalf("this is not the wrapper: %q", wrapper["cmdline"])
	}
	wantNoLeak(t, l, "while the wrapper waits", wrapper)

	wakeAtOnce(t, l)
	eventually(t, "the command runs", func() bool { return strings.HasPrefix(process(t, cmd.Process.Pid)["cmdline"], "sh\x00-c") })
	child := process(t, cmd.Process.Pid)
	if !strings.Contains(child["environ"], "PGUSER="+l.ClientID+"\x00") || !token.MatchString(child["environ"]) {
		t.Error("the command's environment was not read: it has neither user nor token")
	}
	wantNoLeak(t, l, "while the command runs", child)
	wantNoLeakInFiles(t, l, p.home, p.run)
	_ = feed.Close()
	r.wait()
	wantNoLeakInFiles(t, l, p.home, p.run)

	keyring, err := os.ReadFile(filepath.Join(p.home, ".local", "share", "keyrings", "login.keyring"))
	if err != nil || len(keyring) < 200 {
		t.Errorf("the keyring was not among the files: %d bytes (%v)", len(keyring), err)
	}
	if o := p.do("lakebase-credential-helper", "list").wantExit(0); !strings.Contains(o.stdout, l.ClientID) {
		t.Errorf("the secret is not in the keychain:\n%s", o.stdout)
	}
}

// A secret from the environment is in the wrapper's own, where its caller has
// put it, and not in the command's.
func TestSecret_NotInherited(t *testing.T) {
	t.Parallel()
	l := startLakebase(t, emulator.Options{})
	p := newFixture(t, l)
	p.set(longTimeouts...)
	suspend(t, l, emulator.Held, emulator.Never)
	cmd := p.command("lakebase-exec", "--", "sh", "-c", "read line")
	feed, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	r := p.start(cmd)
	eventually(t, "the wrapper waits", func() bool { return l.State() == emulator.Waking })
	wrapper := process(t, cmd.Process.Pid)
	if !strings.Contains(wrapper["environ"], l.ClientSecret) {
		t.Error("the search finds nothing where the secret is")
	}
	if strings.Contains(wrapper["cmdline"], l.ClientSecret) {
		t.Error("the secret is in the wrapper's argv")
	}
	wakeAtOnce(t, l)
	eventually(t, "the command runs", func() bool { return strings.HasPrefix(process(t, cmd.Process.Pid)["cmdline"], "sh\x00-c") })
	wantNoLeak(t, l, "while the command runs", process(t, cmd.Process.Pid))
	wantNoLeakInFiles(t, l, p.home, p.run)
	_ = feed.Close()
	r.wait()
	if err := os.WriteFile(filepath.Join(p.run, "planted"), []byte("x"+encoded(l.ClientID, l.ClientSecret)[0]), 0o600); err != nil {
		t.Fatal(err)
	}
	if found := filesWithSecret(t, l, p.run); len(found) != 1 {
		t.Errorf("the search does not find a planted secret: %v", found)
	}
}

// process reads what others of the same user can see of a process. In the midst
// of an execve there is nothing to be read.
func process(t *testing.T, pid int) map[string]string {
	t.Helper()
	seen := map[string]string{}
	for _, name := range []string{"cmdline", "environ"} {
		eventually(t, name+" can be read", func() bool {
			data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), name))
			seen[name] = string(data)
			return err == nil && len(data) > 0
		})
	}
	return seen
}

func wantNoLeak(t *testing.T, l *emulator.Lakebase, when string, seen map[string]string) {
	t.Helper()
	for name, text := range seen {
		if containsSecret(l, text) {
			t.Errorf("%s the secret is in its %s", when, name)
		}
	}
}

// containsSecret reports whether the secret is in text, in clear or encoded.
func containsSecret(l *emulator.Lakebase, text string) bool { return secretIn(l, text) != "" }

// wantNoLeakInFiles fails the test if a file below the directories contains the secret,
// or if there is no file.
func wantNoLeakInFiles(t *testing.T, l *emulator.Lakebase, dirs ...string) {
	t.Helper()
	for _, dir := range dirs {
		if found := filesWithSecret(t, l, dir); len(found) != 0 {
			t.Errorf("the secret is in %v", found)
		}
	}
}

// filesWithSecret lists the files below dir that hold the secret.
func filesWithSecret(t *testing.T, l *emulator.Lakebase, dir string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if err == nil && containsSecret(l, path+"\n"+string(data)) {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
