package main

import (
	"io"
	"os"

	"golang.org/x/term"
)

// readSecret prompts and reads a line from the console without echo.
func readSecret(in *os.File, out io.Writer, text string) (read func() ([]byte, error), restore func(), err error) {
	fd := int(in.Fd())
	state, err := term.GetState(fd)
	if err != nil {
		return nil, nil, err
	}
	if _, err := io.WriteString(out, text); err != nil {
		return nil, nil, err
	}
	return func() ([]byte, error) { return term.ReadPassword(fd) }, func() { _ = term.Restore(fd, state) }, nil
}
