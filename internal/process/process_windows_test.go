package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/windows"
)

// stagesEnv lists what the process is, and what those that it starts are.
const stagesEnv = "PROCESS_TEST_STAGES"

// TestMain: the test binary is also each process that the tests start. scripts/test-windows
// starts it, too.
func TestMain(m *testing.M) {
	stage, rest, _ := strings.Cut(os.Getenv(stagesEnv), ",")
	exitOn(os.Setenv(stagesEnv, rest))
	switch stage {
	case "":
		os.Exit(m.Run())
	case "arguments": // prints its arguments, and exits with the first if it is a number
		fmt.Printf("%q\n", os.Args[1:])
		code, _ := strconv.Atoi(strings.Join(os.Args[1:min(2, len(os.Args))], ""))
		os.Exit(code)
	case "exec", "exec-event": // and then, an event that arrives after the command has ended
		code, err := Exec(Command{Path: os.Args[1], Argv: os.Args[1:]}, os.Environ())
		if err != nil {
			fmt.Printf("%T %v\n", err, err)
			code = 99
		}
		if stage == "exec-event" {
			exitOn(sendEvent(os.Getpid(), windows.CTRL_C_EVENT))
		}
		os.Exit(code)
	case "wait": // until it is killed
		writePID()
		time.Sleep(time.Hour)
	case "parent": // of a process that waits
		writePID()
		_ = exec.Command(os.Args[0], os.Args[1]+"-child").Run()
	case "interrupted":
		events := make(chan os.Signal, 1)
		signal.Notify(events, os.Interrupt)
		writePID()
		<-events
		os.Exit(42)
	case "console":
		consoleStage()
	}
	os.Exit(98)
}

// consoleStage runs its arguments in the console that it has, and sends all processes
// there an event when the file of writePID exists, as a user who types Ctrl-C does.
func consoleStage() {
	signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	cmd := exec.Command(os.Args[2], os.Args[3:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	exitOn(cmd.Start())
	command := waitPID(os.Args[len(os.Args)-1])
	event, _ := strconv.Atoi(os.Args[1])
	if err := windows.GenerateConsoleCtrlEvent(uint32(event), 0); err != nil { // Wine 8 has only Ctrl-C
		exitOn(errors.Join(sendEvent(cmd.Process.Pid, event), sendEvent(command, event)))
	}
	_ = cmd.Wait()
	os.Exit(cmd.ProcessState.ExitCode())
}

// sendEvent sends a process a console event as the system does, by a thread in it, and
// waits until it has been handled.
func sendEvent(pid, event int) error {
	kernel := windows.NewLazySystemDLL("kernel32.dll")
	p, err := windows.OpenProcess(windows.PROCESS_ALL_ACCESS, false, uint32(pid))
	if err != nil {
		return err
	}
	thread, _, err := kernel.NewProc("CreateRemoteThread").Call(uintptr(p), 0, 0, kernel.NewProc("CtrlRoutine").Addr(), uintptr(event), 0, 0)
	if thread == 0 {
		return err
	}
	_, err = windows.WaitForSingleObject(windows.Handle(thread), 60_000)
	return errors.Join(err, windows.CloseHandle(windows.Handle(thread)), windows.CloseHandle(p))
}

func exitOn(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(98)
	}
}

// writePID writes the process's PID to the file that its last argument names.
func writePID() {
	path := os.Args[len(os.Args)-1]
	exitOn(errors.Join(os.WriteFile(path+".new", []byte(strconv.Itoa(os.Getpid())), 0o600), os.Rename(path+".new", path)))
}

func waitPID(path string) (pid int) {
	for pid == 0 {
		data, _ := os.ReadFile(path)
		pid, _ = strconv.Atoi(string(data))
		time.Sleep(10 * time.Millisecond)
	}
	return pid
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func stage(t *testing.T, stages string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(os.Environ(), stagesEnv+"="+stages)
	return cmd
}

func TestExec_Arguments(t *testing.T) {
	args := []string{"", "a b", `q"x`, `c:\d\`, `c:\a b\`, `a\"b`, "é世🙂", "%PATH%", "a&b|c", "*", "^", "'", "a\tb", "200"}
	cmd := stage(t, "exec,arguments")
	cmd.Args = slices.Concat(cmd.Args, []string{cmd.Path, "200"}, args)
	out, err := cmd.Output()
	if want := fmt.Sprintf("%q\n", append([]string{"200"}, args...)); string(out) != want || cmd.ProcessState.ExitCode() != 200 {
		t.Errorf("got %s, %v, want %s, exit code 200", out, err, want)
	}
	for _, name := range []string{"none.exe", "text.exe"} {
		path := filepath.Join(t.TempDir(), name)
		if name == "text.exe" {
			must(t, os.WriteFile(path, []byte("text"), 0o700))
		}
		_, err := Exec(Command{Path: path, Argv: []string{name}}, nil)
		if want := map[string]Kind{"none.exe": NotFound, "text.exe": NotExecutable}[name]; !isKind(err, want) {
			t.Errorf("%s: got %T %v", name, err, err)
		}
	}
}

// No argument of a batch file is a command to cmd.exe (CVE-2024-24576): it arrives as
// it is, or is refused.
func TestExec_BatchFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a & b")
	must(t, os.Mkdir(dir, 0o700))
	t.Chdir(dir)
	self, err := os.Executable()
	must(t, err)
	for _, name := range []string{"x.bat", "x y.CMD"} {
		must(t, os.WriteFile(name, []byte("@echo off\r\n\""+self+"\" %*\r\nexit /b %errorlevel%\r\n"), 0o700))
		for _, c := range []string{"&", "|", "&&", "||", ">", "\n", "\r\n", "^&", "%OS%&", "\"&", "\"\"&", "\\\"&", "%CMDCMDLINE:~-1%&", "\x1a&", "!OS!&", "a b", "", "é世", "-x=1,2;3", "(x)", `c:\d\`, "x@y:/z"} {
			arg := c
			if strings.ContainsAny(c, "&|>\n") {
				arg += `echo x>injected`
			}
			cmd := stage(t, "exec,arguments", filepath.Join(dir, name), "9", arg, "last "+arg)
			cmd.Dir = dir
			out, _ := cmd.Output()
			want, code := fmt.Sprintf("%q\n", []string{"9", arg, "last " + arg}), 9
			if strings.ContainsAny(arg, "\"%\r\n\x1a") {
				want, code = "*process.Error cannot execute", 99
			}
			if !strings.HasPrefix(string(out), want) || cmd.ProcessState.ExitCode() != code {
				t.Errorf("%s %q: got %q, exit code %d, want %q, %d", name, arg, out, cmd.ProcessState.ExitCode(), want, code)
			}
			if files, _ := filepath.Glob("*"); len(files) > 2 {
				t.Fatalf("%s %q: got the files %q, so that a command was injected", name, arg, files)
			}
		}
	}
}

func TestFind(t *testing.T) {
	d := t.TempDir()
	for _, name := range []string{"one/x.cmd", "two/x.exe", "two/x.bat", "two/y.bat", "two/noext", "here.exe"} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(d, name)), 0o700))
		must(t, os.WriteFile(filepath.Join(d, name), nil, 0o700))
	}
	t.Chdir(d)
	t.Setenv("PATHEXT", ".COM;.EXE;.BAT;.CMD")
	one, two := d+`\one`, d+`\two`
	for _, c := range []struct{ name, path, want string }{
		{"x", one + ";" + two, one + "/x.cmd"},
		{"x", two + ";" + one, two + "/x.exe"},
		{"x.bat", one + ";;" + two, two + "/x.bat"},
		{"Y", two, two + "/Y.bat"},
		{`two\y`, "", `two\y.bat`},
		{"here", one, ""}, // the working directory is not searched
		{"noext", two, ""},
		{"x", "", ""},
	} {
		got, err := Find([]string{c.name}, c.path)
		if !strings.EqualFold(got.Path, c.want) || (c.want == "") != isKind(err, NotFound) {
			t.Errorf("%s in %s: got %q, %v, want %q", c.name, c.path, got.Path, err, c.want)
		}
	}
	if _, err := Find([]string{"y", `a"b`}, two); !isKind(err, NotExecutable) {
		t.Errorf("a batch file with a quotation mark: got %v, want NotExecutable", err)
	}
}

// waitEnd waits until a process has ended.
func waitEnd(t *testing.T, pid int) {
	t.Helper()
	p, err := windows.OpenProcess(windows.SYNCHRONIZE, false, uint32(pid))
	if err != nil {
		return // it does not exist any more
	}
	defer func() { _ = windows.CloseHandle(p) }()
	if event, err := windows.WaitForSingleObject(p, 60_000); event != windows.WAIT_OBJECT_0 {
		t.Errorf("process %d still runs: %v", pid, err)
	}
}

// The command, and what it has started, end with a wrapper that is killed.
func TestExec_Killed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	cmd := stage(t, "exec,parent,wait")
	cmd.Args = append(cmd.Args, cmd.Path, file)
	must(t, cmd.Start())
	pids := []int{waitPID(file), waitPID(file + "-child")}
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	for _, pid := range pids {
		waitEnd(t, pid)
	}
}

// Ctrl-C and Ctrl-Break reach the command, whose exit code is ours.
func TestExec_ConsoleEvents(t *testing.T) {
	for _, event := range []int{windows.CTRL_C_EVENT, windows.CTRL_BREAK_EVENT} {
		file := filepath.Join(t.TempDir(), "pid")
		cmd := stage(t, "console,exec,interrupted", strconv.Itoa(event))
		cmd.Args = append(cmd.Args, cmd.Path, cmd.Path, file)
		cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.CREATE_NO_WINDOW} // a console of its own
		if out, err := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 42 {
			t.Errorf("event %d: got %v, want exit code 42: %s", event, err, out)
		}
	}
}

// An event that we handle later than the command does not change the exit code.
func TestExec_LateConsoleEvent(t *testing.T) {
	cmd := stage(t, "exec-event,arguments")
	cmd.Args = append(cmd.Args, cmd.Path, "42")
	if out, _ := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 42 {
		t.Errorf("got exit code %d, want 42: %s", cmd.ProcessState.ExitCode(), out)
	}
}

func TestSupervise_SignalAndRestart(t *testing.T) {
	self, err := os.Executable()
	must(t, err)
	file := filepath.Join(t.TempDir(), "pid")
	t.Setenv(stagesEnv, "parent,wait")
	environ := os.Environ()
	s, err := Supervise(Command{Path: self, Argv: []string{self, file}}, environ, nil)
	must(t, err)
	first := []int{waitPID(file), waitPID(file + "-child")}
	if err := s.Signal(syscall.SIGHUP); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("SIGHUP: got %v, want errors.ErrUnsupported", err)
	}
	must(t, errors.Join(os.Remove(file), os.Remove(file+"-child")))
	must(t, s.Restart(t.Context(), environ, time.Minute))
	for _, pid := range first {
		waitEnd(t, pid)
	}
	second := []int{waitPID(file), waitPID(file + "-child")}
	if second[0] != s.PID() {
		t.Errorf("got PID %d, want %d", s.PID(), second[0])
	}
	must(t, s.Signal(syscall.SIGTERM))
	if status, err := s.Wait(); err != nil || status.ExitCode != 1 {
		t.Errorf("got %+v, %v, want exit code 1", status, err)
	}
	for _, pid := range second {
		waitEnd(t, pid)
	}
}
