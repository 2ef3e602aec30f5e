package cli

import (
	"cmp"
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

// ExitRow is one row of the table of exit codes.
type ExitRow struct {
	Code    int
	Meaning string

	matches []func(error) bool
}

// exitTable maps errors to exit codes; the first row that matches counts. The order
// matters because an error may wrap another one.
var exitTable = []ExitRow{
	{ExitUsage, "usage, configuration or a bad value", []func(error) bool{
		is[*UsageError], is[*config.Error], is[*pgenv.Error], is[*auth.SecretFileError], is[*lakebase.HostError],
		is[*lakebase.TargetError], is[*rootcerts.Error], is[*securefile.Error], is[*credformat.Error], badValue}},
	{ExitNotFound, "the command was not found", []func(error) bool{is[*process.NotFoundError]}},
	{ExitNotExecutable, "the command cannot be executed", []func(error) bool{is[*process.NotExecutableError]}},
	{ExitNoSecret, "no secret or login, or the keychain is locked, missing or not responding", []func(error) bool{
		is[*NoAnswerError], is[*auth.NoSecretError], is[*auth.NoLoginError], is[*auth.LoginExpiredError], is[*keychain.Error]}},
	{ExitWorkspace, "the workspace refused, the endpoint is disabled, or the workspace could not be reached", []func(error) bool{
		is[*exchange.Error], is[*rotate.TooManyError], is[*auth.DeniedError], untried}},
	{ExitDatabase, "the database refused the login or did not wake in time", []func(error) bool{is[*pglogin.Error]}},
	{ExitOther, "any other failure of the wrapper", nil},
}

func is[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

// badValue reports whether a login failed before it started, because of a value that
// it was given.
func badValue(err error) bool {
	e, ok := errors.AsType[*pglogin.Error](err)
	return ok && (e.Kind == pglogin.BadTarget || e.Kind == pglogin.BadRootCert)
}

// untried reports whether the time limit ended before the workspace was asked.
func untried(err error) bool {
	e, ok := errors.AsType[*retry.Error](err)
	return ok && e.Last == nil
}

// ExitMeanings returns the table in the order of the codes. starts reports whether the
// program starts a command.
func ExitMeanings(starts bool) []ExitRow {
	rows := slices.DeleteFunc(slices.Clone(exitTable), func(r ExitRow) bool {
		return !starts && (r.Code == ExitNotFound || r.Code == ExitNotExecutable)
	})
	slices.SortFunc(rows, func(a, b ExitRow) int { return cmp.Compare(a.Code, b.Code) })
	return rows
}

// ExitCode returns the exit code for err; 0 for nil.
func ExitCode(err error) int {
	switch {
	case err == nil:
		return 0
	case securefile.IsEnvironmentFault(err), is[*NoRuntimeDirError](err) && !is[*config.Error](err): // whatever it made fail
		return ExitOther
	case is[*auth.SourceError](err): // not the code of the file that it names
		return ExitNoSecret
	}
	for _, row := range exitTable {
		if slices.ContainsFunc(row.matches, func(matches func(error) bool) bool { return matches(err) }) {
			return row.Code
		}
	}
	return ExitOther
}
