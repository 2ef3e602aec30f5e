package control

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// setters are the names that `ctl set` knows, each with what reads its value.
var setters = map[string]func(s *emulator.Settings, value string) error{
	"latency":              duration(func(s *emulator.Settings) *time.Duration { return &s.Latency }),
	"connect-latency":      duration(func(s *emulator.Settings) *time.Duration { return &s.ConnectLatency }),
	"workspace-token-life": duration(func(s *emulator.Settings) *time.Duration { return &s.WorkspaceTokenLife }),
	"token-life":           duration(func(s *emulator.Settings) *time.Duration { return &s.DatabaseTokenLife }),
	"clock-skew":           duration(func(s *emulator.Settings) *time.Duration { return &s.ClockSkew }),
	"expires-in":           field(func(s *emulator.Settings) *emulator.Field { return &s.ExpiresIn }, emulator.Missing, emulator.String, emulator.Zero, emulator.Negative),
	"expire-time":          field(func(s *emulator.Settings) *emulator.Field { return &s.ExpireTime }, emulator.Missing),
	"secret-revoked":       truth(func(s *emulator.Settings) *bool { return &s.SecretRevoked }),
	"secrets-denied":       truth(func(s *emulator.Settings) *bool { return &s.SecretsDenied }),
	"secret-delay":         duration(func(s *emulator.Settings) *time.Duration { return &s.SecretDelay }),
	"no-workspace-access":  truth(func(s *emulator.Settings) *bool { return &s.NoWorkspaceAccess }),
	"endpoint-disabled":    truth(func(s *emulator.Settings) *bool { return &s.EndpointDisabled }),
	"role-missing":         truth(func(s *emulator.Settings) *bool { return &s.RoleMissing }),
	"plain-expired-text":   truth(func(s *emulator.Settings) *bool { return &s.PlainExpiredText }),
	"endpoint-host":        text(func(s *emulator.Settings) *string { return &s.EndpointHost }),
	"read-only-host":       text(func(s *emulator.Settings) *string { return &s.ReadOnlyHost }),
	"workspace-password":   truth(func(s *emulator.Settings) *bool { return &s.WorkspacePassword }),
	"instance-state":       instanceState,
	"page-size":            pageSize,
	"ip-not-allowed":       truth(func(s *emulator.Settings) *bool { return &s.IPNotAllowed }),

	"user":                  text(func(s *emulator.Settings) *string { return &s.User }),
	"code-life":             duration(func(s *emulator.Settings) *time.Duration { return &s.CodeLife }),
	"refresh-life":          duration(func(s *emulator.Settings) *time.Duration { return &s.RefreshLife }),
	"refresh-rotates":       truth(func(s *emulator.Settings) *bool { return &s.RefreshRotates }),
	"refresh-reuse-revokes": truth(func(s *emulator.Settings) *bool { return &s.RefreshReuseRevokes }),
	"refresh-revoked":       truth(func(s *emulator.Settings) *bool { return &s.RefreshRevoked }),
	"refresh-invalid-grant": truth(func(s *emulator.Settings) *bool { return &s.RefreshInvalidGrant }),
	"pat-revoked":           truth(func(s *emulator.Settings) *bool { return &s.PATRevoked }),

	"audience":      text(func(s *emulator.Settings) *string { return &s.Audience }),
	"subject":       text(func(s *emulator.Settings) *string { return &s.Subject }),
	"workload-life": duration(func(s *emulator.Settings) *time.Duration { return &s.WorkloadLife }),

	"unified":                        truth(func(s *emulator.Settings) *bool { return &s.Unified }),
	"account-placeholder":            truth(func(s *emulator.Settings) *bool { return &s.AccountPlaceholder }),
	"workspace-header":               truth(func(s *emulator.Settings) *bool { return &s.WorkspaceHeader }),
	"audiences":                      audiences,
	"foreign-oidc-endpoint":          text(func(s *emulator.Settings) *string { return &s.ForeignOIDCEndpoint }),
	"foreign-token-endpoint":         text(func(s *emulator.Settings) *string { return &s.ForeignTokenEndpoint }),
	"foreign-authorization-endpoint": text(func(s *emulator.Settings) *string { return &s.ForeignAuthorizationEndpoint }),
}

// set reads NAME=VALUE words; either all of them hold or none.
func set(l *emulator.Lakebase, words []string) error {
	if len(words) == 0 {
		return fmt.Errorf("%w: ctl set NAME=VALUE…, where NAME is one of %s", ErrUsage, names())
	}
	probe := l.Settings()
	if err := Apply(&probe, words...); err != nil {
		return err
	}
	l.Set(func(s *emulator.Settings) { _ = Apply(s, words...) }) // which the probe has shown to hold
	return nil
}

// Apply sets what NAME=VALUE words say, in order; ErrUsage marks one that does
// not hold.
func Apply(s *emulator.Settings, words ...string) error {
	for _, w := range words {
		name, value, ok := strings.Cut(w, "=")
		setter := setters[name]
		if !ok || setter == nil {
			return fmt.Errorf("%w: %q is no NAME=VALUE with a NAME of %s", ErrUsage, w, names())
		}
		if err := setter(s, value); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrUsage, name, err)
		}
	}
	return nil
}

func names() string {
	var out []string
	for n := range setters {
		out = append(out, n)
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

func duration(at func(*emulator.Settings) *time.Duration) func(*emulator.Settings, string) error {
	return func(s *emulator.Settings, value string) error {
		d, err := time.ParseDuration(value)
		if err == nil {
			*at(s) = d
		}
		return err
	}
}

func text(at func(*emulator.Settings) *string) func(*emulator.Settings, string) error {
	return func(s *emulator.Settings, value string) error {
		*at(s) = value
		return nil
	}
}

func truth(at func(*emulator.Settings) *bool) func(*emulator.Settings, string) error {
	return func(s *emulator.Settings, value string) error {
		b, err := strconv.ParseBool(value)
		if err == nil {
			*at(s) = b
		}
		return err
	}
}

func field(at func(*emulator.Settings) *emulator.Field, allowed ...emulator.Field) func(*emulator.Settings, string) error {
	return func(s *emulator.Settings, value string) error {
		if f := emulator.Field(value); value == "" || slices.Contains(allowed, f) {
			*at(s) = f
			return nil
		}
		return fmt.Errorf("%q is none of %v", value, allowed)
	}
}

// pageSize reads a number; 0 is the API's own.
func pageSize(s *emulator.Settings, value string) error {
	n, err := strconv.Atoi(value)
	if err == nil && n < 0 {
		err = fmt.Errorf("%d is below 0", n)
	}
	if err == nil {
		s.PageSize = n
	}
	return err
}

// audiences reads names with commas between them, "none" for a document without
// the field, or nothing for the policy's own.
func audiences(s *emulator.Settings, value string) error {
	switch value {
	case "":
		s.Audiences = nil
	case "none":
		s.Audiences = []string{}
	default:
		s.Audiences = strings.Split(value, ",")
	}
	return nil
}

// instanceState reads one of the API's words, or none: the compute's own.
func instanceState(s *emulator.Settings, value string) error {
	if state := emulator.InstanceState(value); value == "" || slices.Contains(emulator.InstanceStates(), state) {
		s.InstanceState = state
		return nil
	}
	return fmt.Errorf("%q is none of %v", value, emulator.InstanceStates())
}
