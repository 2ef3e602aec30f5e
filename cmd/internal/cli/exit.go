package cli

import (
	"errors"
	"slices"

	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credformat"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/lakebase"
	"github.com/lakebase-exec/lakebase-exec/internal/pgenv"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
	"github.com/lakebase-exec/lakebase-exec/internal/process"
	"github.com/lakebase-exec/lakebase-exec/internal/retry"
	"github.com/lakebase-exec/lakebase-exec/internal/rootcerts"
	"github.com/lakebase-exec/lakebase-exec/internal/rotate"
	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
)

// The exit codes of both programs when a command was not started.
const (
	ExitUsage         = 120
	ExitNoSecret      = 121
	ExitWorkspace     = 122
	ExitDatabase      = 123
	ExitOther         = 125
	ExitNotExecutable = 126
	ExitNotFound      = 127
)

// exitTable maps errors to exit codes; the first row that matches counts. The order
// matters because an error may wrap another one.
var exitTable = []ExitRow{
	{ExitUsage, "usage, configuration or a bad value", func(err error) bool {
		return is[*UsageError](err) || is[*config.Error](err) || is[*pgenv.KeepError](err) || is[*pgenv.ValueError](err) ||
			is[*auth.SecretFileError](err) || is[*lakebase.HostError](err) || is[*lakebase.TargetError](err) || is[*rootcerts.Error](err) || is[*securefile.Error](err) || is[*credformat.Error](err) || badValue(err)
	}},
	{ExitNotFound, "the command was not found", is[*process.NotFoundError]},
	{ExitNotExecutable, "the command cannot be executed", is[*process.NotExecutableError]},
	{ExitNoSecret, "no secret or login, or the keychain is locked, missing or not responding", func(err error) bool {
		return is[*NoAnswerError](err) || is[*auth.NoSecretError](err) || is[*auth.NoLoginError](err) || is[*auth.LoginExpiredError](err) || is[*auth.SourceError](err) || is[*keychain.Error](err)
	}},
	{ExitWorkspace, "the workspace refused, the endpoint is disabled, or the workspace could not be reached", func(err error) bool {
		return is[*exchange.Error](err) || is[*rotate.TooManyError](err) || is[*auth.DeniedError](err) || untried(err)
	}},
	{ExitDatabase, "the database refused the login or did not wake in time", is[*pglogin.Error]},
	{ExitOther, "any other failure of the wrapper", func(error) bool { return true }},
}

func is[T error](err error) bool {
	var t T
	return errors.As(err, &t)
}

// badValue reports whether a login failed before it started, because of a value that
// it was given.
func badValue(err error) bool {
	var e *pglogin.Error
	return errors.As(err, &e) && (e.Kind == pglogin.BadTarget || e.Kind == pglogin.BadRootCert)
}

// untried reports whether the time limit ended before the workspace was asked.
func untried(err error) bool {
	var e *retry.Error
	return errors.As(err, &e) && e.Last == nil
}

// ExitRow is one row of the table of exit codes.
type ExitRow struct {
	Code    int
	Meaning string

	is func(error) bool
}

// ExitMeanings returns the table in the order of the codes. starts reports whether the
// program starts a command.
func ExitMeanings(starts bool) []ExitRow {
	rows := slices.DeleteFunc(slices.Clone(exitTable), func(r ExitRow) bool {
		return !starts && (r.Code == ExitNotFound || r.Code == ExitNotExecutable)
	})
	slices.SortFunc(rows, func(a, b ExitRow) int { return a.Code - b.Code })
	return rows
}

// ExitCode returns the exit code for err; 0 for nil.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	switch {
	case securefile.IsEnvironmentFault(err), is[*NoRuntimeDirError](err) && !is[*config.Error](err): // whatever it made fail
		return ExitOther
	case is[*auth.SourceError](err): // not the code of the file that it names
		return ExitNoSecret
	}
	for _, row := range exitTable {
		if row.is(err) {
			return row.Code
		}
	}
	return ExitOther
}
