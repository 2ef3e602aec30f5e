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

func TestLayout(t *testing.T) {
	report := doctor.Report{Results: []doctor.Result{
		{ID: "a", Group: "one", Status: doctor.OK, Text: "fine\x1b[31m\nfailed"},
		{ID: "b", Group: "two", Status: doctor.Failed, Text: "bad", Fix: "do\u202ethis"},
		{ID: "c", Group: "two", Status: doctor.NotTried, Needs: "b"},
	}}
	for l, want := range map[layout]string{
		{}: "ok         a        fine\\x1B[31m\\x0Afailed\nfailed     b        bad\n           fix      do\\xE2\\x80\\xAEthis\n" +
			"not tried  c        needs: b\n           summary  1 ok, 1 failed, 1 not tried; first, b: do\\xE2\\x80\\xAEthis\n",
		{width: 29, symbols: true}: "\x1b[1mone\x1b[0m\n\x1b[32m✓\x1b[0m  a        fine\\x1B[31m\\x0A\n            failed\n" +
			"\x1b[1mtwo\x1b[0m\n\x1b[31m✗\x1b[0m  b        bad\n   fix      do\\xE2\\x80\\xAEth\n            is\n\x1b[2m-\x1b[0m  c        needs: b\n" +
			"   summary  1 ok, 1 failed,\n            1 not tried;\n            first, b:\n            do\\xE2\\x80\\xAEth\n            is\n",
	} {
		if got := l.format(report); got != want {
			t.Errorf("%+v: got %q\nwant %q", l, got, want)
		}
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
	}}, true, layout{})
	got := b.String()
	if err != nil || strings.Contains(got, "0123456789") || strings.Contains(got, "ghs-token") {
		t.Errorf("got error %v and %s", err, got)
	}
	for _, want := range []string{`{"version":1,"program":"lakebase-credential-helper `, `"exit_code":120`, `"name":"sign-in","group":"","status":"failed","text":"the server said `, `"cure":"try `, `"b":"harmless\u202e"`, `{"name":"child","group":"","status":"ok","text":""}]}`} {
		if !strings.Contains(got, want) {
			t.Errorf("got %s\nwant %s in it", got, want)
		}
	}
}
