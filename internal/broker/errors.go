package broker

import (
	"fmt"

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
	return fmt.Sprintf("%s: %s is not the %s of %s, which is %s", e.Configured.From, e.Configured.V, hostName(e.ReadOnly), e.Target, e.Named)
}
