package doctor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// checkConfiguration resolves the configuration. It leaves out what is wrong if the
// other checks can do without it, so that it finds several mistakes at once.
func (x *run) checkConfiguration(_ context.Context, r *Result) error {
	options, skipped, noEndpoint := maps.Clone(x.Options), map[string]bool{}, false
	var problems []error
	for range len(config.Settings()) {
		conf, err := x.Settings.Resolve(options, func(in *config.Input) error {
			in.Environ = maps.Clone(in.Environ)
			maps.DeleteFunc(in.Environ, func(name, _ string) bool { return skipped[name] })
			in.NoEndpoint = noEndpoint
			return nil
		})
		if err == nil {
			x.conf, x.known = *conf, true
			break
		}
		if len(problems) == 0 || problems[len(problems)-1].Error() != err.Error() {
			problems = append(problems, err)
		}
		setting, ok := settingOf(err)
		leaveOut := ok && !setting.Decisive
		if !leaveOut {
			if noEndpoint {
				break
			}
			noEndpoint = true
			leaveOut = ok && (setting.Option == "endpoint" || setting.Option == "instance")
		}
		if leaveOut {
			delete(options, setting.Option)
			for _, name := range setting.Env {
				skipped[name] = true
			}
		}
	}
	switch {
	case !x.known:
		x.resolvePartly()
	case noEndpoint:
		x.blocked[Target] = Configuration
	}
	if len(problems) > 0 {
		return x.explainAll(r, problems)
	}
	r.Text = describeSettings(x.conf, r)
	if len(x.conf.Warnings) > 0 {
		r.Status, r.Fix = Warning, x.conf.Warnings[0].String()
	}
	return nil
}

// explainAll puts several errors into one result, and returns the first.
func (x *run) explainAll(r *Result, problems []error) error {
	var texts, fixes []string
	for _, err := range problems {
		text, fix := x.Observer.Explain(err, nil)
		texts = append(texts, text)
		if fix != "" {
			fixes = append(fixes, fix)
		}
	}
	r.Text, r.Fix = strings.Join(texts, "; also: "), strings.Join(fixes, "; also: ")
	if r.Fix == "" {
		r.Fix = "correct it there"
	}
	return problems[0]
}

// settingOf returns the setting whose option or variable an error names.
func settingOf(err error) (config.Setting, bool) {
	var e *config.Error
	if !errors.As(err, &e) {
		return config.Setting{}, false
	}
	return config.LookupSetting(e.Name)
}

// resolvePartly sets what is known without a configuration: perhaps the host.
func (x *run) resolvePartly() {
	x.blocked[AuthType], x.blocked[Secret], x.blocked[Child] = Configuration, Configuration, Configuration
	conf, err := x.Settings.Resolve(nil, func(in *config.Input) error { in.NoTarget, in.Environ = true, nil; return nil })
	if err != nil { // a configuration of defaults is valid
		conf = &config.Config{}
	}
	if v := x.setting("host"); v.Value != "" {
		if w, err := config.ParseWorkspace(v.Value, v.Source); err == nil {
			conf.Workspace = config.Value[config.Workspace]{Value: w, Source: v.Source}
		}
	}
	conf.CACert = x.setting("cacert")
	if v := x.Options["timeout"]; v != nil {
		if d, err := time.ParseDuration(v[0]); err == nil && d > 0 {
			conf.Timeout.Value = d
		}
	}
	x.conf = *conf
	if conf.Workspace.Value.IsZero() {
		x.blocked[Workspace] = Configuration
	}
}

// setting returns one setting from the option, the profile, or without a profile
// from the environment.
func (x *run) setting(option string) config.Value[string] {
	if v := x.Options[option]; v != nil {
		return config.Value[string]{Value: v[0], Source: config.Source{Origin: config.FromOption, Name: "--" + option}}
	}
	s, _ := config.LookupSetting("--" + option)
	profile := x.Settings.Env("LAKEBASE_PROFILE")
	if v := x.Options["profile"]; v != nil {
		profile = v[0]
	}
	if profile == "" {
		return config.Value[string]{Value: x.Settings.Env(s.Env[0]), Source: config.Source{Origin: config.FromEnvironment, Name: s.Env[0]}}
	}
	profiles, err := x.Settings.Profiles()
	if err != nil || profiles == nil || !profiles.Has(profile) {
		return config.Value[string]{}
	}
	return config.Value[string]{Value: profiles.Value(profile, s.Key), Source: config.Source{Origin: config.FromProfile, Name: "profile " + sanitize.Quote(profile)}}
}

// sources lists values with where they come from.
type sources struct {
	parts []string
	r     *Result
}

func (s *sources) add(name, value, source string) {
	if value == "" {
		return
	}
	s.parts = append(s.parts, fmt.Sprintf("%s %s (%s)", name, value, source))
	s.r.Facts[name], s.r.Facts[name+"_from"] = value, source
}

// describeSettings lists each part of the target with its source.
func describeSettings(conf config.Config, r *Result) string {
	s := sources{r: r}
	s.add("profile", conf.Profile.Value, conf.Profile.Source.String())
	s.add("host", conf.Workspace.Value.String(), conf.Workspace.Source.String())
	s.add("endpoint", conf.Endpoint.Value, conf.Endpoint.Source.String())
	s.add("instance", conf.Instance.Value, conf.Instance.Source.String())
	s.add("pghost", conf.PGHost.Value, conf.PGHost.Source.String())
	s.add("pghostaddr", conf.PGHostAddr.Value, conf.PGHostAddr.Source.String())
	s.add("pgport", fmt.Sprint(conf.PGPort.Value), conf.PGPort.Source.String())
	s.add("database", conf.Database.Value, conf.Database.Source.String())
	s.add("user", conf.User.Value, userSource(conf))
	if conf.ReadOnly.Value {
		s.add("read_only", "true", conf.ReadOnly.Source.String())
	}
	if conf.Credential.Given() {
		s.add("credential", conf.Credential.Value, conf.Credential.Source.String())
	}
	text := strings.Join(s.parts, ", ")
	for i, n := range conf.Notes {
		r.fact(fmt.Sprintf("note_%d", i+1), n.String())
		text += "; " + n.String()
	}
	for i, n := range conf.Warnings {
		r.fact(fmt.Sprintf("warning_%d", i+1), n.String())
	}
	return text
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
	if conf.ClientID.Value != "" {
		r.fact("client_id", conf.ClientID.Value)
		r.fact("client_id_from", conf.ClientID.Source.String())
		r.Text += fmt.Sprintf(", client ID %s (%s)", conf.ClientID.Value, conf.ClientID.Source)
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
