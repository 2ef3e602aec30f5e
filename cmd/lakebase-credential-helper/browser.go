package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/pgenv"
	"github.com/lakebase-exec/lakebase-exec/internal/process"
)

// browsers returns functions that open address in a browser, in order of preference:
// those of $BROWSER, as xdg-open reads it (xdg-utils, open_envvar), else the system's.
func (c *invocation) browsers(address string) []func() error {
	separator := ":"
	if runtime.GOOS == "windows" { // where C:\ has one
		separator = ";"
	}
	commands := parseBrowser(c.Env("BROWSER"), address, separator)
	if len(commands) == 0 {
		commands = systemBrowser(runtime.GOOS, c.Env, address)
	}
	var out []func() error
	for _, argv := range commands {
		out = append(out, func() error { return c.launch(argv) })
	}
	return out
}

// parseBrowser parses a list of commands. %s in one is the address, which is otherwise
// the last argument. No shell runs them: an address has characters that one interprets.
func parseBrowser(browser, address, separator string) [][]string {
	var out [][]string
	for _, command := range strings.Split(browser, separator) {
		argv := strings.Fields(command)
		if len(argv) == 0 {
			continue
		}
		if !strings.Contains(command, "%s") {
			argv = append(argv, "%s")
		}
		for i := range argv {
			argv[i] = strings.ReplaceAll(argv[i], "%s", address)
		}
		out = append(out, argv)
	}
	return out
}

// systemBrowser returns the system's command for an address.
func systemBrowser(goos string, env func(string) string, address string) [][]string {
	switch goos {
	case "darwin":
		return [][]string{{"/usr/bin/open", address}}
	case "windows": // not cmd's start, for which & ends a command
		root := env("SYSTEMROOT")
		if root == "" {
			root = `C:\Windows`
		}
		return [][]string{{filepath.Join(root, "System32", "rundll32.exe"), "url.dll,FileProtocolHandler", address}}
	}
	// Without a desktop xdg-open would start a browser for terminals.
	for _, name := range []string{"DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"} {
		if env(name) != "" {
			return [][]string{{"xdg-open", address}}
		}
	}
	return nil
}

// launchTime is how long a browser runs that has opened the address, however it ends.
const launchTime = 5 * time.Second

// launch runs a browser, or a program that passes the address to one, until it ends.
// It gets no secret, no standard streams, and no signal of our terminal.
func (c *invocation) launch(argv []string) error {
	found, err := process.Find(argv, c.ToolPath())
	if err != nil {
		return err
	}
	cmd := exec.Command(found.Path)
	cmd.Args, cmd.Env = found.Argv, pgenv.WithoutSecrets(c.Environ)
	detach(cmd)
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil && time.Since(begin) < launchTime {
		return fmt.Errorf("%s: %w", argv[0], err)
	}
	return nil
}
