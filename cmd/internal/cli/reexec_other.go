//go:build !unix

package cli

// ReexecWithoutSecrets does nothing: other users cannot read an environment here.
func (e *Environment) ReexecWithoutSecrets() error { return nil }

func readPipedSecrets(environ []string) (all []string, piped bool) { return environ, false }
