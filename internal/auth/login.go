package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/url"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// Login is one login of a user by authorization code (RFC 6749 4.1, RFC 7636). Its random
// values are used once.
type Login struct {
	conf     config.Config
	api      LoginAPI
	observer Observer
	State    string            // the redirect returns it; 130 bits
	verifier credential.Secret // 52 characters, 260 bits (RFC 7636 4.1)
}

// NewLogin returns a login with new random values.
func NewLogin(conf config.Config, api LoginAPI, o Observer) *Login {
	return &Login{conf: conf, api: api, observer: o, State: rand.Text(), verifier: credential.NewSecret(rand.Text() + rand.Text())}
}

// challenge returns the SHA-256 of a verifier, for the method S256 (RFC 7636 4.2).
func challenge(verifier credential.Secret) string {
	sum := sha256.Sum256([]byte(verifier.Reveal()))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

var (
	errNotRedirect = errors.New("not the redirect URL of this login")
	errUsed        = errors.New("this login already has its code")
)

// DeniedError is a redirect that reports an error (RFC 6749 4.1.2.1). Its texts come
// from the server by way of a browser: they are bounded, but not escaped.
type DeniedError struct {
	Code        string // access_denied, …
	Description string // one line; may be empty
	Scope       string // that was requested; may be empty
}

const invalidScope = "invalid_scope"

func (e *DeniedError) Error() string {
	login := "the login"
	if e.Code == invalidScope {
		login += " with the scope " + e.Scope
	}
	return strings.TrimSuffix("the workspace refused "+login+": "+e.Code+": "+e.Description, ": ")
}

// Hint returns what to do about it.
func (e *DeniedError) Hint() string {
	if e.Code == invalidScope {
		return "run the login again with another --scope"
	}
	return "run the login again, and allow it in the browser as the right user"
}

// parseQuery returns the code in a redirect's query. A repeated parameter is refused
// (RFC 6749 3.1): it is ambiguous. The error is errNotRedirect or a *DeniedError.
func (l *Login) parseQuery(query string) (code credential.Secret, err error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return code, errNotRedirect // its text would contain the code
	}
	for _, name := range []string{"state", "code", "error", "error_description"} {
		if len(values[name]) > 1 {
			return code, errNotRedirect
		}
	}
	if l.State == "" || subtle.ConstantTimeCompare([]byte(values.Get("state")), []byte(l.State)) != 1 {
		return code, errNotRedirect
	}
	if denied := sanitize.Line(values.Get("error")); denied != "" {
		return code, &DeniedError{denied, sanitize.Line(values.Get("error_description")), l.conf.Scope.Value}
	}
	if values.Get("code") == "" {
		return code, errNotRedirect
	}
	return credential.NewSecret(values.Get("code")), nil
}

// ParsePasted returns the code in the address of a redirect that a user copied from the
// browser, with or without its scheme. The errors are those of parseQuery.
func (l *Login) ParsePasted(text string) (code credential.Secret, err error) {
	text = strings.Trim(strings.TrimSpace(text), `"'<>`)
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" || u.User != nil || !isLoopback(u.Hostname()) || strings.Trim(u.Path, "/") != "" {
		return code, errNotRedirect // the port is not compared: the state is stronger
	}
	return l.parseQuery(u.RawQuery)
}

func isLoopback(host string) bool {
	return strings.EqualFold(host, "localhost") || host == "127.0.0.1" || host == "::1"
}

// LoginAPI makes one attempt at each call of a user's login. *exchange.Client
// implements it.
type LoginAPI interface {
	AuthorizeURL(state, challenge, redirectURI string) string
	CodeToken(ctx context.Context, code, verifier credential.Secret, redirectURI string) (exchange.Grant, error)
	Me(ctx context.Context, bearer credential.Secret) (exchange.Identity, error)
	Discover(ctx context.Context) (exchange.Discovery, error)
}

// AuthorizeURL returns the address at which a user signs in. The host is always
// asked where that is: a browser that was sent to a missing page reports nothing.
func (l *Login) AuthorizeURL(ctx context.Context, redirectURI string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, l.conf.Timeout.Value)
	defer cancel()
	_, err := exchange.Retry(ctx, l.api.Discover)
	e, ok := errors.AsType[*exchange.Error](err)
	if ok && (e.Kind == exchange.KindNotJSON || e.Kind == exchange.KindRedirect || e.Status/100 == 4) { // most hosts need none
		l.observer.Note("no discovery document: " + err.Error())
	} else if err != nil {
		return "", err
	}
	return l.api.AuthorizeURL(l.State, challenge(l.verifier), redirectURI), nil
}

// UserGrant is the result of a user's login, which is not stored yet.
type UserGrant struct {
	User    string
	Token   credential.Token
	Refresh credential.Secret
}

// Exchange exchanges the code of a redirect for tokens, and asks the workspace who has
// signed in, unless the scope keeps it from doing so.
func (l *Login) Exchange(ctx context.Context, code credential.Secret, redirectURI string) (UserGrant, error) {
	ctx, cancel := context.WithTimeout(ctx, l.conf.Timeout.Value)
	defer cancel()
	host := l.conf.Workspace.Value.HostPort()
	l.observer.Stage(StageExchange, host)
	grant, err := exchange.Retry(ctx, func(ctx context.Context) (exchange.Grant, error) {
		return l.api.CodeToken(ctx, code, l.verifier, redirectURI)
	})
	if err != nil {
		return UserGrant{}, err
	}
	if grant.Refresh.IsZero() {
		return UserGrant{}, &exchange.Error{Call: exchange.CallCode, Host: host, Kind: exchange.KindBadReply,
			Message: "it contains no refresh token"}
	}
	user := l.conf.User.Value
	if l.conf.CanAskUser() == nil {
		user, err = UserName(ctx, l.conf, l.api.Me, grant.Token.Value)
	} else if subject := claimsOf(grant.Token.Value).Subject; strings.Contains(subject, "@") {
		user = subject // the program rejects another user than the configured one
	}
	return UserGrant{User: user, Token: grant.Token, Refresh: grant.Refresh}, err
}

// UserName returns the user name of the token's owner.
func UserName(ctx context.Context, conf config.Config, me func(context.Context, credential.Secret) (exchange.Identity, error),
	bearer credential.Secret) (string, error) {
	if err := conf.CanAskUser(); err != nil {
		return "", err
	}
	owner, err := exchange.Retry(ctx, func(ctx context.Context) (exchange.Identity, error) { return me(ctx, bearer) })
	if err != nil {
		return "", err
	}
	return config.CheckUser(owner.UserName, "the user name from "+conf.Workspace.Value.HostPort())
}

// Identity returns who has signed in.
func (g UserGrant) Identity(conf config.Config) Identity { return browserIdentity(conf, g.User) }

// Chain returns a chain that signs in with the new token alone.
func (g UserGrant) Chain(conf config.Config) *Chain {
	source := func(context.Context) (credential.Token, error) { return g.Token, nil }
	return &Chain{links: []link{{source: sourceFunc(source), identity: g.Identity(conf)}}}
}
