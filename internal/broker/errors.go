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

// HostError says that the endpoint does not name the database host that was
// configured, or names none. Nothing was sent to that host.
type HostError struct {
	Configured config.Value[string]
	Endpoint   string
	Named      string
}

func (e *HostError) Error() string {
	if e.Named == "" {
		return fmt.Sprintf("endpoint %s names no host", e.Endpoint)
	}
	return fmt.Sprintf("%s: %s is not the host of %s, which is %s", e.Configured.From, e.Configured.V, e.Endpoint, e.Named)
}
