package main

import (
	"errors"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credformat"
	"github.com/lakebase-exec/lakebase-exec/internal/pgenv"
)

// variable is one more variable for the command.
type variable struct {
	name     string
	template credformat.Template
	from     config.Source
}

// variables checks --url-var and --set, and the profile's keys for them.
func variables(conf config.Config) ([]variable, error) {
	asked := make([]config.SetVar, 0, len(conf.URLVar.Value)+len(conf.Set))
	for _, name := range conf.URLVar.Value {
		asked = append(asked, config.SetVar{Name: name, Template: "{url}", Source: conf.URLVar.Source})
	}
	asked = append(asked, conf.Set...)
	var out []variable
	var names []string
	for _, a := range asked {
		t, err := credformat.ParseTemplate(a.Template)
		if err != nil {
			return nil, &config.Error{Name: a.Source.String(), Problem: a.Name + ": " + err.Error(), Fix: "see --set in: " + program + " --help"}
		}
		names = append(names, a.Name)
		var extra *pgenv.ExtraError
		if err := pgenv.CheckExtra(names); errors.As(err, &extra) {
			return nil, &config.Error{Name: a.Source.String(), Problem: extra.Error(), Fix: "choose another name: of letters, digits and _, no digit first, and none that is set or removed anyway"}
		}
		out = append(out, variable{a.Name, t, a.Source})
	}
	return out, checkTemplates(conf, out)
}

// checkTemplates refuses what a command that outlives its token cannot be given.
func checkTemplates(conf config.Config, vars []variable) error {
	var not []string
	switch conf.Refresh.Value {
	case config.RefreshPassfile:
		not = []string{"password", "url", "jdbc_url", "expires_at"}
	case config.RefreshProxy:
		not = []string{"expires_at"}
	}
	for _, v := range vars {
		name := v.template.Uses(not...)
		switch {
		case name == "expires_at":
			return &config.Error{Name: v.from.String(), Problem: v.name + ": {expires_at} means nothing under --refresh " + conf.Refresh.Value + ": the way in is kept open", Fix: "leave it out of the template"}
		case name != "":
			return &config.Error{Name: v.from.String(), Problem: v.name + ": {" + name + "} holds the password, which --refresh passfile changes in its file alone",
				Fix: "use {url_nopassword}, or --refresh proxy"}
		}
	}
	return nil
}

// answer is what templates are filled from.
func answer(v pgenv.Values, expires time.Time) credformat.Answer {
	return credformat.Answer{Host: v.Host, Port: v.Port, Database: v.Database, User: v.User,
		SSLMode: v.SSLMode, SSLRootCert: v.SSLRootCert, Password: v.Password, ExpiresAt: expires}
}

// extra fills the variables in.
func extra(vars []variable, a credformat.Answer) []pgenv.Var {
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
