package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/broker"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// document is what --json prints.
type document struct {
	Version  int    `json:"version"`
	Program  string `json:"program"`
	ExitCode int    `json:"exit_code"`
	Steps    []step `json:"steps"`
}

// write prints all steps.
func (x *examination) write() error {
	code := 0
	for i := range x.steps {
		x.clean(&x.steps[i])
		if s := x.steps[i]; code == 0 && s.Status == broker.StatusFailed {
			code = cli.ExitCode(s.err)
		}
	}
	if x.given["json"] == nil {
		_, err := io.WriteString(x.Stdout, lines(x.steps))
		return err
	}
	return printJSON(x.Stdout, document{Version: 1, Program: program + " " + cli.Version(), ExitCode: code, Steps: x.steps})
}

// clean hides the secrets that were handed to us in all that is said, whoever
// said it: the output is made to be shown to others.
func (x *examination) clean(s *step) {
	secrets := []credential.Secret{x.conf.Secret.Text}
	if g := x.conf.GitHub; g != nil {
		secrets = append(secrets, g.Token)
	}
	hide := func(text string) string { return credential.HideSecrets(text, secrets...) }
	s.Text, s.Cure = hide(s.Text), hide(s.Cure)
	for name, value := range s.Facts {
		s.Facts[name] = hide(value)
	}
}

// lines is one line for each step, and a second one for what to do.
func lines(steps []step) string {
	width := 0
	for _, s := range steps {
		width = max(width, len(s.Name))
	}
	var b strings.Builder
	for _, s := range steps {
		text := s.Text
		if s.Needs != "" {
			text = "needs: " + string(s.Needs)
		}
		fmt.Fprintf(&b, "%-9s  %-*s  %s\n", s.Status, width, s.Name, sanitize.Escape(text))
		if s.Cure != "" {
			fmt.Fprintf(&b, "%-9s  %-*s  %s\n", "", width, "cure", sanitize.Escape(s.Cure))
		}
	}
	return b.String()
}
