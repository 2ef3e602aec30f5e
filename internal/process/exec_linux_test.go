package process

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A command run by Exec or Supervise inherits the same as one run directly.
func TestInheritance(t *testing.T) {
	t.Parallel()
	all := ""
	for report := range reports {
		direct, pid := runStage(t, "caller", nil, "direct", report)
		want := inherited(direct, pid)
		for _, stage := range []string{"wrapper", "supervisor"} {
			out, pid := runStage(t, "caller", nil, stage, report)
			if _, rest, ok := strings.Cut(out, "\nPid:\t"); ok && stage == "supervisor" {
				line, _, _ := strings.Cut(rest, "\n")
				pid = atoi(line)
			}
			if got := inherited(out, pid); got != want {
				t.Errorf("%s: got\n%s\nwant, as without us\n%s", stage, got, want)
			}
		}
		all += want
	}
	for _, want := range []string{
		"Pid: OURS\n", "Umask: 0027\n", "SigBlk: 0000000000000800\n", "SigIgn: 0000000000000003\n", "nice 5\n", "Max open files 300 400 files\n",
		"Max core file size 4096 8192 bytes\n", "\n/usr\n", "ZED=1\x00A=2\x00PATH=/bin:/usr/bin\x00EMPTY=\x00cat\x00/proc/self/status\x00",
	} {
		if !strings.Contains("\n"+all, want) {
			t.Errorf("got no %q in:\n%s", want, all)
		}
	}
}

// inherited returns the part of a report that a process has from its parent.
func inherited(report string, pid int) string {
	var b strings.Builder
	for line := range strings.Lines(report) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		line = strings.Join(words, " ")
		switch words[0] {
		case "Name:", "Pid:", "Umask:", "Uid:", "Gid:", "Groups:", "SigBlk:", "SigIgn:", "ShdPnd:", "CapEff:", "NoNewPrivs:":
			line = strings.Replace(line, fmt.Sprintf("Pid: %d", pid), "Pid: OURS", 1)
		case strconv.Itoa(pid): // /proc/self/stat: nice is field 19 (proc(5))
			line = "nice " + words[18]
		default:
			if strings.HasSuffix(words[0], ":") {
				continue
			}
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

// TestExec starts files of all kinds by Exec.
func TestExec(t *testing.T) {
	t.Parallel()
	d := t.TempDir()
	truth, err := os.ReadFile("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	loader := "/lib64/ld-linux-x86-64.so.2"
	if !strings.Contains(string(truth), loader) {
		loader = "/lib/ld-linux-aarch64.so.1"
	}
	writeFile(t, d, "plain", script, 0o644)
	writeFile(t, d, "busy", string(truth), 0o755)
	writer, err := os.OpenFile(filepath.Join(d, "busy"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	const notExecutable = "*process.NotExecutableError cannot execute"
	for _, c := range []struct {
		name, text string
		big        int
		want       []string // parts of the output, which is empty without
	}{
		{name: "script", text: "#!/bin/sh\necho \"$@\"\n", want: []string{"a b c\n"}},
		{name: "env", text: "#!/usr/bin/env sh\necho env\n", want: []string{"env\n"}},
		{name: "no shebang", text: "echo \"$0|$1|$2\"", want: []string{"/no shebang|a|b c\n"}},
		{name: "empty shebang", text: "#!\necho sh\n", want: []string{"sh\n"}},
		{name: "empty"},
		{name: "program", text: string(truth)},
		{name: "big environment", text: string(truth), big: 1 << 20, want: []string{notExecutable, "too long"}},
		{name: "busy", want: []string{notExecutable, "open for writing"}},
		{name: "plain", want: []string{notExecutable, "permission denied"}},
		{name: "gone", want: []string{"*process.NotFoundError", "not found"}},
		{name: "garbage", text: "\x01\x02\x00\x03", want: []string{notExecutable, "exec format error"}},
		{name: "Mach-O", text: "\xcf\xfa\xed\xfe\x07\x00\x00\x01", want: []string{notExecutable, "exec format error"}},
		{name: "no interpreter", text: "#! /nowhere/python -u\n", want: []string{notExecutable, `interpreter "/nowhere/python" not found`}},
		{name: "interpreter is a directory", text: "#!/\n", want: []string{notExecutable, `permission denied (for the file or its interpreter "/")`}},
		{name: "interpreter is text", text: "#!" + d + "/no shebang\n", want: []string{notExecutable}},
		{name: "interprets itself", text: "#!" + d + "/loop\n", want: []string{notExecutable}},
		{name: "CRLF", text: "#!/bin/sh\r\nexit 0\r\n", want: []string{notExecutable, "Windows line endings"}},
		{name: "no loader", text: strings.Replace(string(truth), loader, strings.Replace(loader, "ld", "zz", 1), 1), want: []string{notExecutable, "loader"}},
	} {
		path := filepath.Join(d, c.name)
		if c.text != "" || c.name == "empty" {
			writeFile(t, d, c.name, c.text, 0o755)
		}
		out, _ := runStage(t, "exec", []string{"BIG=" + strconv.Itoa(c.big)}, path, "a", "b c")
		for _, want := range c.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: got %q, want %q", c.name, out, want)
			}
		}
		if len(c.want) == 0 && out != "" {
			t.Errorf("%s: got %q, want no output", c.name, out)
		}
	}
}

// A script whose name begins with a dash is not an option of the shell.
func TestExec_DashScript(t *testing.T) {
	d := t.TempDir()
	writeFile(t, d, "-d/x", "echo dash\n", 0o755)
	cmd := exec.CommandContext(t.Context(), self(t), "-d/x")
	cmd.Dir, cmd.Env = d, []string{noExitDelay, stageEnv + "=exec"}
	if out, err := cmd.CombinedOutput(); string(out) != "dash\n" {
		t.Errorf("got %q, %v; want dash", out, err)
	}
}

// The command gets what our caller has blocked and ignored, apart from what the Go
// runtime replaces at its start, before any code of ours (see the package comment). If
// this fails with more than that, a newer Go keeps it, and the documents can say so.
func TestInheritance_BlockedAndIgnored(t *testing.T) {
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
	for how, want := range map[string]string{
		"block":  fmt.Sprintf("SigBlk:\t%016x\nSigIgn:\t%016x\n", blocked, 0),
		"ignore": fmt.Sprintf("SigBlk:\t%016x\nSigIgn:\t%016x\n", 0, ignored),
	} {
		for _, stage := range []string{"wrapper", "supervisor"} {
			if out, _ := runStage(t, "signal-caller", nil, stage, how); !strings.Contains(out, want) {
				_, got, _ := strings.Cut(out, "SigBlk:")
				t.Errorf("%s, %s: got\nSigBlk:%.60s\nwant\n%s", how, stage, got, want)
			}
		}
	}
}
