package config

import (
	"net/url"
	"slices"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// SecretKind is where that is to be had which a way in starts from.
type SecretKind int

// The places. SecretInKeychain is a client secret's or a person's refresh token's.
const (
	SecretInKeychain SecretKind = iota
	SecretInFile
	SecretInEnvironment
	SecretInSection  // of a .databrickscfg
	SecretFromGitHub // Config.GitHub says where
	SecretFromCLI    // the Databricks CLI is run
)

// SecretSource says where a client secret, a personal access token or a workload's
// token is. Text is set for SecretInEnvironment and SecretInSection, Path for
// SecretInFile.
type SecretSource struct {
	Kind   SecretKind
	Path   string
	Text   credential.Secret
	Source Source
}

// GitHubSource is where a job of GitHub Actions gets a token of its own (GitHub
// documentation, "OpenID Connect reference"). Token opens that service and no
// other: it is not the workload's token.
type GitHubSource struct {
	URL   string
	Token credential.Secret
}

// secret says where the chosen way's secret or token is to be had.
func (r *resolver) secret() {
	c := &r.conf
	if credential.IsWorkload(c.Auth.Value) && !c.WorkloadHost() {
		host := c.Workspace.Value.HostPort()
		r.fail(&Error{Name: c.Workspace.Source.String(), Problem: host + " is in no Databricks domain, and a workload's token goes nowhere else unasked", Fix: "if it is right, give it with --host " + host})
		return
	}
	if r.way != nil {
		s, err := r.way.read()
		if err != nil {
			r.fail(err)
		}
		c.Secret = s
		if r.way.from.Origin == FromProfile && c.Auth.Value == credential.AuthM2M {
			r.warnPlain()
		}
		return
	}
	switch c.Auth.Value {
	case credential.AuthPAT:
		r.missing(envToken)
	case credential.AuthEnvOIDC:
		r.missing(envOIDC, envOIDCName)
	case credential.AuthFileOIDC:
		r.missing(envOIDCFile)
	case credential.AuthGitHubOIDC:
		r.needGitHub()
		c.Secret = SecretSource{Kind: SecretFromGitHub, Source: Source{FromEnvironment, envGitHubURL}}
	case credential.AuthCLI:
		c.Secret = SecretSource{Kind: SecretFromCLI}
	}
}

// missing says which variable the chosen way needs, and why it does not count
// where it is set.
func (r *resolver) missing(names ...string) {
	auth, any := r.conf.Auth, strings.Join(names, " or ")
	e := errorf(auth.Source, "%s needs %s", auth.Value, any)
	for _, n := range r.conf.Notes {
		if slices.Contains(names, n.Name) {
			e.Problem += "; " + n.String()
		}
	}
	e.Fix = "set " + any + ", or choose another way with --auth"
	r.fail(e)
}

// github takes the two variables that GitHub sets for a job that may have a token.
// They lie about in every such job, whatever cloud it is about, so that they are no
// way named.
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

func (r *resolver) needGitHub() {
	if r.conf.GitHub == nil {
		e := errorf(r.conf.Auth.Source, "%s needs a job of GitHub Actions that may have a token, and %s", r.conf.Auth.Value, r.noGitHub)
		e.Fix = "give the job the permission id-token: write, or choose another way with --auth"
		r.fail(e)
	}
}
