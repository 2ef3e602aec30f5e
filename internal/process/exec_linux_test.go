package process

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A command run by Exec or Supervise inherits the same as one run directly, apart from
// the blocked and ignored signals that the Go runtime replaces at its start, before any
// code of ours (see the package comment). If this fails with more than those, a newer Go
// keeps them, and the documents can say so.
func TestInheritance(t *testing.T) {
	t.Parallel()
	var blocked, ignored uint64
	lost := []syscall.Signal{
		unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGILL, unix.SIGTRAP, unix.SIGABRT, unix.SIGBUS, unix.SIGFPE, unix.SIGKILL, unix.SIGSEGV,
		unix.SIGTERM, unix.SIGSTKFLT, unix.SIGCHLD, unix.SIGSTOP, unix.SIGURG, unix.SIGPROF, unix.SIGSYS, 32, 33, 34,
	}
	for sig := syscall.Signal(1); sig <= 64; sig++ {
		if !slices.Contains(lost, sig) {
			blocked |= signalBit(sig)
		}
	}
	for _, sig := range []syscall.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGCONT, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU} {
		ignored |= signalBit(sig)
	}
	signals := fmt.Sprintf("SigBlk:\t%016x\nSigIgn:\t%016x\n", blocked, ignored)
	all := ""
	// Plain programs: a Go program or a shell would change signals and limits first.
	for _, report := range []string{
		"/bin/cat /proc/self/status /proc/self/limits /proc/self/environ /proc/self/cmdline", "/bin/ls /proc/self/fd", "/bin/pwd", "/bin/nice",
	} {
		run := func(stage string) (out string, pid int) {
			return runStage(t, "caller", nil, append([]string{stage}, strings.Fields(report)...)...)
		}
		want := inherited(run("direct"))
		for _, stage := range []string{"exec", "supervise"} {
			out, pid := run(stage)
			got := inherited(out, pid)
			if got != want {
				t.Errorf("%s: got\n%s\nwant, as without us,\n%s", stage, got, want)
			}
			samePID := strings.Contains(out, fmt.Sprintf("\nPid:\t%d\n", pid))
			if strings.HasPrefix(report, "/bin/cat") && (!strings.Contains(out, signals) || samePID != (stage == "exec")) {
				t.Errorf("%s: got the same PID %v and\n%s\nwant %s", stage, samePID, out, signals)
			}
		}
		all += want
	}
	for _, want := range []string{
		"\nUmask:\t0027\n", "\n5\n", "\n/usr\n",
		"\nMax open files            300                  400 ", "\nMax core file size        4096                 8192 ",
		"ZED=1\x00A=2\x00NO_DUMP=1\x00EMPTY=\x00/bin/cat\x00/proc/self/status\x00",
	} {
		if !strings.Contains("\n"+all, want) {
			t.Errorf("got no %q in:\n%s", want, all)
		}
	}
}

// inherited returns the lines of a report that a process has from its parent; those of
// proc(5)'s status have a colon.
func inherited(report string, _ int) string {
	return strings.Join(inheritedLines.FindAllString(report, -1), "\n")
}

var inheritedLines = regexp.MustCompile(`(?m)^(?:(?:Name|Umask|Uid|Gid|Groups|ShdPnd|CapEff|NoNewPrivs):.*|[^:\n]*)$`)

// TestExec starts files of all kinds by Exec.
func TestExec(t *testing.T) {
	t.Parallel()
	d := t.TempDir()
	data, err := os.ReadFile("/bin/true")
	must(t, err)
	truth := string(data)
	writeFile(t, d, "plain", script, 0o644)
	writeFile(t, d, "busy", truth, 0o755)
	writer, err := os.OpenFile(filepath.Join(d, "busy"), os.O_WRONLY, 0)
	must(t, err)
	defer writer.Close()
	const refused = `^\*process.Error cannot execute .*`
	const missing = "its interpreter or loader was not found"
	for _, c := range []struct {
		name, text string
		big        int
		want       string // a pattern of the output
	}{
		{name: "script", text: "#!/bin/sh\necho \"$@\"\n", want: "^a b c\n$"},
		{name: "no shebang", text: "echo \"$0|$1|$2\"", want: `/no shebang\|a\|b c\n$`},
		{name: "program", text: truth, want: "^$"},
		{name: "big environment", text: truth, big: 1 << 20, want: refused + "argument list too long"},
		{name: "busy", want: refused + "text file busy"},
		{name: "plain", want: refused + "permission denied"},
		{name: "gone", want: `^\*process.Error command .*not found`},
		{name: "garbage", text: "\x01\x02\x00\x03", want: refused + "exec format error"},
		{name: "no interpreter", text: "#! /nowhere/python -u\n", want: refused + missing},
		{name: "interpreter is text", text: "#!" + d + "/no shebang\n", want: refused},
		{name: "loop", text: "#!" + d + "/loop\n", want: refused},
		{name: "CRLF", text: "#!/bin/sh\r\nexit 0\r\n", want: refused + missing},
		{name: "no loader", text: strings.Replace(truth, "/ld-linux", "/no-linux", 1), want: refused + missing},
	} {
		path := filepath.Join(d, c.name)
		if c.text != "" {
			writeFile(t, d, c.name, c.text, 0o755)
		}
		out, _ := runStage(t, "exec", []string{"BIG=" + strconv.Itoa(c.big)}, path, "a", "b c")
		if !regexp.MustCompile(c.want).MatchString(out) {
			t.Errorf("%s: got %q, want %q", c.name, out, c.want)
		}
	}
}
