package config

import (
	"net/url"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// SecretKind is the kind of place of a credential.
type SecretKind int

// The places. SecretInKeychain is a client secret or a user's refresh token.
const (
	SecretInKeychain SecretKind = iota
	SecretInFile
	SecretInEnvironment
	SecretInSection  // of a .databrickscfg
	SecretFromGitHub // Config.GitHub says where
	SecretFromCLI    // the Databricks CLI is run
)

// SecretSource locates a client secret, a personal access token or a workload's token.
// Text is set for SecretInEnvironment and SecretInSection, Path for SecretInFile.
type SecretSource struct {
	Kind   SecretKind
	Path   string
	Text   credential.Secret
	Source Source
}

// GitHubSource is the OIDC token service of a GitHub Actions job (GitHub documentation,
// "OpenID Connect reference"). Token authenticates to that service only: it is not the
// workload's token.
type GitHubSource struct {
	URL   string
	Token credential.Secret
}

// secret locates the credential of the chosen type.
func (r *resolver) secret() {
	c := &r.conf
	t, _ := LookupAuthType(c.Auth.Value)
	if t.Workload && !c.WorkloadHost() {
		host := c.Workspace.Value.HostPort()
		r.fail(&Error{Name: c.Workspace.Source.String(), Problem: host + " is not in a Databricks domain, and a workload's token is sent elsewhere only on request", Fix: "if it is right, pass it with --host " + host})
		return
	}
	if r.candidate != nil {
		s, err := r.candidate.read()
		if err != nil {
			r.fail(err)
		}
		c.Secret = s
		if r.candidate.from.Origin == FromProfile && c.Auth.Value == AuthM2M {
			r.warnPlaintext()
		}
		return
	}
	switch {
	case t.require != nil:
		t.require(r)
	case t.Name != AuthM2M && len(t.variables) > 0:
		r.requireVariable(t)
	default:
		c.Secret = SecretSource{Kind: t.Kind}
	}
}

// github reads the two variables of a job that may request tokens. Every such job has
// them, whatever cloud it is for, so they do not select an authentication type.
func (r *resolver) github() {
	address, secret := strings.TrimSpace(r.in.Environ[envGitHubURL]), r.in.Environ[envGitHub]
	t, err := token(secret, Source{FromEnvironment, envGitHub})
	unusable := func(name, why string) {
		r.noGitHub = name + " " + why
		if r.in.Environ[name] != "" {
			r.note(name, "not used: it "+why)
		}
	}
	switch u, bad := url.Parse(address); {
	case r.in.Environ[envGitHubURL] == "":
		unusable(envGitHubURL, "is not set")
	case secret == "":
		unusable(envGitHub, "is not set")
	case bad != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "":
		unusable(envGitHubURL, "is not an https address")
	case err != nil:
		unusable(envGitHub, "is not a token")
	default:
		r.conf.GitHub = &GitHubSource{URL: address, Token: t}
	}
}

func (r *resolver) requireGitHub() {
	if r.conf.GitHub == nil {
		e := errorf(r.conf.Auth.Source, "%s needs a job of GitHub Actions that may have a token, and %s", r.conf.Auth.Value, r.noGitHub)
		e.Fix = "give the job the permission id-token: write, or choose another authentication type with --auth"
		r.fail(e)
	}
	r.conf.Secret = SecretSource{Kind: SecretFromGitHub, Source: Source{FromEnvironment, envGitHubURL}}
}
