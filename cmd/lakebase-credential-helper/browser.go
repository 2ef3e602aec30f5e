package main

import (
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/pgenv"
	"github.com/lakebase-exec/lakebase-exec/internal/process"
)

// browsers are the ways to show a person an address, the best one first: those of
// $BROWSER, as xdg-open reads it (xdg-utils, open_envvar), else the system's.
func (c *call) browsers(address string) []func() error {
	separator := ":"
	if runtime.GOOS == "windows" { // where C:\ has one
		separator = ";"
	}
	commands := listed(c.Env("BROWSER"), address, separator)
	if len(commands) == 0 {
		commands = systemBrowser(c.Env, address)
	}
	var out []func() error
	for _, argv := range commands {
		out = append(out, func() error { return c.launch(argv) })
	}
	return out
}

// listed reads a list of commands. %s in one stands for the address, which is
// otherwise its last word. No shell sees them: an address is full of what a shell
// would take for its own.
func listed(browser, address, separator string) [][]string {
	var out [][]string
	for _, command := range strings.Split(browser, separator) {
		argv, put := strings.Fields(command), false
		for i, word := range argv {
			if strings.Contains(word, "%s") {
				argv[i], put = strings.ReplaceAll(word, "%s", address), true
			}
		}
		if len(argv) == 0 {
			continue
		}
		if !put {
			argv = append(argv, address)
		}
		out = append(out, argv)
	}
	return out
}

// taken is how long a browser runs that has taken the address, whatever becomes
// of it later.
const taken = 5 * time.Second

// launch starts a browser and waits for its end, which may be that of the browser
// or of what has only handed the address on. It gets no secret, nothing of our
// standard streams, and no signal of our terminal.
func (c *call) launch(argv []string) error {
	found, err := process.Find(argv, c.ToolSearch())
	if err != nil {
		return err
	}
	cmd := exec.Command(found.Path)
	cmd.Args, cmd.Env = found.Argv, pgenv.WithoutSecrets(c.Environ)
	detach(cmd)
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil && time.Since(begun) < taken {
		return fmt.Errorf("%s: %w", argv[0], err)
	}
	return nil
}
