package control

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// setters are the names that `ctl set` knows, each with what reads its value.
var setters = map[string]func(s *emulator.Switches, value string) error{
	"latency":              duration(func(s *emulator.Switches) *time.Duration { return &s.Latency }),
	"connect-latency":      duration(func(s *emulator.Switches) *time.Duration { return &s.ConnectLatency }),
	"workspace-token-life": duration(func(s *emulator.Switches) *time.Duration { return &s.WorkspaceTokenLife }),
	"token-life":           duration(func(s *emulator.Switches) *time.Duration { return &s.DatabaseTokenLife }),
	"clock-skew":           duration(func(s *emulator.Switches) *time.Duration { return &s.ClockSkew }),
	"expires-in":           field(func(s *emulator.Switches) *emulator.Field { return &s.ExpiresIn }, emulator.Missing, emulator.String, emulator.Zero, emulator.Negative),
	"expire-time":          field(func(s *emulator.Switches) *emulator.Field { return &s.ExpireTime }, emulator.Missing),
	"secret-revoked":       truth(func(s *emulator.Switches) *bool { return &s.SecretRevoked }),
	"secrets-denied":       truth(func(s *emulator.Switches) *bool { return &s.SecretsDenied }),
	"secret-delay":         duration(func(s *emulator.Switches) *time.Duration { return &s.SecretDelay }),
	"no-workspace-access":  truth(func(s *emulator.Switches) *bool { return &s.NoWorkspaceAccess }),
	"endpoint-disabled":    truth(func(s *emulator.Switches) *bool { return &s.EndpointDisabled }),
	"role-missing":         truth(func(s *emulator.Switches) *bool { return &s.RoleMissing }),
	"plain-expired-text":   truth(func(s *emulator.Switches) *bool { return &s.PlainExpiredText }),
	"endpoint-host":        text(func(s *emulator.Switches) *string { return &s.EndpointHost }),
	"read-only-host":       text(func(s *emulator.Switches) *string { return &s.ReadOnlyHost }),
	"workspace-password":   truth(func(s *emulator.Switches) *bool { return &s.WorkspacePassword }),
	"instance-state":       instanceState,
	"page-size":            pageSize,
	"ip-not-allowed":       truth(func(s *emulator.Switches) *bool { return &s.IPNotAllowed }),

	"person":                text(func(s *emulator.Switches) *string { return &s.Person }),
	"code-life":             duration(func(s *emulator.Switches) *time.Duration { return &s.CodeLife }),
	"refresh-life":          duration(func(s *emulator.Switches) *time.Duration { return &s.RefreshLife }),
	"refresh-rotates":       truth(func(s *emulator.Switches) *bool { return &s.RefreshRotates }),
	"refresh-reuse-revokes": truth(func(s *emulator.Switches) *bool { return &s.RefreshReuseRevokes }),
	"refresh-revoked":       truth(func(s *emulator.Switches) *bool { return &s.RefreshRevoked }),
	"refresh-invalid-grant": truth(func(s *emulator.Switches) *bool { return &s.RefreshInvalidGrant }),
	"pat-revoked":           truth(func(s *emulator.Switches) *bool { return &s.PATRevoked }),

	"audience":      text(func(s *emulator.Switches) *string { return &s.Audience }),
	"subject":       text(func(s *emulator.Switches) *string { return &s.Subject }),
	"workload-life": duration(func(s *emulator.Switches) *time.Duration { return &s.WorkloadLife }),

	"unified":                         truth(func(s *emulator.Switches) *bool { return &s.Unified }),
	"account-placeholder":             truth(func(s *emulator.Switches) *bool { return &s.AccountPlaceholder }),
	"workspace-header":                truth(func(s *emulator.Switches) *bool { return &s.WorkspaceHeader }),
	"audiences":                       audiences,
	"stranger-oidc-endpoint":          text(func(s *emulator.Switches) *string { return &s.StrangerOIDCEndpoint }),
	"stranger-token-endpoint":         text(func(s *emulator.Switches) *string { return &s.StrangerTokenEndpoint }),
	"stranger-authorization-endpoint": text(func(s *emulator.Switches) *string { return &s.StrangerAuthorizationEndpoint }),
}

// set reads NAME=VALUE words; either all of them hold or none.
func set(l *emulator.Lakebase, words []string) error {
	if len(words) == 0 {
		return fmt.Errorf("%w: ctl set NAME=VALUE…, where NAME is one of %s", ErrUsage, names())
	}
	probe := l.Switches()
	if err := Apply(&probe, words...); err != nil {
		return err
	}
	l.Set(func(s *emulator.Switches) { _ = Apply(s, words...) }) // which the probe has shown to hold
	return nil
}

// Apply sets what NAME=VALUE words say, in order; ErrUsage marks one that does
// not hold.
func Apply(s *emulator.Switches, words ...string) error {
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

func duration(at func(*emulator.Switches) *time.Duration) func(*emulator.Switches, string) error {
	return func(s *emulator.Switches, value string) error {
		d, err := time.ParseDuration(value)
		if err == nil {
			*at(s) = d
		}
		return err
	}
}

func text(at func(*emulator.Switches) *string) func(*emulator.Switches, string) error {
	return func(s *emulator.Switches, value string) error {
		*at(s) = value
		return nil
	}
}

func truth(at func(*emulator.Switches) *bool) func(*emulator.Switches, string) error {
	return func(s *emulator.Switches, value string) error {
		b, err := strconv.ParseBool(value)
		if err == nil {
			*at(s) = b
		}
		return err
	}
}

func field(at func(*emulator.Switches) *emulator.Field, allowed ...emulator.Field) func(*emulator.Switches, string) error {
	return func(s *emulator.Switches, value string) error {
		if f := emulator.Field(value); value == "" || slices.Contains(allowed, f) {
			*at(s) = f
			return nil
		}
		return fmt.Errorf("%q is none of %v", value, allowed)
	}
}

// pageSize reads a number; 0 is the API's own.
func pageSize(s *emulator.Switches, value string) error {
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
func audiences(s *emulator.Switches, value string) error {
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
func instanceState(s *emulator.Switches, value string) error {
	if state := emulator.InstanceState(value); value == "" || slices.Contains(emulator.InstanceStates(), state) {
		s.InstanceState = state
		return nil
	}
	return fmt.Errorf("%q is none of %v", value, emulator.InstanceStates())
}

// parseFault reads CALL and words: times=N (-1: until cleared), status=N,
// retry-after=VALUE, header=NAME: VALUE, body=TEXT, location=URL, html, drop,
// truncate, echo, slow=DURATION.
func parseFault(words []string) (emulator.Fault, error) {
	if len(words) == 0 || !slices.Contains(emulator.Calls(), emulator.Call(words[0])) {
		return emulator.Fault{}, fmt.Errorf("%w: ctl fault CALL [times=N] [status=N] …, where CALL is one of %v", ErrUsage, emulator.Calls())
	}
	f := emulator.Fault{Call: emulator.Call(words[0]), Header: http.Header{}}
	for _, w := range words[1:] {
		if err := faultWord(&f, w); err != nil {
			return f, fmt.Errorf("%w: %s: %w", ErrUsage, w, err)
		}
	}
	if f.Status != 0 && f.Body == "" {
		plain := emulator.Answer(f.Call, f.Times, f.Status, f.Header.Get("Retry-After"))
		for k, v := range f.Header {
			plain.Header[k] = v
		}
		f.Header, f.Body = plain.Header, plain.Body
	}
	return f, nil
}

func faultWord(f *emulator.Fault, word string) (err error) {
	name, value, _ := strings.Cut(word, "=")
	switch name {
	case "times":
		f.Times, err = strconv.Atoi(value)
	case "status":
		f.Status, err = strconv.Atoi(value)
	case "retry-after":
		f.Header.Set("Retry-After", value)
	case "location":
		f.Header.Set("Location", value)
	case "header":
		k, v, ok := strings.Cut(value, ":")
		if !ok {
			return fmt.Errorf("no colon")
		}
		f.Header.Add(strings.TrimSpace(k), strings.TrimSpace(v))
	case "body":
		f.Body = value
	case "html":
		page := emulator.HTML(f.Call)
		f.Status, f.Header, f.Body = page.Status, page.Header, page.Body
	case "drop":
		f.Drop = true
	case "truncate":
		f.Truncate = true
	case "echo":
		f.Echo = true
	case "slow":
		f.Slow, err = time.ParseDuration(value)
	default:
		err = fmt.Errorf("no such word")
	}
	return err
}
