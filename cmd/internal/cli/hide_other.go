//go:build !unix

package cli

// HideSecret has nothing to do: an environment is not shown to others here.
func (p *Process) HideSecret() error { return nil }

func takeSecret(environ []string) (snapshot []string, hidden bool) { return environ, false }
