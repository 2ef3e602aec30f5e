package main

import (
	"errors"

	"github.com/lakebase-exec/lakebase-exec/internal/broker"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/hook"
	"github.com/lakebase-exec/lakebase-exec/internal/pgenv"
)

// variable is one more variable for the command.
type variable struct {
	name     string
	template hook.Template
}

// variables checks --url-var and --set, and the profile's keys for them.
func variables(conf config.Config) ([]variable, error) {
	asked := make([]config.SetVar, 0, len(conf.URLVar.V)+len(conf.Set))
	for _, name := range conf.URLVar.V {
		asked = append(asked, config.SetVar{Name: name, Template: "{url}", From: conf.URLVar.From})
	}
	asked = append(asked, conf.Set...)
	var out []variable
	var names []string
	for _, a := range asked {
		t, err := hook.ParseTemplate(a.Template)
		if err != nil {
			return nil, &config.Error{Name: a.From.String(), Problem: a.Name + ": " + err.Error()}
		}
		names = append(names, a.Name)
		var extra *pgenv.ExtraError
		if err := pgenv.CheckExtra(names); errors.As(err, &extra) {
			return nil, &config.Error{Name: a.From.String(), Problem: extra.Error()}
		}
		out = append(out, variable{a.Name, t})
	}
	return out, nil
}

// answer is what templates are filled from.
func answer(conf config.Config, s broker.Session) hook.Answer {
	return hook.Answer{Host: s.Target.Host, Port: s.Target.Port, Database: s.Target.Database, User: s.Target.User,
		SSLMode: conf.ChildSSLMode.V, SSLRootCert: s.Target.SSLRootCert, Password: s.Token.Value, ExpiresAt: s.Token.ExpiresAt}
}

// extra fills the variables in.
func extra(vars []variable, a hook.Answer) []pgenv.Var {
	var out []pgenv.Var
	for _, v := range vars {
		out = append(out, pgenv.Var{Name: v.name, Value: v.template.Expand(a)})
	}
	return out
}

// warnEmptyArgument speaks of the one mistake that templates invite: the shell
// that calls us has expanded "$NAME" before we could set it.
func warnEmptyArgument(vars []variable, argv []string) (string, bool) {
	for _, a := range argv[min(1, len(argv)):] {
		if a == "" && len(vars) > 0 {
			return vars[0].name, true
		}
	}
	return "", false
}
