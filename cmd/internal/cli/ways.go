package cli

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/pgenv"
	"github.com/lakebase-exec/lakebase-exec/internal/process"
	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
)

// WayError says that a way in cannot give what the workspace is to be given.
type WayError = auth.SourceError

// accounts lists what is stored, in files and in the keychain. A keychain that
// cannot be read hides no file.
func (p *Process) accounts(index keychain.Index) func(context.Context) ([]string, error) {
	return func(ctx context.Context) ([]string, error) {
		files, _, err := p.SecretFiles().List()
		if err != nil {
			return nil, err
		}
		listed, err := index.List(ctx)
		if err != nil && !errors.Is(err, keychain.ErrNotFound) && len(files) == 0 {
			return nil, err
		}
		return append(files, listed...), nil
	}
}

// keepRefresh stores a refresh token where the one before it stands.
func (p *Process) keepRefresh(chain *keychain.Keychain, index keychain.Index) func(context.Context, string, credential.Secret) error {
	return func(ctx context.Context, account string, s credential.Secret) error {
		files := p.SecretFiles()
		if _, err := files.Get(account); err == nil {
			return files.Set(account, s)
		}
		return replaceItem(ctx, chain, index, account, s)
	}
}

// maxWorkloadToken bounds the file of a workload's token, in bytes.
const maxWorkloadToken = 64 << 10

// workloadToken gives a workload's token as it is now: its file is written anew
// by whoever runs the workload, and GitHub's is asked for.
func (p *Process) workloadToken(conf config.Config) func(context.Context, string) (credential.Secret, error) {
	finder := p.Roots()
	return func(ctx context.Context, audience string) (credential.Secret, error) {
		if conf.Secret.Kind == config.SecretInFile {
			return readWorkloadToken(conf.Secret)
		}
		if conf.GitHub == nil {
			return credential.Secret{}, &WayError{Problem: "there is no token of GitHub's here", Fix: "give the job the permission id-token: write"}
		}
		return exchange.GitHubToken(ctx, exchange.GitHub{
			URL: conf.GitHub.URL, Token: conf.GitHub.Token, Audience: audience,
			Options: exchange.Options{
				UserAgent: p.Program + "/" + Version(),
				LoadRoots: func() (*x509.CertPool, error) { return finder.Workspace(conf.CACert.Value) },
				Proxy:     p.ProxySettings(),
			},
		})
	}
}

// readWorkloadToken reads a token that a platform has put into a file, such as
// Kubernetes' projected one: who owns it is the platform's business.
func readWorkloadToken(from config.SecretSource) (credential.Secret, error) {
	fail := func(problem string) error {
		return &WayError{Problem: from.Source.String() + ": " + problem, Fix: "name a file that holds the workload's token, and nothing else"}
	}
	f, err := securefile.OpenRegular(from.Path, os.O_RDONLY)
	if err != nil {
		return credential.Secret{}, fail(err.Error())
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxWorkloadToken+1))
	text := strings.TrimSpace(string(data))
	switch {
	case err != nil:
		return credential.Secret{}, fail(err.Error())
	case text == "":
		return credential.Secret{}, fail(from.Path + " is empty")
	case len(data) > maxWorkloadToken:
		return credential.Secret{}, fail(from.Path + " is longer than 64 KiB")
	}
	return credential.NewSecret(text), nil
}

// cliTime bounds a run of the Databricks CLI, in which a person may be asked
// nothing.
const cliTime = 30 * time.Second

// databricksCLI runs "databricks auth token", which refreshes what it has stored
// (databricks/cli, cmd/auth/token.go).
func (p *Process) databricksCLI(conf config.Config) func(context.Context) (credential.Token, error) {
	return func(ctx context.Context) (credential.Token, error) {
		ctx, cancel := context.WithTimeout(ctx, cliTime)
		defer cancel()
		argv := []string{"databricks", "auth", "token", "--host", conf.Workspace.Value.URL(), "--output", "json"}
		if conf.DatabricksProfile.Value != "" {
			argv = append(argv, "--profile", conf.DatabricksProfile.Value)
		}
		found, err := process.Find(argv, p.ToolSearch())
		if err != nil {
			return credential.Token{}, &WayError{Problem: "--auth databricks-cli: the program databricks is not in PATH", Fix: "install the Databricks CLI, or choose another authentication type with --auth"}
		}
		cmd := exec.CommandContext(ctx, found.Path)
		cmd.Args, cmd.Env = found.Argv, pgenv.WithoutSecrets(p.Environ) // it signs in by what it has stored itself
		cmd.WaitDelay = time.Second
		var out, words bytes.Buffer
		cmd.Stdout, cmd.Stderr = &limited{&out, maxWorkloadToken}, &limited{&words, 4 << 10}
		if err := cmd.Run(); err != nil {
			line, _, _ := strings.Cut(strings.TrimSpace(words.String()), "\n")
			return credential.Token{}, &WayError{Problem: "databricks auth token: " + err.Error() + ": " + line, Fix: "run: databricks auth login --host " + conf.Workspace.Value.URL()}
		}
		return cliToken(out.Bytes(), time.Now())
	}
}

// cliToken reads the answer; its words are not shown, as the token stands in it.
func cliToken(text []byte, now time.Time) (credential.Token, error) {
	var a struct {
		AccessToken string    `json:"access_token"`
		Expiry      time.Time `json:"expiry"`
	}
	if json.Unmarshal(text, &a) != nil || a.AccessToken == "" {
		return credential.Token{}, &WayError{Problem: "databricks auth token gave no access_token", Fix: "see what it says when you run it, and whether its version is 0.200 or later"}
	}
	t := credential.Token{Value: credential.NewSecret(a.AccessToken), MintedAt: now, ExpiresAt: now.Add(credential.MaxLife)}
	if !a.Expiry.IsZero() && a.Expiry.Before(t.ExpiresAt) {
		t.ExpiresAt = a.Expiry.UTC()
	}
	if !t.ExpiresAt.After(now) {
		return credential.Token{}, &WayError{Problem: "databricks auth token gave a token that has expired", Fix: "compare this machine's clock with the workspace's"}
	}
	return t, nil
}

// limited takes at most n bytes, and an error beyond.
type limited struct {
	buf *bytes.Buffer
	n   int
}

func (l *limited) Write(b []byte) (int, error) {
	if l.buf.Len()+len(b) > l.n {
		return 0, errors.New("too much output")
	}
	return l.buf.Write(b)
}
