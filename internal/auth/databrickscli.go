package auth

import (
	"context"
	"encoding/json"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// AuthCLI is the login of the Databricks CLI, which refreshes what it has stored
// (databricks/cli, cmd/auth/token.go).
const AuthCLI = "databricks-cli"

func configureCLI(_ context.Context, e *env) (Source, Identity, error) {
	return sourceFunc(e.cliToken), Identity{}, nil
}

// cliTimeout bounds a run of the Databricks CLI, which does not prompt.
const cliTimeout = 30 * time.Second

func (e *env) cliToken(ctx context.Context) (credential.Token, error) {
	e.Observer.Stage(StageExchange, e.conf.Workspace.Value.HostPort())
	ctx, cancel := context.WithTimeout(ctx, cliTimeout)
	defer cancel()
	argv := []string{"databricks", "auth", "token", "--host", e.conf.Workspace.Value.URL(), "--output", "json"}
	if section := e.conf.DatabricksProfile.Value; section != "" {
		argv = append(argv, "--profile", section)
	}
	out, err := e.Process.RunTool(ctx, argv...)
	if err != nil {
		return credential.Token{}, &SourceError{Problem: "databricks auth token: " + err.Error(),
			Fix: "run: databricks auth login --host " + e.conf.Workspace.Value.URL() + " (it needs the Databricks CLI in PATH)"}
	}
	return parseCLIToken(out, time.Now())
}

// parseCLIToken reads the CLI's JSON. Its text is not shown in errors: it contains
// the token.
func parseCLIToken(text []byte, now time.Time) (credential.Token, error) {
	var a struct {
		AccessToken string    `json:"access_token"`
		Expiry      time.Time `json:"expiry"`
	}
	unreadable := json.Unmarshal(text, &a)
	value, err := credential.ParseSecret(a.AccessToken)
	if unreadable != nil || err != nil {
		return credential.Token{}, &SourceError{Problem: "databricks auth token returned no valid access_token",
			Fix: "run it to see its output, and check that its version is 0.200 or later"}
	}
	t := credential.Token{Value: value, MintedAt: now, ExpiresAt: now.Add(credential.MaxLife)}
	if !a.Expiry.IsZero() && a.Expiry.Before(t.ExpiresAt) {
		t.ExpiresAt = a.Expiry.UTC()
	}
	if !t.ExpiresAt.After(now) {
		return credential.Token{}, &SourceError{Problem: "databricks auth token returned an expired token", Fix: "compare this machine's clock with the workspace's"}
	}
	return t, nil
}
