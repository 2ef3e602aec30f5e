package broker

import (
	"fmt"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
)

// NoSecretError says that the service principal's secret is not to be had. Err
// is the keychain's reason.
type NoSecretError struct {
	Host, ClientID string
	Notes          []config.Note // a secret may have been given, for another target
	Err            error
}

func (e *NoSecretError) Error() string {
	return fmt.Sprintf("no secret for client %s at %s: %v", e.ClientID, e.Host, e.Err)
}

func (e *NoSecretError) Unwrap() error { return e.Err }

// SecretFileError says that a file named for the secret cannot be used.
type SecretFileError struct {
	From config.Source
	Err  error
}

func (e *SecretFileError) Error() string { return fmt.Sprintf("%s: %v", e.From, e.Err) }
func (e *SecretFileError) Unwrap() error { return e.Err }

// HostError says that the target does not name the database host that was
// configured, or names none. Nothing was sent to that host.
type HostError struct {
	Configured config.Value[string]
	Target     string
	ReadOnly   bool // its read-only host was asked for
	Named      string
}

func hostName(readOnly bool) string {
	if readOnly {
		return "read-only host"
	}
	return "host"
}

func (e *HostError) Error() string {
	if e.Named == "" {
		return fmt.Sprintf("%s names no %s", e.Target, hostName(e.ReadOnly))
	}
	return fmt.Sprintf("%s: %s is not the %s of %s, which is %s", e.Configured.Source, e.Configured.Value, hostName(e.ReadOnly), e.Target, e.Named)
}

// NoPersonError says that no person's refresh token is to be had, or that it is
// not clear whose. Err is the store's reason, or nil.
type NoPersonError struct {
	Host, User string
	Others     []string // who has signed in at Host
	Err        error
}

func (e *NoPersonError) Error() string {
	switch {
	case len(e.Others) > 1:
		return fmt.Sprintf("several people have signed in at %s: %s", e.Host, strings.Join(e.Others, ", "))
	case e.User != "" && e.Err != nil:
		return fmt.Sprintf("no login of %s at %s: %v", e.User, e.Host, e.Err)
	case e.Err != nil:
		return fmt.Sprintf("no client id is given, and who has signed in at %s is not to be had: %v", e.Host, e.Err)
	}
	return fmt.Sprintf("no client id is given, and no person has signed in at %s", e.Host)
}

func (e *NoPersonError) Unwrap() error { return e.Err }

// SignedOutError says that the workspace takes a person's refresh token no more.
type SignedOutError struct {
	Host, User string
	Err        error
}

func (e *SignedOutError) Error() string {
	return fmt.Sprintf("the login of %s at %s is over: %v", e.User, e.Host, e.Err)
}

func (e *SignedOutError) Unwrap() error { return e.Err }

// Claims are what a workload's token says of itself. They are not checked.
type Claims struct{ Issuer, Subject, Audience string }

// FederationError says that the workspace does not take a workload's token.
type FederationError struct {
	Claims Claims
	Err    error
}

func (e *FederationError) Error() string {
	return fmt.Sprintf("%v (the token's iss is %q, its sub %q, its aud %q)", e.Err, e.Claims.Issuer, e.Claims.Subject, e.Claims.Audience)
}

func (e *FederationError) Unwrap() error { return e.Err }

// TargetError says that a target's short name does not name one endpoint.
type TargetError struct {
	Name    string
	From    config.Source
	Problem string
	Choices []string // whole names of endpoints, or the resource names that are there
}

func (e *TargetError) Error() string { return fmt.Sprintf("%s: %s %s", e.From, e.Name, e.Problem) }
