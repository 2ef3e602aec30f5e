package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/doctor"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
	"github.com/lakebase-exec/lakebase-exec/internal/rotate"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

func doctorCommand(c *invocation) *urfave.Command {
	return &urfave.Command{
		Name: "doctor", Category: categorySupport, Usage: "check each step of the connection and suggest fixes",
		UsageText: program + " doctor [options]",
		Description: `Checks every step from the configuration to a login, which wakes the compute. It uses
no cache, stores nothing and prints no secret. The exit code is that of the first
failed step.

Examples:
  lakebase-credential-helper doctor -p prod
  lakebase-credential-helper doctor -p prod --json`,
		Flags: flags([]config.Setting{{Option: "json", Usage: "print one JSON document"}},
			[]config.Category{config.CategoryCommand, config.CategoryService}, "wait", "min-ttl", "cache"),
		Action: c.commandAction(runDoctor),
	}
}

func runDoctor(ctx context.Context, c *invocation) error {
	d := &diagnosis{invocation: c}
	report := doctor.Doctor{
		Options: c.given, Environ: c.Environ, Local: d, Database: &pglogin.Connector{}, Observer: d,
		ToolPath: c.ToolPath(), Now: time.Now,
	}.Run(ctx)
	width, symbols := c.Display()
	if err := printReport(c.ReportOutput(), report, c.given.has("json"), layout{width, symbols}); err != nil {
		return err
	}
	// The report has shown the error and its fix; what is left is the exit code.
	c.log = cli.NewLogger(program, io.Discard, config.LogNormal, false)
	return report.Err()
}

// diagnosis implements what doctor's checks need.
type diagnosis struct {
	*invocation
	auth.Observer // nil, as progress, before the configuration is resolved
}

func (d *diagnosis) RuntimeDir(conf config.Config) (string, error) {
	dir, err := d.invocation.RuntimeDir(conf)
	if err != nil {
		return "", err
	}
	defer dir.Close()
	return dir.Path(), nil
}

func (d *diagnosis) TokenStore(conf config.Config) (string, []string, error) {
	stores, err := d.TokenStores(conf, d.Keychain(conf))
	return stores.InUse, stores.Notes, err
}

func (d *diagnosis) KeychainState(ctx context.Context, conf config.Config) error {
	_, err := d.Keychain(conf).NonInteractive().Get(ctx, keychain.IndexAccount)
	return err
}

func (d *diagnosis) Stored(ctx context.Context, conf config.Config, id auth.Identity) (store, path string, expires time.Time) {
	host, clientID, ofUser := conf.Workspace.Value.HostPort(), conf.ClientID.Value, id.Type == auth.AuthBrowser
	account := conf.SecretAccount()
	if ofUser {
		account = config.RefreshAccount(host, id.Principal)
	}
	store = storeKeychain
	files := d.SecretFiles()
	if _, err := files.Get(ctx, account); err == nil {
		store, path = storeFile, files.Path(account)
	}
	if stores, err := d.TokenStores(conf, d.Keychain(conf)); err == nil && !ofUser && !conf.Native() {
		expires, _ = rotate.StoredLifetime(ctx, d.itemsOf(ctx, account, stores.Index), host, clientID)
	}
	return store, path, expires
}

func (d *diagnosis) Workspace(conf config.Config) (doctor.WorkspaceAPI, error) {
	return d.invocation.Workspace(conf)
}

func (d *diagnosis) Auth(conf config.Config) (doctor.Auth, error) {
	c, err := d.Client(conf, d.Keychain(conf).NonInteractive(), d.log, d.progress)
	if err != nil {
		return nil, err
	}
	return c.Chain, nil
}

// Checking shows the progress of checks that may take long.
func (d *diagnosis) Checking(id doctor.CheckID, conf config.Config) {
	if id == doctor.Configuration {
		return
	}
	if d.progress == nil {
		d.log = d.Logger(conf)
		d.progress = d.StartProgress(d.log)
		d.Observer = d.invocation.Observer(conf, d.log, d.progress)
	}
	d.progress.SetStatus("checking: " + string(id))
	d.log.Note("checking: %s", id)
}

func (d *diagnosis) Explain(err error, conf config.Config) (text, fix string) {
	return cli.Describe(err, conf)
}

// printReport prints all results, without the secrets of the configuration, which a
// server may have repeated: the output is meant to be shown to others.
func printReport(w io.Writer, report doctor.Report, asJSON bool, l layout) error {
	secrets := []credential.Secret{report.Config.Secret.Text}
	if g := report.Config.GitHub; g != nil {
		secrets = append(secrets, g.Token)
	}
	hide := func(text string) string { return credential.Redact(text, secrets...) }
	for i := range report.Results {
		r := &report.Results[i]
		r.Text, r.Fix = hide(r.Text), hide(r.Fix)
		for name, value := range r.Facts {
			r.Facts[name] = hide(value)
		}
	}
	if !asJSON {
		_, err := io.WriteString(w, l.format(report))
		return err
	}
	return printJSON(w, struct {
		Version  int             `json:"version"`
		Program  string          `json:"program"`
		ExitCode int             `json:"exit_code"`
		Summary  doctor.Summary  `json:"summary"`
		Steps    []doctor.Result `json:"steps"`
	}{1, program + " " + cli.Version(), cli.ExitCode(report.Err()), report.Summary(), report.Results})
}

// layout is how a report is shown.
type layout struct {
	width   int  // of the terminal; 0: none, so that each text is one line
	symbols bool // colored, in place of words
}

// marks are the symbols of the statuses, with their colors (ECMA-48, SGR).
var marks = map[doctor.Status]string{
	doctor.OK: "\x1b[32m✓\x1b[0m", doctor.Warning: "\x1b[33m!\x1b[0m", doctor.Failed: "\x1b[31m✗\x1b[0m", doctor.NotTried: "\x1b[2m-\x1b[0m",
	"": " ", // a line below
}

// format returns a line for each result and one for its fix, and on a terminal a
// heading for each group. The last line is the summary.
func (l layout) format(report doctor.Report) string {
	var b strings.Builder
	names, group := len("summary"), ""
	for _, r := range report.Results {
		names = max(names, len(r.ID))
	}
	for _, r := range report.Results {
		if r.Group != group && l.symbols {
			fmt.Fprintf(&b, "\x1b[1m%s\x1b[0m\n", r.Group)
		} else if r.Group != group && l.width > 0 {
			fmt.Fprintln(&b, r.Group)
		}
		group = r.Group
		text := r.Text
		if r.Needs != "" {
			text = "needs: " + string(r.Needs)
		}
		l.line(&b, r.Status, names, string(r.ID), text)
		if r.Fix != "" {
			l.line(&b, "", names, "fix", r.Fix)
		}
	}
	s := report.Summary()
	var counts []string
	for _, status := range []doctor.Status{doctor.OK, doctor.Warning, doctor.Failed, doctor.NotTried} {
		if n := s.Counts[status]; n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", n, status))
		}
	}
	text := strings.Join(counts, ", ")
	if s.First != "" {
		text += "; first, " + string(s.First) + ": " + s.Fix
	}
	l.line(&b, "", names, "summary", text)
	return b.String()
}

// line writes one text, on a terminal as several lines of its width.
func (l layout) line(b *strings.Builder, status doctor.Status, names int, name, text string) {
	mark, width := fmt.Sprintf("%-9s", status), 9
	if l.symbols {
		mark, width = marks[status], 1
	}
	lines, indent := []string{sanitize.Escape(text)}, width+2+names+2
	if l.width > 0 { // the last column would wrap on some terminals
		lines = wrap(lines[0], max(l.width-1-indent, 16))
	}
	fmt.Fprintf(b, "%s  %-*s  %s\n", mark, names, name, strings.Join(lines, "\n"+strings.Repeat(" ", indent)))
}

// wrap breaks text at spaces into lines of at most width characters, and cuts longer words.
func wrap(text string, width int) (lines []string) {
	rest := []rune(text)
	for len(rest) > width {
		end := width
		for rest[end] != ' ' && end > 0 {
			end--
		}
		end = cmp.Or(end, width)
		lines = append(lines, string(rest[:end]))
		rest = []rune(strings.TrimPrefix(string(rest[end:]), " "))
	}
	return append(lines, string(rest))
}
