package credformat

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// formats is the table of all formats, the default first. To add one: a row and a
// function here, its document in formats_test.go, and a line in docs/tools.md.
var formats = []Format{
	{Name: "json", render: renderJSON},
	{Name: "password", rejects: "\r\n", render: renderPassword},
	{Name: "libpq", render: renderLibpq},
	{Name: "credential-process", render: renderCredentialProcess},
	{Name: "exec-credential", render: renderExecCredential},
	{Name: "terraform", render: renderTerraform},
	{Name: "pgpass", rejects: "\r\n", render: renderPGPass},
	{Name: "env", Roots: true, render: posix.render}, // sh, bash, dash, zsh
	{Name: "fish", Roots: true, render: fish.render},
	{Name: "powershell", Roots: true, render: powerShell.render},
	{Name: "dotenv", Roots: true, render: renderDotenv},
	{Name: "url", Roots: true, render: renderURL},
	{Name: "jdbc", Roots: true, render: renderJDBC},
	{Name: "bearer", rejects: "\r\n", render: renderBearer},
	{Name: "github-env", Roots: true, rejects: "\r", render: renderGitHubEnv},
	{Name: "workspace-token", Workspace: true, render: renderWorkspaceToken},
}

// Format is one output format.
type Format struct {
	Name      string
	Workspace bool // renders a workspace token, not a database token
	Roots     bool // names the file of root certificates

	rejects string // characters that no value can contain, besides NUL
	render  func(Answer, Env) (Output, error)
}

// Env reads the environment of the process that prints a format.
type Env func(name string) string

// Output is what a format prints, and what it appends to a file before that.
type Output struct {
	Stdout   []byte
	Append   []byte
	AppendTo string // the environment variable that names the file; empty: there is none
}

// Names returns the names of all formats, the default first.
func Names() []string {
	var out []string
	for _, f := range formats {
		out = append(out, f.Name)
	}
	return out
}

// Lookup returns the format with a name; "" is the default.
func Lookup(name string) (Format, bool) {
	for _, f := range formats {
		if f.Name == name || name == "" {
			return f, true
		}
	}
	return Format{}, false
}

// Check returns an *Error if the environment does not allow the format. It needs no token:
// what fails for an empty answer depends on that alone.
func (f Format) Check(env Env) error {
	_, err := f.render(Answer{}, env)
	return err
}

// Render returns the document of the format. Errors: *Error.
func (f Format) Render(a Answer, env Env) (Output, error) {
	if err := a.check(f.Name, "\x00"+f.rejects); err != nil {
		return Output{}, err
	}
	return f.render(a, env)
}

func line(s string) Output { return Output{Stdout: []byte(s + "\n")} }

// document returns one line of JSON, without escapes for HTML.
func document(v any) (Output, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return Output{Stdout: b.Bytes()}, err
}

// connection is what three documents share, with libpq's keywords.
type connection struct {
	Host     string `json:"host"`
	Port     any    `json:"port"` // a number or its text
	Database string `json:"dbname"`
	User     string `json:"user"`
	Password string `json:"password"`
	SSLMode  string `json:"sslmode"`
}

func (a Answer) connection(port any) connection {
	return connection{a.Host, port, a.Database, a.User, a.Password.Reveal(), a.SSLMode}
}

// renderJSON is the format of this program's own.
func renderJSON(a Answer, _ Env) (Output, error) {
	return document(struct {
		Version int `json:"version"`
		connection
		ExpiresAt string `json:"expires_at,omitempty"`
	}{1, a.connection(a.Port), expiry(a.ExpiresAt)})
}

// renderPassword is for pgAdmin, which trims it, and DBeaver, which reads one line.
func renderPassword(a Answer, _ Env) (Output, error) { return line(a.Password.Reveal()), nil }

// renderLibpq is for Postico: an object of libpq's keywords and nothing else.
func renderLibpq(a Answer, _ Env) (Output, error) {
	return document(a.connection(strconv.Itoa(a.Port)))
}

// renderTerraform is for the data source "external": a flat object of strings.
func renderTerraform(a Answer, _ Env) (Output, error) {
	return document(struct {
		connection
		ExpiresAt string `json:"expires_at"`
	}{a.connection(strconv.Itoa(a.Port)), expiry(a.ExpiresAt)})
}

// renderCredentialProcess is the document of AWS's credential_process, with user and
// password in its two required fields (botocore, credentials.py).
func renderCredentialProcess(a Answer, _ Env) (Output, error) {
	return document(struct {
		Version         int
		AccessKeyId     string //nolint:revive // the document's own name
		SecretAccessKey string
		Expiration      string `json:",omitempty"`
	}{1, a.User, a.Password.Reveal(), expiry(a.ExpiresAt)})
}

// execVersions are the API versions whose status holds a bare token (client-go).
var execVersions = []string{"client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"}

// renderExecCredential is for Kubernetes clients. The document echoes the apiVersion that
// KUBERNETES_EXEC_INFO requests, v1 if it is not set (client-go, plugin/pkg/client/auth/exec).
func renderExecCredential(a Answer, env Env) (Output, error) {
	const name = "KUBERNETES_EXEC_INFO"
	const fix = "unset " + name + " if no Kubernetes client runs this, else update the client"
	type status struct {
		Token               string `json:"token"`
		ExpirationTimestamp string `json:"expirationTimestamp,omitempty"`
	}
	doc := struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Status     status `json:"status"`
	}{execVersions[0], "ExecCredential", status{a.Password.Reveal(), expiry(a.ExpiresAt)}}
	if info := env(name); info != "" {
		var asked struct {
			APIVersion string `json:"apiVersion"`
		}
		if err := json.Unmarshal([]byte(info), &asked); err != nil {
			return Output{}, &Error{name + ": not JSON: " + err.Error(), fix}
		}
		if !slices.Contains(execVersions, asked.APIVersion) {
			supported := strings.Join(execVersions, " and ")
			return Output{}, &Error{fmt.Sprintf("%s: unsupported apiVersion %q; supported are %s", name, asked.APIVersion, supported), fix}
		}
		doc.APIVersion = asked.APIVersion
	}
	return document(doc)
}

// renderPGPass is a line of ~/.pgpass for every database of the server. A field
// cannot contain a line end (PostgreSQL manual, "The Password File").
func renderPGPass(a Answer, _ Env) (Output, error) {
	escape := strings.NewReplacer(`\`, `\\`, `:`, `\:`).Replace
	return line(strings.Join([]string{escape(a.Host), strconv.Itoa(a.Port), "*", escape(a.User), escape(a.Password.Reveal())}, ":")), nil
}

func renderURL(a Answer, _ Env) (Output, error) {
	return line(a.url(true, "sslmode", "sslrootcert")), nil
}

func renderJDBC(a Answer, _ Env) (Output, error) { return line(a.jdbc()), nil }

// renderBearer is for curl's -H @-, with which the token is no argument.
func renderBearer(a Answer, _ Env) (Output, error) {
	return line("Authorization: Bearer " + a.Password.Reveal()), nil
}

// renderGitHubEnv is for a workflow step: it masks the token on stdout, and appends
// the variables to the file that GITHUB_ENV names (GitHub documentation, "Workflow
// commands").
func renderGitHubEnv(a Answer, env Env) (Output, error) {
	const name = "GITHUB_ENV"
	if env(name) == "" {
		return Output{}, &Error{name + ": not set: format github-env works in a step of GitHub Actions only",
			"run it in a step of GitHub Actions, or choose another --format"}
	}
	if err := (Answer{Password: a.Password}).check("github-env", "\n"); err != nil {
		return Output{}, err
	}
	var b strings.Builder
	delimiter := "LAKEBASE_" + rand.Text() // no value contains it
	for _, f := range a.variables() {
		b.WriteString(f.env + "<<" + delimiter + "\n" + f.value + "\n" + delimiter + "\n")
	}
	out := line("::add-mask::" + strings.ReplaceAll(a.Password.Reveal(), "%", "%25"))
	out.Append, out.AppendTo = []byte(b.String()), name
	return out, nil
}

// renderWorkspaceToken is the document of "databricks auth token".
func renderWorkspaceToken(a Answer, _ Env) (Output, error) {
	return document(struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		Expiry      string `json:"expiry"`
	}{a.Password.Reveal(), "Bearer", expiry(a.ExpiresAt)})
}
