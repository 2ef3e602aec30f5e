package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/lakebase"
	"github.com/lakebase-exec/lakebase-exec/internal/pgenv"
	"github.com/lakebase-exec/lakebase-exec/internal/process"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
	"github.com/lakebase-exec/lakebase-exec/internal/tokencache"
)

// userLogin signs a user in with a browser, gets the tokens that can be had, stores
// the login, and writes the profile, in this order.
func userLogin(ctx context.Context, c *invocation) error {
	if err := c.checkProfile(); err != nil { // before the user signs in in vain
		return err
	}
	if err := c.conf.CanAskUser(); err != nil && !namesUser(c.conf.User) {
		return err
	}
	stores, err := c.secretStores(ctx, keychain.IndexAccount)
	if err != nil {
		return c.userStoreError(err)
	}
	api, err := c.Workspace(c.conf)
	if err != nil {
		return err
	}
	observer := c.Observer(c.conf, c.log, c.progress)
	login := auth.NewLogin(c.conf, api, observer)
	server, err := login.Listen(auth.FirstPort, auth.LastPort)
	if err != nil {
		const fix = "end one of the programs that listen there: the workspace sends the browser back to these ports only"
		return &cli.HintedError{Err: err, Fix: fix}
	}
	defer server.Close()
	address, err := login.AuthorizeURL(ctx, server.RedirectURI())
	if err != nil {
		return err
	}
	code, err := c.waitForBrowser(ctx, server, address, browserTimeout)
	if err != nil {
		return err
	}
	grant, err := login.Exchange(ctx, code, server.RedirectURI())
	if err != nil {
		return err
	}
	if err := c.requireUser(grant.User); err != nil {
		return err
	}
	cache, id := stores.Cache(c.log, nil), grant.Identity(c.conf)
	minted := map[credential.Key]tokencache.Entry{id.WorkspaceKey(c.conf): {Token: grant.Token}}
	if !c.given.has("no-verify") && c.conf.Target().Value != "" {
		_, e, err := lakebase.NewSource(c.conf, grant.Chain(c.conf), api, cache, observer).Mint(ctx)
		if err != nil {
			return err
		}
		minted[id.Key(c.conf)] = e
	}
	// No other process may refresh the login that is replaced.
	host := c.conf.Workspace.Value.HostPort()
	account := config.RefreshAccount(host, grant.User)
	defer cache.Lock(ctx, auth.RefreshLock(account))()
	done := fmt.Sprintf("signed in as %s at %s; stored the login in ", sanitize.Line(grant.User), host)
	return c.userStoreError(c.save(ctx, stores, account, grant.User, grant.Refresh, minted, done))
}

// requireUser makes the user who has signed in the user of the configuration. It
// rejects another one than an option or the profile names: a browser may be signed in
// as several.
func (c *invocation) requireUser(name string) error {
	if user := c.conf.User; namesUser(user) && !strings.EqualFold(user.Value, name) {
		return &config.Error{Name: user.Source.String(), Problem: "is " + user.Value + ", but " + name + " signed in; nothing was stored",
			Fix: "sign in as " + user.Value + " in the browser, or use --user " + sanitize.ShellWord(name)}
	}
	c.conf.User = config.Value[string]{Value: name, Source: config.Source{Origin: config.FromOption, Name: "--user-login"}}
	return nil
}

// namesUser reports whether a configured user is the one who signs in. PGUSER in the
// environment may be a database role.
func namesUser(user config.Value[string]) bool {
	return user.Source.Origin == config.FromOption || user.Source.Origin == config.FromProfile
}

// userStoreError returns the error for a login that could not be stored.
func (c *invocation) userStoreError(err error) error {
	var kc *keychain.Error
	switch {
	case errors.Is(err, keychain.ErrTooBig):
		return &auth.SourceError{Problem: "the workspace's refresh token is too long for the keychain",
			Fix: "store it in a file with --store file"}
	case errors.As(err, &kc):
		return &auth.NoLoginError{Host: c.conf.Workspace.Value.HostPort(), Err: err}
	}
	return err
}

const (
	browserTimeout = 5 * time.Minute
	launchTime     = 5 * time.Second // a browser that runs this long has opened the address, however it ends
)

// waitForBrowser sends the user to address and returns the code of the redirect.
func (c *invocation) waitForBrowser(ctx context.Context, server *auth.CallbackServer, address string, timeout time.Duration) (
	credential.Secret, error) {
	late := &auth.SourceError{Problem: fmt.Sprintf("no login within %s", timeout),
		Fix: "run it again, with --no-browser if the browser cannot reach this machine"}
	ctx, stop := context.WithTimeoutCause(ctx, timeout, late)
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	noBrowser, visible := c.given.has("no-browser"), cli.Terminal(c.Stderr)
	paste := noBrowser || cli.Terminal(c.Stdin) // otherwise it may be a script's
	if noBrowser || visible {
		c.showAddress(address, paste)
	}
	if paste {
		go c.readPasted(server)
	}
	if !noBrowser {
		go func() {
			if err := c.openBrowser(address); err != nil && !visible {
				cancel(&auth.SourceError{Problem: "cannot start a browser (" + err.Error() + "), and no terminal to show the address",
					Fix: "run it on a terminal; or with --no-browser, which writes the address to standard error " +
						"and reads from standard input the one at which the browser ends"})
			}
		}()
	}
	return server.Wait(ctx)
}

// showAddress writes the address on a line of its own, even with --quiet.
func (c *invocation) showAddress(address string, canPaste bool) {
	const text = "to sign in, open this address in a browser:"
	if c.log.JSON() {
		cli.NewLogger(program, c.Stderr, config.LogNormal, true).Progress(text + " " + address)
		return
	}
	fmt.Fprintf(c.Stderr, "%s: %s\n\n  %s\n\n", program, text, sanitize.Escape(address))
	if canPaste {
		fmt.Fprintln(c.Stderr, "If the browser then cannot reach this machine, paste the address that it shows here, and press Enter.")
	}
}

// readPasted reads lines until one is the redirect. The read ends with the process.
func (c *invocation) readPasted(server *auth.CallbackServer) {
	warn := func(err error) { c.log.Warn("%s; still waiting for the login", err) }
	lines := bufio.NewScanner(c.Stdin)
	for lines.Scan() {
		if lines.Text() == "" {
			continue
		}
		err := server.Paste(lines.Text())
		if err == nil {
			return
		}
		warn(err)
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		warn(err)
	}
}

// openBrowser opens address in the first browser that works.
func (c *invocation) openBrowser(address string) error {
	err := errors.New("none found")
	for _, argv := range browsers(runtime.GOOS, c.Env, address) {
		if err = c.launch(argv); err == nil {
			return nil
		}
	}
	return err
}

// browsers returns the commands that open address: those of $BROWSER, as xdg-open reads it
// (xdg-utils, open_envvar), else the system's. %s in one is the address, which is otherwise
// the last argument. No shell runs them: an address has characters that one interprets.
func browsers(goos string, env func(string) string, address string) (commands [][]string) {
	for _, command := range filepath.SplitList(env("BROWSER")) {
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
		commands = append(commands, argv)
	}
	switch {
	case len(commands) > 0:
	case goos == "darwin":
		commands = [][]string{{"/usr/bin/open", address}}
	case goos == "windows": // not cmd's start, for which & ends a command
		system := filepath.Join(cmp.Or(env("SYSTEMROOT"), `C:\Windows`), "System32")
		commands = [][]string{{filepath.Join(system, "rundll32.exe"), "url.dll,FileProtocolHandler", address}}
	case env("DISPLAY")+env("WAYLAND_DISPLAY")+env("WSL_DISTRO_NAME") != "": // else xdg-open would start one for terminals
		commands = [][]string{{"xdg-open", address}}
	}
	return commands
}

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
	if err := cmd.Run(); err != nil && time.Since(begin) < launchTime {
		return fmt.Errorf("%s: %w", argv[0], err)
	}
	return nil
}
