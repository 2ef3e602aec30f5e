package control

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

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
	if err != nil {
		return "", err
	}
	return strings.Join(lines, "\n") + "\n", nil
}

func workloadToken(_ context.Context, l *emulator.Lakebase, args []string) (string, error) {
	spec, err := parseWorkload(args)
	if err != nil {
		return "", err
	}
	token, err := l.MintWorkload(spec)
	return token + "\n", err
}

// parseWorkload reads subject=S, audience=A, issuer=I, life=DURATION and foreign.
func parseWorkload(words []string) (emulator.WorkloadSpec, error) {
	var spec emulator.WorkloadSpec
	err := each(words, func(name, value string) (err error) {
		switch name {
		case "subject":
			spec.Subject = value
		case "audience":
			spec.Audience = value
		case "issuer":
			spec.Issuer = value
		case "life":
			spec.Life, err = time.ParseDuration(value)
		case "foreign":
			spec.Foreign = true
		default:
			err = fmt.Errorf("no such word")
		}
		return err
	})
	return spec, err
}

// each reads NAME=VALUE and bare words.
func each(words []string, read func(name, value string) error) error {
	for _, w := range words {
		name, value, _ := strings.Cut(w, "=")
		if err := read(name, value); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrUsage, w, err)
		}
	}
	return nil
}

// workspaceToken prints a bearer of the API, as another program would have
// fetched it: subject=NAME, life=DURATION.
func workspaceToken(_ context.Context, l *emulator.Lakebase, args []string) (string, error) {
	spec := emulator.TokenSpec{Kind: emulator.WorkspaceToken}
	err := each(args, func(name, value string) (err error) {
		switch name {
		case "subject":
			spec.Subject = value
		case "life":
			spec.Life, err = time.ParseDuration(value)
		default:
			err = fmt.Errorf("no such word")
		}
		return err
	})
	if err != nil {
		return "", err
	}
	token, err := l.MintToken(spec)
	return token + "\n", err
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

func addUser(ctx context.Context, l *emulator.Lakebase, args []string) (string, error) {
	if len(args) != 1 {
		return "", fmt.Errorf("%w: ctl add-user NAME", ErrUsage)
	}
	return "", l.AddUser(ctx, args[0])
}

// put reads a full name and the words archived, disabled and read-only.
func put(_ context.Context, l *emulator.Lakebase, args []string) (string, error) {
	if len(args) == 0 {
		return "", fmt.Errorf("%w: ctl put NAME [archived] [disabled] [read-only]", ErrUsage)
	}
	r := emulator.Resource{Name: args[0]}
	err := each(args[1:], func(name, _ string) error {
		switch name {
		case "archived":
			r.Archived = true
		case "disabled":
			r.Disabled = true
		case "read-only":
			r.ReadOnly = true
		default:
			return fmt.Errorf("no such word")
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	if err := l.Put(r); err != nil {
		return "", fmt.Errorf("%w: %w", ErrUsage, err)
	}
	return "", nil
}

// resources prints one line each: name, uid, and the words of put.
func resources(_ context.Context, l *emulator.Lakebase, _ []string) (string, error) {
	var b strings.Builder
	for _, r := range l.Resources() {
		words := []string{r.Name, emulator.UID(r.Name)}
		for word, is := range map[string]bool{"archived": r.Archived, "disabled": r.Disabled, "read-only": r.ReadOnly} {
			if is {
				words = append(words, word)
			}
		}
		slices.Sort(words[2:])
		fmt.Fprintln(&b, strings.Join(words, " "))
	}
	return b.String(), nil
}
