package control

import (
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// read reads words: NAME=VALUE, or NAME alone of a bool. They are flags without a dash.
func read(fs *flag.FlagSet, words []string) error {
	fs.SetOutput(io.Discard)
	for _, w := range words {
		if err := fs.Parse([]string{"-" + w}); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrUsage, w, err)
		}
	}
	return nil
}

func newWords() *flag.FlagSet { return flag.NewFlagSet("", flag.ContinueOnError) }

func fault(_ context.Context, l *emulator.Lakebase, args []string) (string, error) {
	f := emulator.Fault{Call: emulator.Call(args[0]), Header: http.Header{}}
	if !slices.Contains(emulator.Calls(), f.Call) {
		return "", fmt.Errorf("%w: %q is none of %v", ErrUsage, f.Call, emulator.Calls())
	}
	set := func(name string) func(string) error {
		return func(v string) error { f.Header.Set(name, v); return nil }
	}
	fs := newWords()
	fs.IntVar(&f.Times, "times", 0, "-1: until cleared")
	fs.IntVar(&f.Status, "status", 0, "")
	fs.StringVar(&f.Body, "body", "", "")
	fs.Func("retry-after", "", set("Retry-After"))
	fs.Func("location", "", set("Location"))
	fs.Func("header", "NAME: VALUE", func(value string) error {
		k, v, _ := strings.Cut(value, ":")
		f.Header.Add(strings.TrimSpace(k), strings.TrimSpace(v))
		return nil
	})
	fs.BoolFunc("html", "a login page", func(string) error {
		page := emulator.HTML(f.Call)
		f.Status, f.Header, f.Body = page.Status, page.Header, page.Body
		return nil
	})
	fs.BoolVar(&f.Drop, "drop", false, "")
	fs.BoolVar(&f.Truncate, "truncate", false, "")
	fs.BoolVar(&f.Echo, "echo", false, "")
	fs.IntVar(&f.Pad, "pad", 0, "")
	fs.DurationVar(&f.Slow, "slow", 0, "")
	if err := read(fs, args[1:]); err != nil {
		return "", err
	}
	if f.Status != 0 && f.Body == "" {
		plain := emulator.Answer(f.Call, f.Times, f.Status, "")
		maps.Copy(plain.Header, f.Header)
		f.Header, f.Body = plain.Header, plain.Body
	}
	l.Set(func(s *emulator.Settings) { s.Faults = append(s.Faults, f) })
	return "", nil
}

func loginFault(_ context.Context, l *emulator.Lakebase, args []string) (string, error) {
	f := emulator.LoginFault{At: emulator.Stage(args[0])}
	if !slices.Contains(emulator.Stages(), f.At) {
		return "", fmt.Errorf("%w: %q is none of %v", ErrUsage, f.At, emulator.Stages())
	}
	fs := newWords()
	fs.IntVar(&f.Times, "times", 0, "-1: until cleared")
	fs.StringVar(&f.Code, "code", "", "SQLSTATE")
	fs.StringVar(&f.Message, "message", "", "")
	fs.StringVar(&f.Detail, "detail", "", "")
	fs.StringVar(&f.Severity, "severity", "", "")
	fs.StringVar(&f.Send, "send", "", "bytes to send first")
	for _, action := range emulator.Actions() {
		fs.BoolFunc(string(action), "", func(string) error { f.Action = action; return nil })
	}
	if err := read(fs, args[1:]); err != nil {
		return "", err
	}
	l.Set(func(s *emulator.Settings) { s.LoginFaults = append(s.LoginFaults, f) })
	return "", nil
}

// env prints NAME=VALUE lines: all that a program needs for one authentication type. None of
// the values needs quotes.
func env(_ context.Context, l *emulator.Lakebase, args []string) (string, error) {
	if !slices.Contains(emulator.AuthTypes(), emulator.AuthType(args[0])) {
		return "", fmt.Errorf("%w: %q is none of %v", ErrUsage, args[0], emulator.AuthTypes())
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

func parseWorkload(args []string) (spec emulator.WorkloadSpec, err error) {
	fs := newWords()
	fs.StringVar(&spec.Subject, "subject", "", "")
	fs.StringVar(&spec.Audience, "audience", "", "")
	fs.StringVar(&spec.Issuer, "issuer", "", "")
	fs.DurationVar(&spec.Life, "life", 0, "")
	fs.BoolVar(&spec.Foreign, "foreign", false, "signed by another key")
	return spec, read(fs, args)
}

func workspaceToken(_ context.Context, l *emulator.Lakebase, args []string) (string, error) {
	spec := emulator.TokenSpec{Kind: emulator.WorkspaceToken}
	fs := newWords()
	fs.StringVar(&spec.Subject, "subject", "", "")
	fs.DurationVar(&spec.Life, "life", 0, "")
	if err := read(fs, args); err != nil {
		return "", err
	}
	return l.MintToken(spec) + "\n", nil
}

func refreshToken(_ context.Context, l *emulator.Lakebase, args []string) (string, error) {
	token := l.IssueRefresh(strings.Join(args, " "))
	if token == "" {
		return "", fmt.Errorf("%w: there is no user %q", ErrUsage, args)
	}
	return token + "\n", nil
}

func put(_ context.Context, l *emulator.Lakebase, args []string) (string, error) {
	r := emulator.Resource{Name: args[0]}
	fs := newWords()
	fs.BoolVar(&r.Archived, "archived", false, "")
	fs.BoolVar(&r.Disabled, "disabled", false, "")
	fs.BoolVar(&r.ReadOnly, "read-only", false, "")
	if err := read(fs, args[1:]); err != nil {
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
func set(_ context.Context, l *emulator.Lakebase, words []string) (string, error) {
	trial := l.Settings()
	if err := Apply(&trial, words...); err != nil {
		return "", err
	}
	l.Set(func(s *emulator.Settings) { _ = Apply(s, words...) }) // which the trial has shown to hold
	return "", nil
}

// Apply sets what NAME=VALUE words say, in order. NAME is the tag of a field of Settings.
// ErrUsage marks a word that does not hold.
func Apply(s *emulator.Settings, words ...string) error { return read(settings(s), words) }

// settings returns a flag for each field of s that has a tag.
func settings(s *emulator.Settings) *flag.FlagSet {
	fs := newWords()
	for _, f := range reflect.VisibleFields(reflect.TypeFor[emulator.Settings]()) {
		name, field := f.Tag.Get("ctl"), reflect.ValueOf(s).Elem().FieldByIndex(f.Index)
		if name == "" {
			continue
		}
		switch p := field.Addr().Interface().(type) {
		case *time.Duration:
			fs.DurationVar(p, name, *p, "")
		case *int:
			fs.IntVar(p, name, *p, "")
		case *bool:
			fs.BoolVar(p, name, *p, "")
		case *[]string:
			fs.Func(name, "", func(value string) error {
				*p = strings.Split(value, ",")
				if value == "none" || value == "" { // an empty list, or the default
					*p = map[string][]string{"none": {}}[value]
				}
				return nil
			})
		default:
			allowed := strings.Fields(f.Tag.Get("values"))
			fs.Func(name, "", func(value string) error {
				if value != "" && len(allowed) > 0 && !slices.Contains(allowed, value) {
					return fmt.Errorf("%q is none of %v", value, allowed)
				}
				field.SetString(value)
				return nil
			})
		}
	}
	return fs
}

func names() string {
	var out []string
	settings(&emulator.Settings{}).VisitAll(func(f *flag.Flag) { out = append(out, f.Name) })
	return strings.Join(out, ", ")
}
