package config

import (
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// secret decides where the service principal's secret is to be had. What the
// environment holds counts only for the target that the environment names.
func (r *resolver) secret() {
	if len(r.in.Options["client-secret-file"]) > 0 {
		v := get(r, "client-secret-file", "", r.path)
		r.conf.Secret = SecretSource{Kind: SecretInFile, Path: v.V, From: v.From}
		return
	}
	text, file := r.in.Environ[envSecret], r.in.Environ[envSecretFile]
	if text == "" && file == "" {
		return
	}
	if why := r.foreign(); why != "" {
		for _, name := range []string{envSecret, envSecretFile} {
			if r.in.Environ[name] != "" {
				r.note(name, "not used: "+why)
			}
		}
		return
	}
	switch {
	case text != "" && file != "":
		r.fail(&Error{Name: envSecret, Problem: "stands beside " + envSecretFile + ": which one counts?", Fix: "unset one of them"})
	case file != "":
		from := Source{FromEnvironment, envSecretFile}
		p, err := r.path(file, from)
		if err != nil {
			r.fail(err)
		}
		r.conf.Secret = SecretSource{Kind: SecretInFile, Path: p, From: from}
	default:
		s := strings.TrimSpace(text)
		if s == "" || hasControl(s) {
			r.fail(&Error{Name: envSecret, Problem: "is not a secret: it is blank or has a control character in it"})
		}
		r.conf.Secret = SecretSource{Kind: SecretInEnvironment, Text: credential.NewSecret(s), From: Source{FromEnvironment, envSecret}}
	}
}

// foreign says why the environment's secret is another target's, or nothing.
func (r *resolver) foreign() string {
	if h := r.in.Environ["DATABRICKS_HOST"]; h != "" {
		w, err := ParseWorkspace(h, Source{FromEnvironment, "DATABRICKS_HOST"})
		if err != nil || w.HostPort() != r.conf.Workspace.V.HostPort() {
			return "it belongs to DATABRICKS_HOST, and the target is " + r.conf.Workspace.V.HostPort()
		}
	}
	if id := strings.TrimSpace(r.in.Environ["DATABRICKS_CLIENT_ID"]); id != "" && id != r.conf.ClientID.V {
		return "it belongs to DATABRICKS_CLIENT_ID, and the target's client id is " + r.conf.ClientID.V
	}
	return ""
}
