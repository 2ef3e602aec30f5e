package process

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// superviseStage is a small lakebase-exec --refresh: it runs its arguments, with
// NEXT as their stage, and ends as they did.
func superviseStage() {
	if os.Getenv("HARDEN") != "" {
		must(Harden())
	}
	environ := slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, "CHILD_TEST_STAGE=") })
	environ = append(environ, "CHILD_TEST_STAGE="+os.Getenv("NEXT"))
	c := Command{Path: os.Args[1], Argv: os.Args[1:]}
	s, err := Supervise(context.Background(), c, environ, Options{PID1: os.Getenv("PID1") != ""})
	must(err)
	status, err := s.Wait()
	must(err)
	if status.Signal != 0 {
		os.Exit(DieOf(status.Signal))
	}
	os.Exit(status.ExitCode)
}

// supervisorStage has open files and handlers, as the real one has, and runs a
// report as its child.
func supervisorStage(report string) {
	must(Harden())
	f, err := os.Open("/etc/passwd")
	must(err)
	defer f.Close()
	c, err := Find(reports[report], Search{Path: "/bin", PathSet: true})
	must(err)
	s, err := Supervise(context.Background(), c, reportEnv, Options{})
	must(err)
	status, err := s.Wait()
	must(err)
	os.Exit(status.ExitCode)
}

// countStage logs each signal that it sees. When ENDS (1) of those that ask for an
// end are there, and the file UNTIL, if one is named, it stays for 300 ms, so that
// one too many is seen, and dies of the last one.
func countStage() {
	const pause = 300 * time.Millisecond
	left, until := max(1, atoi(os.Getenv("ENDS"))), os.Getenv("UNTIL")
	c := make(chan os.Signal, 64)
	list := []os.Signal{
		syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM, syscall.SIGWINCH,
		syscall.SIGCONT, syscall.SIGPIPE, syscall.SIGVTALRM,
	}
	switch os.Getenv("COUNT") {
	case "tstp":
		list = append(list, syscall.SIGTSTP)
	case "all":
		list = append(list, stopping...)
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
				if left--; left > 0 {
					continue
				}
				for _, err := os.Stat(until); until != "" && err != nil; _, err = os.Stat(until) {
					time.Sleep(5 * time.Millisecond)
				}
				end = time.After(pause)
			case syscall.SIGTSTP: // a program that sets the terminal right first
				if os.Getenv("COUNT") == "tstp" {
					time.Sleep(300 * time.Millisecond)
					logLine("tidied")
					must(syscall.Kill(os.Getpid(), syscall.SIGSTOP))
				}
			}
		case <-end:
			os.Exit(DieOf(last))
		case <-time.After(time.Minute):
			os.Exit(97)
		}
	}
}

func logLine(format string, args ...any) {
	f, err := os.OpenFile(os.Getenv("LOG"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	must(err)
	_, err = fmt.Fprintf(f, format+"\n", args...)
	must(err)
	must(f.Close())
}

// releasedStage is alive after Wait, and then dies of SIGTERM like anybody.
func releasedStage() {
	s, err := Supervise(context.Background(), Command{Path: "/bin/true", Argv: []string{"true"}}, nil, Options{})
	must(err)
	_, err = s.Wait()
	must(err)
	must(syscall.Kill(os.Getpid(), syscall.SIGTERM))
	time.Sleep(time.Minute)
	os.Exit(96)
}

// dumpableStage tells whether it can be read, and what it can read of its parent.
func dumpableStage() {
	d, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	must(err)
	var l unix.Rlimit
	must(unix.Getrlimit(unix.RLIMIT_CORE, &l))
	fmt.Printf("uid %d dumpable %d core %d\n", os.Getuid(), d, l.Cur)
	for _, file := range []string{"environ", "maps", "mem", "fd/0"} {
		f, err := os.Open(fmt.Sprintf("/proc/%d/%s", os.Getppid(), file))
		switch {
		case os.IsPermission(err):
			fmt.Println(file, "closed")
		case err != nil:
			fmt.Println(file, err)
		default:
			fmt.Println(file, "open")
			_ = f.Close()
		}
	}
	os.Exit(0)
}

// journal is what countStage wrote.
type journal string

func newJournal(t *testing.T) journal { return journal(filepath.Join(t.TempDir(), "log")) }

func (j journal) lines() []string {
	data, _ := os.ReadFile(string(j))
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
}

// signals leaves out all but the signals.
func (j journal) signals() []string {
	return slices.DeleteFunc(j.lines(), func(s string) bool { return !strings.HasPrefix(s, "SIG") })
}

// ready waits for the n-th start of countStage.
func (j journal) ready(t *testing.T, n int) (pid, ppid int, generation string) {
	t.Helper()
	var starts []string
	eventually(t, fmt.Sprintf("start number %d", n), func() bool {
		starts = slices.DeleteFunc(j.lines(), func(s string) bool { return !strings.HasPrefix(s, "ready ") })
		return len(starts) >= n
	})
	words := append(strings.Fields(starts[n-1]), "")
	return atoi(words[1]), atoi(words[2]), words[3]
}

// saw waits for a number of lines like this one.
func (j journal) saw(t *testing.T, line string, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d times %s", n, line), func() bool {
		return len(slices.DeleteFunc(j.lines(), func(s string) bool { return s != line })) >= n
	})
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// detached runs the test binary as a supervisor in a session of its own, which
// has no terminal.
func detached(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(self(t), args...)
	cmd.Env = append(append(os.Environ(), "CHILD_TEST_STAGE=supervise"), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd
}

// state is the letter of proc(5): T is stopped, Z a zombie; 0 is nothing.
func state(pid int) byte {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, ok := strings.Cut(string(data), ") ")
	if err != nil || !ok {
		return 0
	}
	return rest[0]
}
