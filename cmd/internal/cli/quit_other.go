//go:build !unix

package cli

// DieOfQuit does nothing where there is no such signal.
func DieOfQuit() {}
