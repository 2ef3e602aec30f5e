package main

import (
	"io"
	"os"

	"golang.org/x/term"
)

// readSecret prompts and reads a line from the console without echo.
func readSecret(in *os.File, out io.Writer, text string) ([]byte, error) {
	if _, err := io.WriteString(out, text); err != nil {
		return nil, err
	}
	return term.ReadPassword(int(in.Fd()))
}
