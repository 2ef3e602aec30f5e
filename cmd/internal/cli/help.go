package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// Option is one line of a help page.
type Option struct {
	Name, Short, Value, Text string

	Words []string // all values that there are; nil: other values do as well
	From  string   // its variables and default
	Many  bool     // it may be repeated
}

// Page is the help of a program or of one of its commands.
type Page struct {
	Name, Brief, Usage, Text string
	Words                    []string // one of these stands behind the options
	Commands                 []Option // a program's commands
	Omit                     []string // settings that mean nothing here
	More                     []Option // options that are no settings
	Examples                 []string
	ExitCodes                bool
}

// optionWords says what each setting is for, with the name of its value. It is a
// function: no run but --help needs the table.
func optionWords() map[string]Option {
	return map[string]Option{
		"profile":            {Value: "NAME", Text: "take the target from this profile"},
		"host":               {Value: "HOST", Text: "the workspace"},
		"client-id":          {Value: "ID", Text: "the service principal's application id"},
		"client-secret-file": {Value: "PATH", Text: "read the secret from this file instead of the keychain"},
		"auth":               {Value: "WAY", Text: "who signs in, and with what", Words: credential.AuthWords()},
		"audience":           {Value: "NAME", Text: "whom GitHub's token is made for"},
		"databricks-profile": {Value: "NAME", Text: "take host and identity from this section of ~/.databrickscfg"},
		"endpoint":           {Value: "NAME", Text: "projects/P/branches/B/endpoints/E, or less where that leaves one"},
		"instance":           {Value: "NAME", Text: "an instance of Lakebase Provisioned, in place of --endpoint"},
		"credential":         {Value: "KIND", Text: "the password: database, or workspace (the workspace token itself)", Words: []string{config.CredentialDatabase, config.CredentialWorkspace}},
		"read-only":          {Text: "connect to the target's read-only host"},
		"pghost":             {Value: "HOST", Text: "the database host; as an option it is used unasked"},
		"pgport":             {Value: "PORT", Text: "the database port"},
		"pghostaddr":         {Value: "IP", Text: "connect to this address, and verify PGHOST all the same"},
		"database":           {Value: "NAME", Text: "the database"},
		"user":               {Value: "ROLE", Text: "the Postgres role"},
		"sslmode":            {Value: "MODE", Text: "verify-full, or require (not verified)", Words: []string{config.VerifyFull, config.Require}},
		"child-sslmode":      {Value: "MODE", Text: "what the command reads in PGSSLMODE", Words: []string{config.VerifyFull, config.VerifyCA, config.Require}},
		"sslrootcert":        {Value: "PATH", Text: "root certificates for the database"},
		"cacert":             {Value: "PATH", Text: "more root certificates for the workspace"},
		"ttl":                {Value: "TIME", Text: "life of the database token, 5m to 1h"},
		"min-ttl":            {Value: "TIME", Text: "use a cached token only with this much left"},
		"wait":               {Value: "WHEN", Text: "prove a login before the start: auto, always, never", Words: []string{config.WaitAuto, config.WaitAlways, config.WaitNever}},
		"wait-timeout":       {Value: "TIME", Text: "how long a sleeping compute may take to wake"},
		"timeout":            {Value: "TIME", Text: "how long signing in may take, retries included"},
		"keychain-timeout":   {Value: "TIME", Text: "how long the keychain may take"},
		"keep":               {Value: "VAR", Text: "leave this variable in the command's environment"},
		"url-var":            {Value: "NAME", Text: "put a connection URL into this variable"},
		"set":                {Value: "NAME=TEMPLATE", Text: "set a variable, from {host} {port} {database} {user} {password} {url} {url_nopassword} {jdbc_url} {expires_at}"},
		"refresh":            {Value: "HOW", Text: "stay, and keep the way in open: off, passfile, proxy", Words: []string{config.RefreshOff, config.RefreshPassfile, config.RefreshProxy}},
		"on-refresh":         {Value: "WHAT", Text: "with each new token: none, signal:NAME, restart", Words: []string{config.OnRefreshNone, config.OnRefreshRestart, config.OnRefreshSignal + "HUP"}},
		"listen":             {Value: "ADDR", Text: "where the proxy listens: HOST:PORT, or a folder for its socket"},
		"status-file":        {Value: "PATH", Text: "keep a JSON file that says how it fares"},
		"health-listen":      {Value: "ADDR", Text: "answer /startup, /readiness and /liveness on HOST:PORT"},
		"cache":              {Value: "STORE", Text: "where tokens are kept: auto, kernel, keychain, file, off", Words: config.CacheWords()},
		"runtime-dir":        {Value: "PATH", Text: "folder for locks and records of logins"},
		"verbose":            {Text: "say what is done"},
		"quiet":              {Text: "say errors only"},
		"log-format":         {Value: "FORMAT", Text: "text or json", Words: []string{"text", "json"}},
	}
}

// Options lists what a page's program takes, in the order of its help. Its
// source is the same table that the options are parsed by.
func (p Page) Options(settings []config.Setting) []Option {
	words, out := optionWords(), slices.Clone(p.More)
	for _, s := range settings {
		if slices.Contains(p.Omit, s.Option) {
			continue
		}
		o := words[s.Option]
		o.Name, o.Short, o.From, o.Many = s.Option, s.Alias, from(s), s.Many
		out = append(out, o)
	}
	return out
}

// ExitMeaning is one line of the table of exit codes.
type ExitMeaning struct {
	Code    int
	Meaning string
}

// ExitMeanings lists the exit codes of a program that started no command; wraps
// says whether it starts any.
func ExitMeanings(wraps bool) []ExitMeaning {
	var out []ExitMeaning
	for _, row := range exitTable {
		if !wraps && (row.Code == ExitNotFound || row.Code == ExitNotExecutable) {
			continue
		}
		out = append(out, ExitMeaning{row.Code, row.Meaning})
	}
	slices.SortFunc(out, func(a, b ExitMeaning) int { return a.Code - b.Code })
	return out
}

// Help renders a page.
func Help(p Page, settings []config.Setting) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s - %s\n\nUsage: %s\n\n%s\n", p.Name, p.Brief, p.Usage, p.Text)
	if len(p.Commands) > 0 {
		b.WriteString("\nCommands:\n")
		for _, c := range p.Commands {
			fmt.Fprintf(&b, "  %-10s %s\n", c.Name, c.Text)
		}
	}
	b.WriteString("\nOptions:\n")
	for _, o := range p.Options(settings) {
		b.WriteString(optionLine(o))
	}
	if len(p.Examples) > 0 {
		b.WriteString("\nExamples:\n  " + strings.Join(p.Examples, "\n  ") + "\n")
	}
	if p.ExitCodes {
		b.WriteString(exitCodes(p))
	}
	return b.String()
}

// exitCodes says what a program ends with. One that has commands of its own starts
// nobody else's.
func exitCodes(p Page) string {
	wraps := len(p.Commands) == 0
	text := "\nExit codes:\n  0    it is done\n"
	if wraps {
		text = "\nExit codes: the command's own; 128+n when a signal ended it. With a line\n\"" + p.Name + ": error:\" it was never started:\n"
	}
	for _, row := range ExitMeanings(wraps) {
		text += fmt.Sprintf("  %d  %s\n", row.Code, row.Meaning)
	}
	return text
}

// from tells a setting's variables and default.
func from(s config.Setting) string {
	var parts []string
	if len(s.Env) > 0 {
		parts = append(parts, strings.Join(s.Env, ", "))
	}
	if s.Default != "" {
		parts = append(parts, "default "+s.Default)
	}
	if s.Many {
		parts = append(parts, "repeatable")
	}
	if len(parts) == 0 {
		return ""
	}
	return " [" + strings.Join(parts, "; ") + "]"
}

func optionLine(o Option) string {
	name := "    "
	if o.Short != "" {
		name = "-" + o.Short + ", "
	}
	name += "--" + o.Name
	if o.Value != "" {
		name += " " + o.Value
	}
	return fmt.Sprintf("  %-29s %s%s\n", name, o.Text, o.From)
}
