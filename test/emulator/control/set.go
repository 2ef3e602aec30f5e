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
	"endpoint-host":        func(s *emulator.Switches, value string) error { s.EndpointHost = value; return nil },
	"read-only-host":       func(s *emulator.Switches, value string) error { s.ReadOnlyHost = value; return nil },
	"workspace-password":   truth(func(s *emulator.Switches) *bool { return &s.WorkspacePassword }),
	"instance-state":       instanceState,
}

// set reads NAME=VALUE words; either all of them hold or none.
func set(l *emulator.Lakebase, words []string) error {
	if len(words) == 0 {
		return fmt.Errorf("%w: ctl set NAME=VALUE…, where NAME is one of %s", ErrUsage, names())
	}
	probe := l.Switches()
	for _, target := range []func(func(*emulator.Switches)){func(f func(*emulator.Switches)) { f(&probe) }, l.Set} {
		for _, w := range words {
			name, value, ok := strings.Cut(w, "=")
			setter := setters[name]
			if !ok || setter == nil {
				return fmt.Errorf("%w: %q is no NAME=VALUE with a NAME of %s", ErrUsage, w, names())
			}
			var err error
			target(func(s *emulator.Switches) { err = setter(s, value) })
			if err != nil {
				return fmt.Errorf("%w: %s: %w", ErrUsage, name, err)
			}
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
