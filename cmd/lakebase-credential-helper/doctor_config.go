package main

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/broker"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// configuration resolves what was given. What is wrong is left out where the road
// can be walked without it, and the rest is looked at all the same.
func (x *examination) configuration() {
	given, environ, noEndpoint := maps.Clone(x.given), map[string]bool{}, false
	var problems []error
	for range len(config.Settings()) {
		conf, err := x.Resolve(given, func(in *config.Input) error {
			in.Environ = maps.Clone(in.Environ)
			maps.DeleteFunc(in.Environ, func(name, _ string) bool { return environ[name] })
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
		switch {
		case ok && !setting.Decisive:
			delete(given, setting.Option)
			for _, name := range setting.Env {
				environ[name] = true
			}
		case noEndpoint:
			x.partial()
			x.problems(problems)
			return
		default:
			noEndpoint = true
			if ok && (setting.Option == "endpoint" || setting.Option == "instance") {
				delete(given, setting.Option)
				for _, name := range setting.Env {
					environ[name] = true
				}
			}
		}
	}
	if noEndpoint {
		x.blocked[broker.PartTarget] = partConfiguration
	}
	x.problems(problems)
}

// settingOf finds the setting whose option or variable an error names.
func settingOf(err error) (config.Setting, bool) {
	var e *config.Error
	if !errors.As(err, &e) {
		return config.Setting{}, false
	}
	return config.LookupSetting(e.Name)
}

// partial is what is known where there is no configuration: perhaps the host.
func (x *examination) partial() {
	conf, err := x.Resolve(nil, func(in *config.Input) error { in.NoTarget, in.Environ = true, nil; return nil })
	if err != nil { // nothing is left that could be wrong
		x.conf = config.Config{}
		return
	}
	if v := x.alone("host"); v.Value != "" {
		if w, err := config.ParseWorkspace(v.Value, v.Source); err == nil {
			conf.Workspace = config.Value[config.Workspace]{Value: w, Source: v.Source}
		}
	}
	conf.CACert = x.alone("cacert")
	if v := x.given["timeout"]; v != nil {
		if d, err := time.ParseDuration(v[0]); err == nil && d > 0 {
			conf.Timeout.Value = d
		}
	}
	x.conf = *conf
	x.blocked[broker.PartSecret] = partConfiguration
	if conf.Workspace.Value.IsZero() {
		x.blocked[broker.PartWorkspace] = partConfiguration
	}
}

// alone is a setting of the target as it was meant: an option's, the profile's,
// or where no profile is chosen the environment's.
func (x *examination) alone(option string) config.Value[string] {
	if v := x.given[option]; v != nil {
		return config.Value[string]{Value: v[0], Source: config.Source{Origin: config.FromOption, Name: "--" + option}}
	}
	s, _ := config.LookupSetting("--" + option)
	name := x.Env("LAKEBASE_PROFILE")
	if v := x.given["profile"]; v != nil {
		name = v[0]
	}
	if name == "" {
		return config.Value[string]{Value: x.Env(s.Env[0]), Source: config.Source{Origin: config.FromEnvironment, Name: s.Env[0]}}
	}
	profiles, err := x.Profiles()
	if err != nil || profiles == nil || !profiles.Has(name) {
		return config.Value[string]{}
	}
	return config.Value[string]{Value: profiles.Value(name, s.Key), Source: config.Source{Origin: config.FromProfile, Name: "profile " + sanitize.Quote(name)}}
}

// problems makes the first step.
func (x *examination) problems(problems []error) {
	s := step{Name: partConfiguration, Status: broker.StatusOK, Facts: map[string]string{}}
	defer func() { x.add(s) }()
	if len(problems) > 0 {
		var texts, cures []string
		for _, err := range problems {
			text, cure := cli.Describe(err, nil)
			texts = append(texts, text)
			if cure != "" {
				cures = append(cures, cure)
			}
		}
		s.Status, s.err = broker.StatusFailed, problems[0]
		s.Text, s.Cure = strings.Join(texts, "; also: "), strings.Join(cures, "; also: ")
		if s.Cure == "" {
			s.Cure = "correct it where it stands"
		}
		return
	}
	if len(x.conf.Warnings) > 0 {
		s.Status = broker.StatusWarning
		s.Cure = x.conf.Warnings[0].String()
	}
	s.Text = x.settings(s.Facts)
}

// settings is the target, and where each part of it came from.
func (x *examination) settings(facts map[string]string) string {
	conf := x.conf
	var parts []string
	put := func(name, value, from string) {
		if value != "" {
			parts = append(parts, fmt.Sprintf("%s %s (%s)", name, value, from))
			facts[name], facts[name+"_from"] = value, from
		}
	}
	put("profile", conf.Profile.Value, conf.Profile.Source.String())
	put("host", conf.Workspace.Value.String(), conf.Workspace.Source.String())
	put("endpoint", conf.Endpoint.Value, conf.Endpoint.Source.String())
	put("instance", conf.Instance.Value, conf.Instance.Source.String())
	put("pghost", conf.PGHost.Value, conf.PGHost.Source.String())
	put("pghostaddr", conf.PGHostAddr.Value, conf.PGHostAddr.Source.String())
	put("pgport", fmt.Sprint(conf.PGPort.Value), conf.PGPort.Source.String())
	put("database", conf.Database.Value, conf.Database.Source.String())
	put("user", conf.User.Value, userFrom(conf))
	if conf.ReadOnly.Value {
		put("read_only", "true", conf.ReadOnly.Source.String())
	}
	if conf.Credential.Given() {
		put("credential", conf.Credential.Value, conf.Credential.Source.String())
	}
	text := strings.Join(parts, ", ")
	for i, n := range conf.Notes {
		facts[fmt.Sprintf("note_%d", i+1)] = n.String()
		text += "; " + n.String()
	}
	for i, n := range conf.Warnings {
		facts[fmt.Sprintf("warning_%d", i+1)] = n.String()
	}
	return text
}

func userFrom(conf config.Config) string {
	if !conf.User.Given() && conf.ClientID.Value != "" {
		return "the client id"
	}
	return conf.User.Source.String()
}

// way says who is to sign in, and how.
func (x *examination) way() {
	if !x.known {
		x.add(notTried(partWay, partConfiguration))
		return
	}
	conf := x.conf
	s := step{Name: partWay, Status: broker.StatusOK, Facts: map[string]string{}}
	auth, from := conf.Auth.Value, conf.Auth.Source.String()
	if auth == "" {
		auth, from = "what the keychain has", "nothing else is given"
	}
	s.Facts["auth"], s.Facts["auth_from"] = auth, from
	s.Text = auth + " (" + from + ")"
	if conf.ClientID.Value != "" {
		s.Facts["client_id"], s.Facts["client_id_from"] = conf.ClientID.Value, conf.ClientID.Source.String()
		s.Text += fmt.Sprintf(", client id %s (%s)", conf.ClientID.Value, conf.ClientID.Source)
	}
	if at := secretAt(conf); at != "" && at != from {
		s.Facts["secret_from"] = at
		s.Text += ", by " + at
	}
	if conf.Audience.Value != "" {
		s.Facts["audience"] = conf.Audience.Value
		s.Text += fmt.Sprintf(", audience %s (%s)", conf.Audience.Value, conf.Audience.Source)
	}
	x.add(s)
}

// secretAt is where the way in starts from; empty: in the keychain.
func secretAt(conf config.Config) string {
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
