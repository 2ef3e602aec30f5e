package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/retry"
)

// workspaceError returns the message of a call that failed, with its attempts, and
// what to do about it.
func workspaceError(err error, e *exchange.Error, conf *config.Config) (message, hint string) {
	told := *e
	if conf != nil {
		told.Origins = origins(conf)
	}
	text := told.Error()
	var tried *retry.Error
	if errors.As(err, &tried) && tried.After > 0 {
		text += fmt.Sprintf(" (server asks to wait for %s)", tried.After.Round(time.Second))
	} else if errors.As(err, &tried) && tried.Attempts > 1 {
		text += fmt.Sprintf(" (%d attempts in %s)", tried.Attempts, tried.Elapsed.Round(100*time.Millisecond))
	}
	return text, told.Hint()
}

// origins says where conf comes from, for messages and hints of calls.
func origins(conf *config.Config) exchange.Origins {
	o := exchange.Origins{Host: conf.Workspace.Source.String(), Auth: conf.Auth.Value, Secret: conf.Secret.Source.String(), SameSetup: SameTarget(conf)}
	if from := conf.TargetFrom(); from.Origin != config.FromDefault {
		o.Target = from.String()
	}
	if conf.TTL.Given() {
		o.TTL = conf.TTL.Source.String()
	}
	return o
}

// SameTarget returns the options with which a command of lakebase-credential-helper
// uses the same workspace and identity: the profile, or else the options that named
// them. The environment is the same for the next command.
func SameTarget(conf *config.Config) string {
	switch {
	case conf == nil:
		return ""
	case ofProfile(conf):
		return " --profile " + conf.Profile.Value
	}
	named := func(s config.Source) bool { return s.Origin == config.FromOption || s.Origin == config.FromProfile }
	var text string
	if s := conf.DatabricksProfile; s.Value != "" && named(s.Source) {
		text += " --databricks-profile " + s.Value
	}
	if h := conf.Workspace; named(h.Source) {
		text += " --host " + h.Value.HostPort()
	}
	if id := conf.ClientID; id.Value != "" && named(id.Source) {
		text += " --client-id " + id.Value
	}
	return text
}

// ofProfile reports whether workspace and identity are the profile's. If an option
// changes them, login --profile would store a secret for others.
func ofProfile(conf *config.Config) bool {
	return conf != nil && conf.Profile.Value != "" && conf.Workspace.Source.Origin != config.FromOption && conf.ClientID.Source.Origin != config.FromOption
}
