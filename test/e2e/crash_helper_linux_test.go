package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
	"github.com/lakebase-exec/lakebase-exec/test/testkeyring"
)

// crashLatency spreads the steps of a short run.
const crashLatency = 15 * time.Millisecond

func (c *crash) useKeyring() {
	c.t.Helper()
	l := startLakebase(c.t, emulator.Options{NoPostgres: true, Settings: emulator.Settings{Latency: crashLatency}})
	c.fixture = newKeyringFixture(c.t, l, testkeyring.Unlocked)
	c.set("LAKEBASE_KEYCHAIN_TIMEOUT=30s") // who meets a deadline fails, and was not killed
	c.login()
}

// measure runs each command and returns the longest and the shortest time.
func (c *crash) measure(cmds ...*exec.Cmd) (most, least time.Duration) {
	c.t.Helper()
	for _, cmd := range cmds {
		took := c.finish(cmd).wantExit(0).took
		if most = max(most, took); least == 0 || took < least {
			least = took
		}
	}
	return most, least
}

// crashLogin: of two secrets that are stored by turns, in the keychain and in a
// file, one is always there and works, and the profile is whole.
func crashLogin(c *crash, kills int) {
	c.useKeyring()
	other, err := c.lakebase.AddSecret()
	must(c.t, err)
	secrets, stores := []string{c.lakebase.ClientSecret, other.Value}, []string{"keychain", "file"}
	login := func(i int) *exec.Cmd {
		cmd := c.command("lakebase-credential-helper", "login", "--profile", "prod", "--secret-stdin", "--store", stores[i/2%2])
		cmd.Stdin = strings.NewReader(secrets[i%2] + "\n")
		return cmd
	}
	usual, span := c.measure(login(0), login(2))
	config := filepath.Join(c.home, ".config", "lakebase")
	n := 0
	c.batches(kills, func(i int) {
		c.kill(login(i), span, nil)
		c.signsIn(fmt.Sprintf("after kill %d of a login", i+1), "")
	}, func() {
		c.makeOld(config, filepath.Join(c.run, "lakebase"))
		c.signsIn("after the kills", "prod")
		for range 2 { // one in the keychain, one in a file
			c.wantQuick(usual, login(n))
			n += 2
		}
		c.signsIn("after the next login", "")
		c.wantTidy(config, filepath.Join(c.run, "lakebase"))
	})
}

// crashGet: cached tokens stay whole, whatever was being stored, and nothing is
// stored that logout does not find.
func crashGet(c *crash, kills int) {
	c.useKeyring()
	file := filepath.Join(c.t.TempDir(), "token")
	get := func(i int, store string) *exec.Cmd { // each lifetime has its own cache key
		return c.command("sh", "-c", `exec lakebase-credential-helper get --format password --ttl "$1" --cache "$2" >"$0"`, file, fmt.Sprintf("%ds", 600+i%40), store)
	}
	stores := []string{"keychain", "file"}
	usual, span := c.measure(get(0, "keychain"), get(0, "file"))
	dir := filepath.Join(c.run, "lakebase")
	c.batches(kills, func(i int) {
		c.kill(get(i+1, stores[i%2]), span, nil)
	}, func() {
		c.makeOld(dir)
		for i, store := range stores {
			var got [2]string
			for n := range got { // of those that were killed
				c.wantQuick(usual, get(c.kills-i, store))
				text, err := os.ReadFile(file)
				must(c.t, err)
				got[n] = string(text)
			}
			if !token.MatchString(got[0]) || got[1] != got[0] {
				c.t.Errorf("%s: the token was not kept", store)
			}
		}
		c.signsIn("after the next get", "")
		c.wantTidy(dir)
	})
	if got := c.stored(); !slices.ContainsFunc(got, func(a string) bool { return strings.HasPrefix(a, "token:") }) || !slices.ContainsFunc(got, func(a string) bool { return strings.HasPrefix(a, "secret:") }) {
		c.t.Errorf("the keychain holds %q", got)
	}
	c.do("lakebase-credential-helper", "logout").wantExit(0)
	if got := c.stored(); len(got) != 0 {
		index := c.do("secret-tool", "lookup", "service", "lakebase", "username", "index")
		c.t.Errorf("after logout the keychain holds %q; the index lists %q", got, index.stdout)
	}
}

// stored are the accounts of all items in the keychain, listed by us or not.
func (c *crash) stored() (accounts []string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), runLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "secret-tool", "search", "--all", "--unlock", "service", "lakebase")
	for name, value := range c.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if a, ok := strings.CutPrefix(line, "attribute.username = "); ok {
			accounts = append(accounts, strings.TrimSpace(a))
		}
	}
	if err != nil && len(accounts) > 0 {
		c.t.Error(err)
	}
	return accounts
}

// crashRotate: the keychain holds a secret that works after every kill, and what
// the workspace has too many of is named by the next run.
func crashRotate(c *crash, kills int) {
	r := newRotating(c.t, testkeyring.Options{Mode: testkeyring.Unlocked})
	c.fixture = r.fixture
	c.set("LAKEBASE_KEYCHAIN_TIMEOUT=30s")
	slow := func() { c.lakebase.Set(func(s *emulator.Settings) { s.Latency = crashLatency }) }
	slow()
	usual, span := c.measure(c.command("lakebase-credential-helper", "rotate"), c.command("lakebase-credential-helper", "rotate"))
	dir := filepath.Join(c.run, "lakebase")
	left := 0
	look := func() {
		c.makeOld(dir)
		if o := r.wantRepaired(fmt.Sprintf("after %d kills", left), nil, left); o.took > usual+busyMachineAllowance {
			c.t.Errorf("the next rotate took %s, and usually takes %s", o.took, usual)
		}
		left = 0
		c.wantTidy(dir)
	}
	c.batches(kills, func(i int) {
		c.kill(c.command("lakebase-credential-helper", "rotate"), span, nil)
		c.signsIn(fmt.Sprintf("after kill %d of a rotate", i+1), "")
		if left++; left == 2 { // there may be five secrets, and each kill may leave one
			look()
			slow()
		}
	}, look)
}
