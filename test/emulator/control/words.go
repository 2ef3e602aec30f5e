package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// words maps the words that a command takes to what reads the value of each: NAME=VALUE,
// or a bare word.
type words map[string]func(value string) error

func (w words) read(args []string) error {
	for _, a := range args {
		name, value, _ := strings.Cut(a, "=")
		read := w[name]
		if read == nil {
			read = func(string) error { return errors.New("no such word") }
		}
		if err := read(value); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrUsage, a, err)
		}
	}
	return nil
}

func text(p *string) func(string) error { return func(v string) error { *p = v; return nil } }
func flag(p *bool) func(string) error   { return func(string) error { *p = true; return nil } }

func number(p *int) func(string) error {
	return func(v string) (err error) { *p, err = strconv.Atoi(v); return err }
}

func duration(p *time.Duration) func(string) error {
	return func(v string) (err error) { *p, err = time.ParseDuration(v); return err }
}

// fault reads CALL and words: times=N (-1: until cleared), status=N,
// retry-after=VALUE, header=NAME: VALUE, body=TEXT, location=URL, html, drop,
// truncate, echo, pad=N, slow=DURATION.
func fault(_ context.Context, l *emulator.Lakebase, args []string) (string, error) {
	if len(args) == 0 || !slices.Contains(emulator.Calls(), emulator.Call(args[0])) {
		return "", fmt.Errorf("%w: ctl fault CALL [times=N] [status=N] …, where CALL is one of %v", ErrUsage, emulator.Calls())
	}
	f := emulator.Fault{Call: emulator.Call(args[0]), Header: http.Header{}}
	header := func(name string) func(string) error {
		return func(v string) error { f.Header.Set(name, v); return nil }
	}
	err := words{
		"times": number(&f.Times), "status": number(&f.Status), "pad": number(&f.Pad), "slow": duration(&f.Slow),
		"body": text(&f.Body), "drop": flag(&f.Drop), "truncate": flag(&f.Truncate), "echo": flag(&f.Echo),
		"retry-after": header("Retry-After"), "location": header("Location"),
		"header": func(value string) error {
			k, v, ok := strings.Cut(value, ":")
			if !ok {
				return errors.New("no colon")
			}
			f.Header.Add(strings.TrimSpace(k), strings.TrimSpace(v))
			return nil
		},
		"html": func(string) error {
			page := emulator.HTML(f.Call)
			f.Status, f.Header, f.Body = page.Status, page.Header, page.Body
			return nil
		},
	}.read(args[1:])
	if err != nil {
		return "", err
	}
	if f.Status != 0 && f.Body == "" {
		plain := emulator.Answer(f.Call, f.Times, f.Status, "")
		for k, v := range f.Header {
			plain.Header[k] = v
		}
		f.Header, f.Body = plain.Header, plain.Body
	}
	l.Set(func(s *emulator.Settings) { s.Faults = append(s.Faults, f) })
	return "", nil
}

// loginFault reads STAGE and words: times=N (-1: until cleared), code=SQLSTATE,
// message=TEXT, detail=TEXT, severity=WORD, send=BYTES, or one of the actions.
func loginFault(_ context.Context, l *emulator.Lakebase, args []string) (string, error) {
	if len(args) == 0 || !slices.Contains(emulator.Stages(), emulator.Stage(args[0])) {
		return "", fmt.Errorf("%w: ctl login-fault STAGE [times=N] [reset|close|quiet|flood] …, where STAGE is one of %v", ErrUsage,
			emulator.Stages())
	}
	f := emulator.LoginFault{At: emulator.Stage(args[0])}
	w := words{"times": number(&f.Times), "code": text(&f.Code), "message": text(&f.Message), "detail": text(&f.Detail),
		"severity": text(&f.Severity), "send": text(&f.Send)}
	for _, action := range emulator.Actions() {
		w[string(action)] = func(string) error { f.Action = action; return nil }
	}
	if err := w.read(args[1:]); err != nil {
		return "", err
	}
	l.Set(func(s *emulator.Settings) { s.LoginFaults = append(s.LoginFaults, f) })
	return "", nil
}

// env prints NAME=VALUE lines: all that a program needs for one authentication type. None of
// the values needs quotes.
func env(_ context.Context, l *emulator.Lakebase, args []string) (string, error) {
	if len(args) == 0 || !slices.Contains(emulator.AuthTypes(), emulator.AuthType(args[0])) {
		return "", fmt.Errorf("%w: ctl env TYPE [WORD…], where TYPE is one of %v", ErrUsage, emulator.AuthTypes())
	}
	spec, err := parseWorkload(args[1:])
	if err != nil {
		return "", err
	}
	lines, err := l.EnvFor(emulator.AuthType(args[0]), spec)
	return strings.Join(lines, "\n") + "\n", err
}

func workloadToken(_ context.Context, l *emulator.Lakebase, args []string) (string, error) {
	spec, err := parseWorkload(args)
	if err != nil {
		return "", err
	}
	return l.MintWorkload(spec) + "\n", nil
}

// parseWorkload reads subject=S, audience=A, issuer=I, life=DURATION and foreign.
func parseWorkload(args []string) (spec emulator.WorkloadSpec, err error) {
	err = words{"subject": text(&spec.Subject), "audience": text(&spec.Audience), "issuer": text(&spec.Issuer),
		"life": duration(&spec.Life), "foreign": flag(&spec.Foreign)}.read(args)
	return spec, err
}

// workspaceToken prints a bearer of the API, as another program would have
// fetched it: subject=NAME, life=DURATION.
func workspaceToken(_ context.Context, l *emulator.Lakebase, args []string) (string, error) {
	spec := emulator.TokenSpec{Kind: emulator.WorkspaceToken}
	if err := (words{"subject": text(&spec.Subject), "life": duration(&spec.Life)}).read(args); err != nil {
		return "", err
	}
	return l.MintToken(spec) + "\n", nil
}

// refreshToken prints a user's, as a browser would have fetched it.
func refreshToken(_ context.Context, l *emulator.Lakebase, args []string) (string, error) {
	if len(args) > 1 {
		return "", fmt.Errorf("%w: ctl refresh-token [USER]", ErrUsage)
	}
	token := l.IssueRefresh(strings.Join(args, ""))
	if token == "" {
		return "", fmt.Errorf("%w: there is no user %q", ErrUsage, args[0])
	}
	return token + "\n", nil
}

// put reads a full name and the words archived, disabled and read-only.
func put(_ context.Context, l *emulator.Lakebase, args []string) (string, error) {
	if len(args) == 0 {
		return "", fmt.Errorf("%w: ctl put NAME [archived] [disabled] [read-only]", ErrUsage)
	}
	r := emulator.Resource{Name: args[0]}
	if err := (words{"archived": flag(&r.Archived), "disabled": flag(&r.Disabled), "read-only": flag(&r.ReadOnly)}).read(args[1:]); err != nil {
		return "", err
	}
	if err := l.Put(r); err != nil {
		return "", fmt.Errorf("%w: %w", ErrUsage, err)
	}
	return "", nil
}

// resources returns one line each: name, uid, and the words of put.
func resources(l *emulator.Lakebase) string {
	var b strings.Builder
	for _, r := range l.Resources() {
		fmt.Fprint(&b, r.Name, " ", emulator.UID(r.Name))
		for _, w := range []struct {
			word string
			is   bool
		}{{"archived", r.Archived}, {"disabled", r.Disabled}, {"read-only", r.ReadOnly}} {
			if w.is {
				fmt.Fprint(&b, " ", w.word)
			}
		}
		fmt.Fprintln(&b)
	}
	return b.String()
}

// set reads NAME=VALUE words; either all of them hold or none.
func set(l *emulator.Lakebase, words []string) error {
	if len(words) == 0 {
		return fmt.Errorf("%w: ctl set NAME=VALUE…, where NAME is one of %s", ErrUsage, names())
	}
	trial := l.Settings()
	if err := Apply(&trial, words...); err != nil {
		return err
	}
	l.Set(func(s *emulator.Settings) { _ = Apply(s, words...) }) // which the trial has shown to hold
	return nil
}

// Apply sets what NAME=VALUE words say, in order. NAME is the tag of a field of Settings.
// ErrUsage marks a word that does not hold.
func Apply(s *emulator.Settings, words ...string) error {
	for _, w := range words {
		name, value, ok := strings.Cut(w, "=")
		f, known := settings[name]
		if !ok || !known {
			return fmt.Errorf("%w: %q is no NAME=VALUE with a NAME of %s", ErrUsage, w, names())
		}
		if err := assign(reflect.ValueOf(s).Elem().FieldByIndex(f.Index), value, strings.Fields(f.Tag.Get("values"))); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrUsage, name, err)
		}
	}
	return nil
}

// settings are the fields of Settings by their tag.
var settings = func() map[string]reflect.StructField {
	out := map[string]reflect.StructField{}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[emulator.Settings]()) {
		if name := f.Tag.Get("ctl"); name != "" {
			out[name] = f
		}
	}
	return out
}()

func names() string {
	var out []string
	for n := range settings {
		out = append(out, n)
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// assign reads a value for a field; allowed are its values if it is not free.
func assign(field reflect.Value, value string, allowed []string) (err error) {
	switch p := field.Addr().Interface().(type) {
	case *time.Duration:
		return duration(p)(value)
	case *int:
		n, err := strconv.ParseUint(value, 10, 31)
		*p = int(n)
		return err
	case *bool:
		*p, err = strconv.ParseBool(value)
	case *[]string: // "none" is an empty list, "" the default
		*p = strings.Split(value, ",")
		if value == "none" || value == "" {
			*p = map[string][]string{"none": {}}[value]
		}
	default:
		if value != "" && len(allowed) > 0 && !slices.Contains(allowed, value) {
			return fmt.Errorf("%q is none of %v", value, allowed)
		}
		field.SetString(value)
	}
	return err
}
