package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
)

// checkConfiguration resolves the configuration. It leaves out what is wrong if the
// other checks can do without it, so that it finds several mistakes at once.
func (x *run) checkConfiguration(_ context.Context, r *Result) error {
	options, noEndpoint := maps.Clone(x.Options), false
	var omitted []string // variables
	var problems []error
	for range len(config.Settings()) {
		conf, err := x.Settings.Resolve(options, func(in *config.Input) error {
			in.Environ, in.NoEndpoint = maps.Clone(in.Environ), noEndpoint
			maps.DeleteFunc(in.Environ, func(name, _ string) bool { return slices.Contains(omitted, name) })
			return nil
		})
		if err == nil {
			x.conf, x.known = *conf, true
			break
		}
		if len(problems) == 0 || problems[len(problems)-1].Error() != err.Error() {
			problems = append(problems, err)
		}
		var named *config.Error
		var setting config.Setting
		if errors.As(err, &named) {
			setting, _ = config.LookupSetting(named.Name)
		}
		leaveOut := setting.Option != "" && !setting.Decisive
		if !leaveOut {
			if noEndpoint {
				break
			}
			noEndpoint = true
			leaveOut = setting.Option == "endpoint" || setting.Option == "instance"
		}
		if leaveOut {
			delete(options, setting.Option)
			omitted = append(omitted, setting.Env...)
		}
	}
	switch {
	case !x.known:
		for _, id := range []CheckID{AuthType, Secret, Workspace, Child} {
			x.blocked[id] = Configuration
		}
		defaults := func(in *config.Input) error { in.NoTarget, in.Environ = true, nil; return nil }
		if conf, err := x.Settings.Resolve(nil, defaults); err == nil {
			x.conf = *conf
		}
	case noEndpoint:
		x.blocked[Target] = Configuration
	}
	if len(problems) == 0 {
		x.describeSettings(r)
		return nil
	}
	var texts, fixes []string
	for _, err := range problems {
		text, fix := x.Observer.Explain(err, nil)
		texts, fixes = append(texts, text), append(fixes, cmp.Or(fix, "correct it there"))
	}
	r.Text, r.Fix = strings.Join(texts, "; also: "), strings.Join(fixes, "; also: ")
	return problems[0]
}

// describeSettings lists each part of the target with its source.
func (x *run) describeSettings(r *Result) {
	conf := x.conf
	add := func(name string, v config.Value[string]) { r.add(name, v.Value, v.Source.String()) }
	add("profile", conf.Profile)
	r.add("host", conf.Workspace.Value.String(), conf.Workspace.Source.String())
	add("endpoint", conf.Endpoint)
	add("instance", conf.Instance)
	add("pghost", conf.PGHost)
	add("pghostaddr", conf.PGHostAddr)
	r.add("pgport", fmt.Sprint(conf.PGPort.Value), conf.PGPort.Source.String())
	add("database", conf.Database)
	r.add("user", conf.User.Value, userSource(conf))
	if conf.ReadOnly.Value {
		r.add("read_only", "true", conf.ReadOnly.Source.String())
	}
	if conf.Credential.Given() {
		add("credential", conf.Credential)
	}
	for i, n := range conf.Notes {
		r.fact(fmt.Sprintf("note_%d", i+1), n.String())
		r.Text += "; " + n.String()
	}
	for i, n := range conf.Warnings {
		r.fact(fmt.Sprintf("warning_%d", i+1), n.String())
	}
	if len(conf.Warnings) > 0 {
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
		auth, from = "what the keychain has", "no other is given"
	}
	r.fact("auth", auth)
	r.fact("auth_from", from)
	r.Text = auth + " (" + from + ")"
	if id := conf.ClientID; id.Value != "" {
		r.fact("client_id", id.Value)
		r.fact("client_id_from", id.Source.String())
		r.Text += fmt.Sprintf(", client ID %s (%s)", id.Value, id.Source)
	}
	if source := secretSource(conf); source != "" && source != from {
		r.fact("secret_from", source)
		r.Text += ", secret from " + source
	}
	for _, option := range slices.Sorted(maps.Keys(conf.AuthOptions)) {
		v := conf.AuthOptions[option]
		r.fact(strings.ReplaceAll(option, "-", "_"), v.Value)
		r.Text += fmt.Sprintf(", %s %s (%s)", option, v.Value, v.Source)
	}
	return nil
}

// secretSource returns where the secret comes from; empty for the keychain.
func secretSource(conf config.Config) string {
	switch conf.Secret.Kind {
	case config.SecretInKeychain:
		return ""
	case config.SecretInFile:
		return fmt.Sprintf("the file %s (%s)", conf.Secret.Path, conf.Secret.Source)
	case config.SecretFromCLI:
		return "the Databricks CLI"
	case config.SecretFromGitHub:
		return "GitHub's token service"
	}
	return conf.Secret.Source.String()
}
