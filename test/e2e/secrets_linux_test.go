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
	p.login()
	if wrapper := p.watchSecret(t); secretIn(l, wrapper["environ"]) != "" {
		t.Error("the secret is in the wrapper's environment")
	}
	keyring, err := os.ReadFile(filepath.Join(p.home, ".local", "share", "keyrings", "login.keyring"))
	if err != nil || len(keyring) < 200 {
		t.Errorf("the keyring was not among the files: %d bytes (%v)", len(keyring), err)
	}
	write(t, filepath.Join(p.run, "planted"), "x"+encoded(l.ClientID, l.ClientSecret)[0])
	if found := filesWithSecret(t, l, p.run); len(found) != 1 {
		t.Errorf("the search does not find a planted secret: %v", found)
	}
}

// A secret from the environment is in the wrapper's own, where its caller has
// put it, and not in the command's.
func TestSecret_NotInherited(t *testing.T) {
	t.Parallel()
	l := startLakebase(t, emulator.Options{})
	if wrapper := newFixture(t, l).watchSecret(t); !strings.Contains(wrapper["environ"], l.ClientSecret) {
		t.Error("the search finds nothing where the secret is")
	}
}

// watchSecret runs a command whose compute sleeps at first, and searches the wrapper's
// arguments, all that can be seen of the command, and files. It returns what can be seen
// of the wrapper.
func (p *fixture) watchSecret(t *testing.T) (wrapper map[string]string) {
	t.Helper()
	l := p.lakebase
	p.set(longTimeouts...)
	suspend(t, l, emulator.Held, emulator.Never)
	cmd := p.command("lakebase-exec", "--quiet", "--", "sh", "-c", "read line")
	feed, err := cmd.StdinPipe()
	must(t, err)
	r := p.start(cmd)
	eventually(t, "the wrapper waits", func() bool { return l.State() == emulator.Waking })
	wrapper = process(t, cmd.Process.Pid)
	if !strings.HasPrefix(wrapper["cmdline"], "lakebase-exec\x00--quiet") || secretIn(l, wrapper["cmdline"]) != "" {
		t.Fatalf("got arguments %q", wrapper["cmdline"])
	}
	wakeAtOnce(t, l)
	eventually(t, "the command runs", func() bool { return strings.HasPrefix(process(t, cmd.Process.Pid)["cmdline"], "sh\x00-c") })
	child := process(t, cmd.Process.Pid)
	if !strings.Contains(child["environ"], "PGUSER="+l.ClientID+"\x00") || !token.MatchString(child["environ"]) {
		t.Error("the command's environment was not read: it has neither user nor token")
	}
	for name, text := range child {
		if secretIn(l, text) != "" {
			t.Errorf("the secret is in the command's %s", name)
		}
	}
	for range 2 { // while the command runs, and after
		if found := append(filesWithSecret(t, l, p.home), filesWithSecret(t, l, p.run)...); len(found) != 0 {
			t.Errorf("the secret is in %v", found)
		}
		if feed.Close() == nil {
			r.wait()
		}
	}
	return wrapper
}

// process reads what others of the same user can see of a process. During an execve
// there is nothing to be read.
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

// filesWithSecret lists the files below dir that hold the secret.
func filesWithSecret(t *testing.T, l *emulator.Lakebase, dir string) []string {
	t.Helper()
	return filesWhere(t, dir, func(path, text string) bool { return secretIn(l, path+"\n"+text) != "" })
}

// filesWhere lists the regular files below dir for which match returns true.
func filesWhere(t *testing.T, dir string, match func(path, text string) bool) (found []string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil && path == dir {
			return err
		}
		if err != nil || !d.Type().IsRegular() { // gone meanwhile, or not ours
			return nil
		}
		if data, err := os.ReadFile(path); err == nil && match(path, string(data)) {
			found = append(found, path)
		}
		return nil
	}))
	return found
}
