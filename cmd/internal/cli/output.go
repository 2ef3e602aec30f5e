package cli

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// Output returns the writer of a command's answer: standard output. Its errors are
// *OutputError.
func (e *Environment) Output() io.Writer { return output{e.Stdout, true} }

// ReportOutput is Output for a report, which may be discarded in a way that looks like
// a closed standard output.
func (e *Environment) ReportOutput() io.Writer { return output{e.Stdout, false} }

// CheckOutput returns an *OutputError if standard output is closed.
func (e *Environment) CheckOutput() error {
	_, err := e.Output().Write(nil)
	return err
}

// OutputError reports that an answer could not be written to standard output.
type OutputError struct{ Err error }

func (e *OutputError) Error() string {
	if path, ok := errors.AsType[*fs.PathError](e.Err); ok {
		return "standard output: " + path.Err.Error()
	}
	return "standard output: " + e.Err.Error()
}

func (e *OutputError) Unwrap() error { return e.Err }

// Hint returns what to do about it.
func (e *OutputError) Hint() string {
	if errors.Is(e.Err, errClosed) {
		return "redirect standard output to a file or a pipe, or with >/dev/null to discard it"
	}
	return "redirect standard output to a writable file or pipe"
}

var errClosed = errors.New("is closed")

// output writes to standard output.
type output struct {
	io.Writer
	open bool // fail if it is closed
}

func (o output) Write(p []byte) (n int, err error) {
	if f, ok := o.Writer.(*os.File); ok && o.open && isClosed(f) {
		return 0, &OutputError{errClosed}
	}
	if len(p) == 0 {
		return 0, nil
	}
	if n, err = o.Writer.Write(p); err != nil {
		err = &OutputError{err}
	}
	return n, err
}
