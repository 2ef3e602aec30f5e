package process

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// TestMain: the test binary is also the processes of the tests.
func TestMain(m *testing.M) {
	stage := os.Getenv("CHILD_TEST_STAGE")
	switch stage {
	case "":
		must(os.Setenv("GORACE", strings.TrimPrefix(quick, "GORACE=")))
		goleak.VerifyTestMain(m)
		return
	case "supervise":
		superviseStage()
	case "count":
		countStage()
	case "die":
		os.Exit(DieOf(syscall.Signal(atoi(os.Args[1]))))
	case "released":
		releasedStage()
	case "dumpable":
		dumpableStage()
	case "hardened":
		hardenedStage()
		os.Exit(0)
	case "caller":
		callerStage(os.Args[1], os.Args[2])
	case "wrapper":
		wrapperStage(os.Args[1])
	case "supervisor":
		supervisorStage(os.Args[1])
	case "exec":
		c := Command{Path: os.Args[1], Argv: os.Args[1:]}
		_, err := Exec(c, []string{"BIG=" + strings.Repeat("x", atoi(os.Getenv("BIG")))}, Stdio{})
		fmt.Printf("%T %v", err, err)
		os.Exit(0)
	}
	fmt.Println("stage", stage, "came back")
	os.Exit(99)
}

func atoi(s string) int { n, _ := strconv.Atoi(s); return n }

// reports show what a process has from its parent. They are plain programs: a
// Go program or a shell would change signals and limits before it could look.
var reports = map[string][]string{
	"cat": {"cat", "/proc/self/status", "/proc/self/stat", "/proc/self/limits", "/proc/self/environ", "/proc/self/cmdline", "/dev/null"},
	"ls":  {"ls", "/proc/self/fd"},
	"pwd": {"pwd"},
}

// quick: a process of a race test sleeps for a second before it exits.
const quick = "GORACE=atexit_sleep_ms=0"

var reportEnv = []string{quick, "ZED=1", "A=2", "PATH=/bin:/usr/bin", "EMPTY="}

// callerStage is the wrapper's caller: it sets everything that is inherited to
// something unusual, then becomes the report or the wrapper.
func callerStage(next, report string) {
	runtime.LockOSThread()
	must(syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 300, Max: 400}))
	must(syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{Cur: 4096, Max: 8192}))
	syscall.Umask(0o027)
	must(syscall.Setpriority(syscall.PRIO_PROCESS, 0, 5))
	must(os.Chdir("/usr"))
	signal.Ignore(syscall.SIGHUP, syscall.SIGINT)
	var mask unix.Sigset_t
	mask.Val[0] = 1 << (unix.SIGUSR2 - 1)
	must(unix.PthreadSigmask(unix.SIG_BLOCK, &mask, nil))
	if next != "direct" {
		self, err := os.Executable()
		must(err)
		must(syscall.Exec(self, []string{self, report}, append(reportEnv, "CHILD_TEST_STAGE="+next)))
	}
	must(syscall.Exec("/bin/"+report, reports[report], reportEnv))
}

// wrapperStage has open files, sockets, goroutines and signal handlers, as the
// real wrapper has, and then becomes the command.
func wrapperStage(report string) {
	f, err := os.Open("/etc/passwd")
	must(err)
	defer f.Close()
	r, w, err := os.Pipe()
	must(err)
	defer r.Close()
	defer w.Close()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGPIPE)
	go func() { <-ctx.Done() }()
	defer stop()
	c, err := Find(reports[report], Search{Path: "/nowhere:/bin", PathSet: true})
	must(err)
	_, err = Exec(c, reportEnv, Stdio{})
	must(err)
}

func must(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(98)
	}
}

// stage runs the test binary as a process of the execve tests.
func stage(t *testing.T, name string, env []string, args ...string) (out string, pid int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env = append(env, quick, "CHILD_TEST_STAGE="+name)
	b, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	return string(b), cmd.Process.Pid
}

// TestExecHandsOnEverything compares a command under the wrapper with the same
// command without it.
func TestExecHandsOnEverything(t *testing.T) {
	all := ""
	for report := range reports {
		direct, directPid := stage(t, "caller", nil, "direct", report)
		wrapped, wrappedPid := stage(t, "caller", nil, "wrapper", report)
		direct, wrapped = inherited(direct, directPid), inherited(wrapped, wrappedPid)
		if direct != wrapped {
			t.Errorf("without the wrapper:\n%s\nwith it:\n%s", direct, wrapped)
		}
		all += wrapped
	}
	for _, want := range []string{
		"Pid: OURS\n", "Umask: 0027\n", "SigBlk: 0000000000000800\n", "SigIgn: 0000000000000003\n", "nice 5\n", "Max open files 300 400 files\n",
		"Max core file size 4096 8192 bytes\n", "\n/usr\n", "ZED=1\x00A=2\x00PATH=/bin:/usr/bin\x00EMPTY=\x00cat\x00/proc/self/status\x00",
	} {
		if !strings.Contains("\n"+all, want) {
			t.Errorf("no %q in:\n%s", want, all)
		}
	}
}

// inherited keeps what a process has from its parent out of a report. Words are
// set apart by one blank.
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
		case strconv.Itoa(pid): // /proc/self/stat: proc(5) counts nice as field 19
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

// TestExecRefusals runs Exec on files that execve refuses.
func TestExecRefusals(t *testing.T) {
	d := t.TempDir()
	garbage := put(t, d, "garbage", "\x01\x02\x00\x03", 0o755)
	plain := put(t, d, "plain", good, 0o644)
	busy := filepath.Join(d, "busy")
	data, err := os.ReadFile("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	put(t, d, "busy", string(data), 0o755)
	writer, err := os.OpenFile(busy, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path string
		big  int
		want []string
	}{
		{garbage, 0, []string{"*process.NotExecutableError", "cannot run its format"}},
		{plain, 0, []string{"*process.NotExecutableError", "permission denied"}},
		{busy, 0, []string{"*process.NotExecutableError", "open for writing"}},
		{"/bin/true", 1 << 20, []string{"*process.NotExecutableError", "longer than the system takes"}},
		{filepath.Join(d, "gone"), 0, []string{"*process.NotFoundError", "went away"}},
	} {
		out, _ := stage(t, "exec", []string{"BIG=" + strconv.Itoa(c.big)}, c.path)
		if slices.ContainsFunc(c.want, func(w string) bool { return !strings.Contains(out, w) }) {
			t.Errorf("%s: got %q, want %q", c.path, out, c.want)
		}
	}
	// The twins: the same program, not open for writing, with a small environment.
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{busy, "/bin/true"} {
		if out, _ := stage(t, "exec", []string{"BIG=10"}, path); out != "" {
			t.Errorf("%s: %q", path, out)
		}
	}
}

// TestIgnoredPipeIsLost pins what the package comment says of the Go runtime: if
// it fails, a newer Go keeps the disposition, and the comment can go.
func TestIgnoredPipeIsLost(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", `trap "" PIPE HUP; exec "$0" cat`, self)
	cmd.Env = []string{quick, "CHILD_TEST_STAGE=wrapper"}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "SigIgn:\t0000000000000001") {
		t.Errorf("%v: %s", err, out)
	}
}
