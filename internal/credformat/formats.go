package credformat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Context is what a caller says of itself, where its format depends on it.
type Context struct {
	// ExecInfo is KUBERNETES_EXEC_INFO, whose apiVersion has to be echoed
	// (client-go, plugin/pkg/client/auth/exec).
	ExecInfo string
}

type formatter func(Answer, Context) ([]byte, error)

var formats = []struct {
	name   string
	render formatter
}{
	{"json", ownJSON},
	{"password", password},
	{"libpq", libpq},
	{"credential-process", credentialProcess},
	{"exec-credential", execCredential},
	{"terraform", terraform},
	{"pgpass", pgpass},
	{"env", posix},
	{"fish", fish},
	{"powershell", powershell},
	{"dotenv", dotenv},
	{"url", func(a Answer, _ Context) ([]byte, error) { return line(a.URL(true)), nil }},
	{"jdbc", func(a Answer, _ Context) ([]byte, error) { return line(a.JDBC()), nil }},
}

// Formats lists the names that Render takes, the default first.
func Formats() []string {
	var out []string
	for _, f := range formats {
		out = append(out, f.name)
	}
	return out
}

// Render gives the one document that a format's caller reads from stdout. It
// refuses with *Error what the format cannot hold, and with another error an
// unknown format or context.
func Render(format string, a Answer, c Context) ([]byte, error) {
	for _, f := range formats {
		if f.name != format {
			continue
		}
		if err := a.check(format, "\x00"); err != nil {
			return nil, err
		}
		return f.render(a, c)
	}
	return nil, fmt.Errorf("%q is none of the formats %s", format, strings.Join(Formats(), ", "))
}

func line(s string) []byte { return []byte(s + "\n") }

// document is one line of JSON; HTML's characters stand as they are.
func document(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return b.Bytes(), err
}

func ownJSON(a Answer, _ Context) ([]byte, error) {
	return document(struct {
		Version   int    `json:"version"`
		Host      string `json:"host"`
		Port      int    `json:"port"`
		Database  string `json:"dbname"`
		User      string `json:"user"`
		Password  string `json:"password"`
		SSLMode   string `json:"sslmode"`
		ExpiresAt string `json:"expires_at"`
	}{1, a.Host, a.Port, a.Database, a.User, a.Password.Reveal(), a.SSLMode, expiry(a.ExpiresAt)})
}

// password is for pgAdmin, which strips it, and DBeaver, which takes its first line.
func password(a Answer, _ Context) ([]byte, error) {
	if err := (Answer{Password: a.Password}).check("password", "\r\n"); err != nil {
		return nil, err
	}
	return line(a.Password.Reveal()), nil
}

// libpq is Postico's: keys are libpq's keywords and nothing else.
func libpq(a Answer, _ Context) ([]byte, error) {
	return document(struct {
		Host     string `json:"host"`
		Port     string `json:"port"`
		Database string `json:"dbname"`
		User     string `json:"user"`
		Password string `json:"password"`
		SSLMode  string `json:"sslmode"`
	}{a.Host, strconv.Itoa(a.Port), a.Database, a.User, a.Password.Reveal(), a.SSLMode})
}

// credentialProcess is the envelope of AWS' credential_process, with user and
// password in its two required fields (botocore, credentials.py).
func credentialProcess(a Answer, _ Context) ([]byte, error) {
	return document(struct {
		Version         int
		AccessKeyId     string //nolint:revive // the envelope's own name
		SecretAccessKey string
		Expiration      string
	}{1, a.User, a.Password.Reveal(), expiry(a.ExpiresAt)})
}

// execVersions are the ones whose status holds a bare token (client-go).
var execVersions = []string{"client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"}

// ExecVersion gives the apiVersion that a caller's KUBERNETES_EXEC_INFO asks for;
// without one it is v1.
func ExecVersion(info string) (string, error) {
	if info == "" {
		return execVersions[0], nil
	}
	var asked struct {
		APIVersion string `json:"apiVersion"`
	}
	if err := json.Unmarshal([]byte(info), &asked); err != nil {
		return "", fmt.Errorf("is not JSON: %w", err)
	}
	if !slices.Contains(execVersions, asked.APIVersion) {
		return "", fmt.Errorf("asks for %q; there are %s", asked.APIVersion, strings.Join(execVersions, " and "))
	}
	return asked.APIVersion, nil
}

func execCredential(a Answer, c Context) ([]byte, error) {
	version, err := ExecVersion(c.ExecInfo)
	if err != nil {
		return nil, fmt.Errorf("KUBERNETES_EXEC_INFO %w", err)
	}
	type status struct {
		Token               string `json:"token"`
		ExpirationTimestamp string `json:"expirationTimestamp"`
	}
	return document(struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Status     status `json:"status"`
	}{version, "ExecCredential", status{a.Password.Reveal(), expiry(a.ExpiresAt)}})
}

// terraform is for the data source "external": a flat object of strings.
func terraform(a Answer, _ Context) ([]byte, error) {
	return document(struct {
		Host      string `json:"host"`
		Port      string `json:"port"`
		Database  string `json:"dbname"`
		User      string `json:"user"`
		Password  string `json:"password"`
		SSLMode   string `json:"sslmode"`
		ExpiresAt string `json:"expires_at"`
	}{a.Host, strconv.Itoa(a.Port), a.Database, a.User, a.Password.Reveal(), a.SSLMode, expiry(a.ExpiresAt)})
}

// pgpass is a line of ~/.pgpass for every database of the server. The file holds
// no line ends in a field (PostgreSQL manual, "The Password File").
func pgpass(a Answer, _ Context) ([]byte, error) {
	if err := a.check("pgpass", "\r\n"); err != nil {
		return nil, err
	}
	esc := strings.NewReplacer(`\`, `\\`, `:`, `\:`).Replace
	return line(strings.Join([]string{esc(a.Host), strconv.Itoa(a.Port), "*", esc(a.User), esc(a.Password.Reveal())}, ":")), nil
}

// WorkspaceToken is how `databricks auth token` prints a workspace token.
func WorkspaceToken(token string, expires time.Time) ([]byte, error) {
	return document(struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		Expiry      string `json:"expiry"`
	}{token, "Bearer", expiry(expires)})
}
