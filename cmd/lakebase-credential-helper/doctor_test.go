package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/doctor"
)

func TestReportLines(t *testing.T) {
	got := reportLines([]doctor.Result{
		{ID: "a", Status: doctor.OK, Text: "fine\x1b[31m\nfailed"},
		{ID: "longer", Status: doctor.Failed, Text: "bad", Fix: "do\u202ethis"},
		{ID: "b", Status: doctor.NotTried, Needs: "longer"},
	})
	want := "ok         a       fine\\x1B[31m\\x0Afailed\nfailed     longer  bad\n           fix     do\\xE2\\x80\\xAEthis\nnot tried  b       needs: longer\n"
	if got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestPrintReport_HidesSecretsInJSON(t *testing.T) {
	conf := config.Config{GitHub: &config.GitHubSource{Token: credential.NewSecret("ghs-token-of-the-job")}}
	conf.Secret.Text = credential.NewSecret("canary0123456789abcdef")
	var b strings.Builder
	err := printReport(&b, doctor.Report{Config: conf, Results: []doctor.Result{
		{ID: doctor.SignIn, Status: doctor.Failed, Err: &cli.UsageError{}, Text: "the server said canary0123456789abcdef", Fix: "try ghs-token-of-the-job",
			Facts: map[string]string{"a": "canary0123456789abcdef", "b": "harmless\u202e"}},
		{ID: doctor.Child, Status: doctor.OK, Err: errors.New("not shown")},
	}}, true)
	got := b.String()
	if err != nil || strings.Contains(got, "0123456789") || strings.Contains(got, "ghs-token") {
		t.Errorf("got error %v and %s", err, got)
	}
	for _, want := range []string{`{"version":1,"program":"lakebase-credential-helper `, `"exit_code":120`, `"name":"sign-in","status":"failed","text":"the server said `, `"cure":"try `, `"b":"harmless\u202e"`, `{"name":"child","status":"ok","text":""}]}`} {
		if !strings.Contains(got, want) {
			t.Errorf("got %s\nwant %s in it", got, want)
		}
	}
}
