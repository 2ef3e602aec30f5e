package process

import (
	"errors"
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

const stageEnv = "PROCESS_TEST_STAGE"

// noExitDelay: a process built with -race sleeps for a second before it exits.
const noExitDelay = "GORACE=atexit_sleep_ms=0"

// TestMain: the test binary is also each process that the tests start.
func TestMain(m *testing.M) {
	stage := os.Getenv(stageEnv)
	switch stage {
	case "":
		exitOn(os.Setenv("GORACE", strings.TrimPrefix(noExitDelay, "GORACE=")))
		goleak.VerifyTestMain(m)
		return
	case "exec", "supervise":
		wrapperStage(stage)
	case "log-signals":
		logSignalsStage()
	case "caller":
		callerStage(os.Args[1], os.Args[2:])
	}
	fmt.Println("stage", stage, "returned")
	os.Exit(99)
}

func atoi(s string) int { n, _ := strconv.Atoi(s); return n }

func exitOn(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(98)
	}
}

// wrapperStage is a small lakebase-exec: it runs its arguments, with NEXT as their
// stage, in its place or as its child, and ends as they did. It has open files and
// signal handlers, as the real program has.
func wrapperStage(stage string) {
	f, err := os.Open("/etc/passwd")
	exitOn(err)
	defer f.Close()
	signal.Notify(make(chan os.Signal, 1), syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGPIPE)
	environ := slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, stageEnv+"=") })
	if next := os.Getenv("NEXT"); next != "" {
		environ = append(environ, stageEnv+"="+next)
	}
	c := Command{Path: os.Args[1], Argv: os.Args[1:]}
	if stage == "exec" {
		if n := atoi(os.Getenv("BIG")); n > 0 {
			environ = append(environ, strings.Repeat("x", n))
		}
		_, err := Exec(c, environ)
		fmt.Printf("%T %v", err, err)
		os.Exit(0)
	}
	if os.Getenv("NO_DUMP") != "" {
		exitOn(DisableCoreDumps())
	}
	s, err := Supervise(c, environ, nil)
	exitOn(err)
	status, err := s.Wait()
	exitOn(err)
	if status.Signal != 0 {
		os.Exit(RaiseSignal(status.Signal))
	}
	os.Exit(status.ExitCode)
}

// logSignalsStage appends each signal that it receives to the file LOG. After ENDS
// (1) of those that ask for an end it stays for 300 ms, so that an unexpected signal is
// seen, and ends by the last one.
func logSignalsStage() {
	left := max(1, atoi(os.Getenv("ENDS")))
	c := make(chan os.Signal, 64)
	list := append([]os.Signal{syscall.SIGPIPE, syscall.SIGVTALRM}, forwarded...)
	switch os.Getenv("CATCH") {
	case "tstp":
		list = append(list, syscall.SIGTSTP)
	case "all":
		list = append(list, stopSignals...)
	}
	signal.Notify(c, list...)
	logLine("ready %d %d %s", os.Getpid(), os.Getppid(), os.Getenv("GENERATION"))
	var end <-chan time.Time
	var last syscall.Signal
	for {
		select {
		case sig := <-c:
			logLine("%s", unix.SignalName(sig.(syscall.Signal)))
			switch sig {
			case syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM:
				last = sig.(syscall.Signal)
				if left--; left == 0 {
					end = time.After(300 * time.Millisecond)
				}
			case syscall.SIGTSTP: // a program that restores the terminal first
				if os.Getenv("CATCH") == "tstp" {
					time.Sleep(300 * time.Millisecond)
					logLine("restored")
					exitOn(syscall.Kill(os.Getpid(), syscall.SIGSTOP))
				}
			}
		case <-end:
			os.Exit(RaiseSignal(last))
		case <-time.After(time.Minute):
			os.Exit(97)
		}
	}
}

func logLine(format string, args ...any) {
	f, err := os.OpenFile(os.Getenv("LOG"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	exitOn(err)
	_, err = fmt.Fprintf(f, format+"\n", args...)
	exitOn(errors.Join(err, f.Close()))
}

// callerStage is the wrapper's caller: it sets everything that is inherited to an
// unusual value, blocks and ignores all signals apart from those of the C library's
// threads, then becomes a stage with argv, or argv itself.
func callerStage(next string, argv []string) {
	runtime.LockOSThread()
	exitOn(syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 300, Max: 400}))
	exitOn(syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{Cur: 4096, Max: 8192}))
	syscall.Umask(0o027)
	exitOn(syscall.Setpriority(syscall.PRIO_PROCESS, 0, 5))
	exitOn(os.Chdir("/usr"))
	self, err := os.Executable()
	exitOn(err)
	var mask unix.Sigset_t
	for sig := syscall.Signal(1); sig <= 64; sig++ {
		if 32 <= sig && sig <= 34 {
			continue
		}
		sigaction(sig, &sigactiont{sigIgn}, nil)
		mask.Val[0] |= signalBit(sig)
	}
	exitOn(unix.PthreadSigmask(unix.SIG_SETMASK, &mask, nil))
	environ := []string{noExitDelay, "ZED=1", "A=2", "NO_DUMP=1", "EMPTY="}
	if next == "direct" {
		exitOn(syscall.Exec(argv[0], argv, environ))
	}
	exitOn(syscall.Exec(self, append([]string{self}, argv...), append(environ, stageEnv+"="+next)))
}

// signalBit is the signal in a mask of proc(5).
func signalBit(sig syscall.Signal) uint64 { return 1 << (sig - 1) }

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	must(t, err)
	return path
}

// runStage runs the test binary as a stage and returns its output.
func runStage(t *testing.T, name string, env []string, args ...string) (out string, pid int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), self(t), args...)
	cmd.Env = append(env, noExitDelay, stageEnv+"="+name)
	b, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("stage %s: %v: %s", name, err, b)
	}
	return string(b), cmd.Process.Pid
}

// journal is the log of logSignalsStage.
type journal string

func newJournal(t *testing.T) journal { return journal(filepath.Join(t.TempDir(), "log")) }

func (j journal) lines() []string {
	data, _ := os.ReadFile(string(j))
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
}

func (j journal) signals() []string {
	return slices.DeleteFunc(j.lines(), func(s string) bool { return !strings.HasPrefix(s, "SIG") })
}

// waitReady waits for the n-th start.
func (j journal) waitReady(t *testing.T, n int) (pid, ppid int, generation string) {
	t.Helper()
	var starts []string
	eventually(t, fmt.Sprintf("start %d", n), func() bool {
		starts = slices.DeleteFunc(j.lines(), func(s string) bool { return !strings.HasPrefix(s, "ready ") })
		return len(starts) >= n
	})
	words := append(strings.Fields(starts[n-1]), "")
	return atoi(words[1]), atoi(words[2]), words[3]
}

// waitSignal waits for a signal to be logged.
func (j journal) waitSignal(t *testing.T, name string) {
	t.Helper()
	eventually(t, name, func() bool { return slices.Contains(j.signals(), name) })
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("timeout: %s", what)
		}
	}
}

// state returns the state letter of proc(5): T is stopped, Z a zombie; 0 is none.
func state(pid int) byte {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, ok := strings.Cut(string(data), ") ")
	if err != nil || !ok {
		return 0
	}
	return rest[0]
}

// hasEnded reports whether a process has ended, though its parent may not know it yet.
func hasEnded(pid int) bool { s := state(pid); return s == 0 || s == 'Z' }
