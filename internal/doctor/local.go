package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/pgenv"
	"github.com/lakebase-exec/lakebase-exec/internal/process"
)

// checkConfiguration resolves the configuration. It leaves out what is wrong if the
// other checks can do without it, so that it finds several mistakes at once.
func (x *run) checkConfiguration(_ context.Context, r *Result) error {
	options, known, noEndpoint := maps.Clone(x.Options), false, false
	var omitted []string // variables
	var problems []error
	for range len(config.Settings()) {
		conf, err := x.Local.Resolve(options, func(in *config.Input) error {
			in.Environ, in.NoEndpoint = maps.Clone(in.Environ), noEndpoint
			maps.DeleteFunc(in.Environ, func(name, _ string) bool { return slices.Contains(omitted, name) })
			return nil
		})
		if err == nil {
			x.conf, known = conf, true
			break
		}
		if len(problems) == 0 || problems[len(problems)-1].Error() != err.Error() {
			problems = append(problems, err)
		}
		var setting config.Setting
		if named, ok := errors.AsType[*config.Error](err); ok {
			setting, _ = config.LookupSetting(named.Name)
		}
		isTarget := setting.Option == "endpoint" || setting.Option == "instance"
		leaveOut := setting.Option != "" && !setting.Decisive
		if !leaveOut && noEndpoint {
			break
		}
		noEndpoint = noEndpoint || !leaveOut
		if leaveOut || isTarget {
			delete(options, setting.Option)
			omitted = append(omitted, setting.Env...)
		}
	}
	switch {
	case !known:
		x.block(Configuration, AuthType, Secret, Workspace, Child)
		defaults := func(in *config.Input) error { in.NoTarget, in.Environ = true, nil; return nil }
		x.conf, _ = x.Local.Resolve(nil, defaults)
	case noEndpoint:
		x.block(Configuration, Target)
	}
	if len(problems) == 0 {
		x.describeSettings(r)
		return nil
	}
	var texts, fixes []string
	for _, err := range problems {
		text, fix := x.Observer.Explain(err, config.Config{})
		texts, fixes = append(texts, text), append(fixes, cmp.Or(fix, "correct it there"))
	}
	r.Text, r.Fix = strings.Join(texts, "; also: "), strings.Join(fixes, "; also: ")
	return problems[0]
}

// describeSettings lists each part of the target with its source.
func (x *run) describeSettings(r *Result) {
	conf := x.conf
	addSetting(r, "profile", conf.Profile)
	addSetting(r, "host", conf.Workspace)
	addSetting(r, "endpoint", conf.Endpoint)
	addSetting(r, "instance", conf.Instance)
	addSetting(r, "pghost", conf.PGHost)
	addSetting(r, "pghostaddr", conf.PGHostAddr)
	addSetting(r, "pgport", conf.PGPort)
	addSetting(r, "database", conf.Database)
	r.add("user", conf.User.Value, userSource(conf))
	addSetting(r, "read_only", conf.ReadOnly)
	addSetting(r, "pooled", conf.Pooled)
	if conf.Credential.Given() {
		addSetting(r, "credential", conf.Credential)
	}
	for i, n := range conf.Notes {
		r.fact(fmt.Sprintf("note_%d", i+1), n.String())
		r.Text += "; " + n.String()
	}
	for i, n := range conf.Warnings {
		r.fact(fmt.Sprintf("warning_%d", i+1), n.String())
		r.Status, r.Fix = Warning, conf.Warnings[0].String()
	}
}

func userSource(conf config.Config) string {
	if !conf.User.Given() && conf.ClientID.Value != "" {
		return "the client ID"
	}
	return conf.User.Source.String()
}

// checkAuthType describes who signs in, and how.
func (x *run) checkAuthType(_ context.Context, r *Result) error {
	conf := x.conf
	auth, from := conf.Auth.Value, conf.Auth.Source.String()
	if auth == "" {
		auth, from = "what is stored in a file or the keychain", "no other is given"
	}
	r.Text = auth + " (" + from + ")"
	r.Facts["auth"], r.Facts["auth_from"] = auth, from
	addSetting(r, "client_id", conf.ClientID)
	if secret := conf.Secret; secret.Source.Origin != config.FromDefault && secret.Source.String() != from {
		source := secret.Source.String()
		if secret.Kind == config.SecretInFile {
			source = fmt.Sprintf("the file %s (%s)", secret.Path, source)
		}
		r.fact("secret_from", source)
		r.Text += ", secret from " + source
	}
	if conf.Scope.Given() {
		addSetting(r, "scope", conf.Scope)
	}
	for _, s := range config.Settings() {
		if s.AuthType != "" {
			addSetting(r, s.Key, conf.AuthOption(s.Option))
		}
	}
	return nil
}

// Variables that these programs read besides those of the settings, and some that others
// read for the same purpose.
var (
	alsoRead = []string{"HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "GODEBUG", "DATABRICKS_CONFIG_FILE", "LAKEBASE_CONFIG_FILE"}
	notRead  = []string{"HTTP_PROXY", "ALL_PROXY", "SSL_CERT_DIR"}
)

// checkVariables lists the variables that change a run or its command, by their effect.
func (x *run) checkVariables(_ context.Context, r *Result) error {
	passed, found := pgenv.WithoutSecrets(x.Environ), map[string][]string{}
	for _, entry := range x.Environ {
		name, value, _ := strings.Cut(entry, "=")
		setting, _ := config.LookupSetting(name)
		effect, upper, kept := "", strings.ToUpper(name), slices.Contains(x.conf.Keep.Value, name)
		switch {
		case slices.ContainsFunc(x.conf.Notes, func(n config.Note) bool { return n.Name == name }):
			effect = "changed or not used" // as the configuration says
		case slices.Contains(setting.Env, name), slices.Contains(alsoRead, upper):
			effect = "read"
		case slices.Contains(notRead, upper):
			effect = "not read"
		case !slices.Contains(passed, entry) && !kept:
			effect = "removed from the command"
		case strings.HasPrefix(name, "PG"), kept:
			effect = "passed to the command"
		}
		if value != "" && effect != "" && !slices.Contains(found[effect], name) {
			found[effect] = append(found[effect], name)
		}
	}
	var texts []string
	for _, effect := range slices.Sorted(maps.Keys(found)) {
		list := strings.Join(slices.Sorted(slices.Values(found[effect])), ", ")
		r.fact(strings.ReplaceAll(effect, " ", "_"), list)
		texts = append(texts, effect+": "+list)
	}
	r.Text = cmp.Or(strings.Join(texts, "; "), "none that changes a run")
	if x.conf.Nested {
		r.Text += " (of another lakebase-exec, in which this runs)"
	}
	return nil
}

// checkTrust describes the root certificates and the proxy in use.
func (x *run) checkTrust(_ context.Context, r *Result) error {
	conf := x.conf
	roots, err := x.Local.SSLRootCert(conf)
	if err != nil {
		x.block(Trust, Database)
		x.conf.SSLMode.Value = config.Require // needs no roots
	}
	if !conf.Workspace.Value.IsZero() {
		var workspaceErr error
		if x.api, workspaceErr = x.Local.Workspace(conf); workspaceErr != nil {
			x.block(Trust, Secret, Workspace)
			err = cmp.Or(err, workspaceErr)
		}
	}
	if err != nil {
		return err
	}
	certFile, rootsSource := x.Local.Env("SSL_CERT_FILE"), conf.SSLRootCert.Source.String()
	if conf.SSLRootCert.Value == "" && certFile != "" {
		rootsSource, certFile = "SSL_CERT_FILE", ""
	}
	addSetting(r, "sslmode", conf.SSLMode)
	r.add("sslrootcert", roots, rootsSource)
	addSetting(r, "cacert", conf.CACert)
	r.add("workspace_roots", certFile, "SSL_CERT_FILE")
	for _, name := range []string{"HTTPS_PROXY", "NO_PROXY"} {
		value, from := x.Local.Env(name), name
		if value == "" {
			from = strings.ToLower(name)
			value = x.Local.Env(from)
		}
		r.add(strings.ToLower(name), withoutUserinfo(value), from)
	}
	if r.Facts["https_proxy"] == "" {
		r.Text += ", no proxy"
	}
	if conf.SSLMode.Value == config.Require {
		r.Status, r.Fix = Warning, "leave out --sslmode require: with it the database's certificate is not verified"
	}
	return nil
}

// withoutUserinfo returns a proxy's address without its user and password.
func withoutUserinfo(address string) string {
	return regexp.MustCompile(`^(\w+://)?.*@`).ReplaceAllString(address, "$1")
}

// checkRuntimeDir opens the directory for locks and records of logins.
func (x *run) checkRuntimeDir(_ context.Context, r *Result) error {
	path, err := x.Local.RuntimeDir(x.conf)
	if err != nil && !x.conf.RuntimeDir.Given() {
		return warning{err}
	}
	if err != nil {
		x.conf.RuntimeDir = config.Value[string]{} // the other checks do without it
	}
	r.Text = path
	r.fact("path", path)
	return err
}

// checkCache describes the token store in use.
func (x *run) checkCache(_ context.Context, r *Result) error {
	store, notes, err := x.Local.TokenStore(x.conf)
	if err != nil {
		return err
	}
	r.fact("store", store)
	r.fact("notes", strings.Join(notes, "; "))
	r.Text = map[string]string{
		config.CacheKernel:   "tokens are kept in the kernel's keyring",
		config.CacheKeychain: "tokens are kept in the keychain",
		config.CacheFile:     "tokens are kept in files in the runtime directory",
		config.CacheOff:      "off: each start signs in",
	}[store]
	if len(notes) > 0 {
		r.Text += " (" + r.Facts["notes"] + ")"
	}
	return nil
}

// checkKeychain checks that there is a keychain and that it is unlocked. A failure is a
// warning: another check fails if it needs what is in the keychain.
func (x *run) checkKeychain(ctx context.Context, r *Result) error {
	state, err := "failed", x.Local.KeychainState(ctx, x.conf)
	switch {
	case err == nil || errors.Is(err, keychain.ErrNotFound):
		state, r.Text, err = "present", "present, and unlocked", nil
	case errors.Is(err, keychain.ErrAbsent):
		state, r.Text, err = "absent", "absent: this machine has none", nil
	case errors.Is(err, keychain.ErrLocked):
		state = "locked"
	case errors.Is(err, keychain.ErrTimeout):
		state = "silent"
	}
	r.fact("state", state)
	if err != nil {
		return warning{err}
	}
	return nil
}

// checkChild describes the environment of a command, without its secrets.
func (x *run) checkChild(_ context.Context, r *Result) error {
	const hidden, later = "<not shown>", "<set at start>"
	conf := x.conf
	if err := pgenv.CheckKeep(conf.Keep.Value); err != nil {
		return err
	}
	roots, _ := x.Local.SSLRootCert(conf) // see checkTrust
	result := pgenv.Build(x.Environ, pgenv.Values{
		Host: cmp.Or(x.host, later), HostAddr: conf.PGHostAddr.Value, Port: conf.PGPort.Value,
		Database: conf.Database.Value, User: cmp.Or(conf.User.Value, later),
		SSLMode: conf.ChildSSLMode.Value, SSLRootCert: roots, Profile: conf.Profile.Value,
		Password: credential.NewSecret(hidden), ExpiresAt: x.password.ExpiresAt,
	}, conf.Keep.Value)
	var set []string
	for _, e := range result.Environ {
		if name, value, _ := strings.Cut(e, "="); slices.Contains(result.Set, name) {
			set = append(set, e)
			r.Facts[name] = value
		}
	}
	r.Text = strings.Join(set, " ")
	if len(result.Removed) > 0 {
		r.Text += "; removed: " + strings.Join(result.Removed, " ")
	}
	for _, v := range conf.Set {
		r.Text += fmt.Sprintf("; %s (%s)", v.Name, v.Source)
	}
	return nil
}

// checkLibpq reads the version of libpq from psql or pg_config. Before 14 it does not send
// the host's name in TLS (PostgreSQL 14 release notes, sslsni).
func (x *run) checkLibpq(ctx context.Context, r *Result) error {
	version := regexp.MustCompile(`PostgreSQL\)? (([0-9]+)\S*)`)
	r.Status, r.Text = NotTried, "neither psql nor pg_config is in PATH"
	for _, name := range []string{"psql", "pg_config"} {
		found, err := process.Find([]string{name, "--version"}, x.ToolPath)
		if err != nil {
			continue
		}
		out, _ := x.Local.RunTool(ctx, found.Path, "--version")
		m := version.FindStringSubmatch(string(out))
		if m == nil {
			r.Text = found.Path + " does not print its version"
			continue
		}
		r.Status, r.Text = OK, fmt.Sprintf("%s (%s)", m[1], found.Path)
		r.fact("version", m[1])
		r.fact("path", found.Path)
		if major, _ := strconv.Atoi(m[2]); major < 14 {
			r.Status, r.Fix = Warning, "install a client with libpq 14 or later"
			r.Text += ": it sends no host name in TLS (SNI), which Lakebase needs"
		}
		break
	}
	return nil
}
