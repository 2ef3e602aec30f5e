package broker

import (
	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/lakebase"
)

// The errors of the packages that replace this one.
type (
	NoSecretError   = auth.NoSecretError
	SecretFileError = auth.SecretFileError
	NoPersonError   = auth.NoLoginError
	SignedOutError  = auth.LoginExpiredError
	FederationError = auth.FederationError
	Claims          = auth.Claims
	HostError       = lakebase.HostError
	TargetError     = lakebase.TargetError
)

func hostName(readOnly bool) string {
	if readOnly {
		return "read-only host"
	}
	return "host"
}
