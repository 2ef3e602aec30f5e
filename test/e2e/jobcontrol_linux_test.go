package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// atOneTime is how many shells run side by side; what they do is mostly wait.
const atOneTime = 8

// jobMode is one way to run a command.
type jobMode struct {
	name, words string
	supervised  bool
}

var (
	jobBare  = jobMode{name: "bare"}
	jobModes = []jobMode{
		{"off", "lakebase-exec --refresh off --wait never -- ", false},
		{"passfile", "lakebase-exec --refresh passfile --wait never -- ", true},
		{"proxy", "lakebase-exec --refresh proxy --wait never -- ", true},
	}
)

// jobResult is what became of a job: the signals that the command saw and who sent
// them, and each status that the shell saw.
type jobResult struct{ Signals, Statuses []string }

// job is a command under way: top is whom the shell started, command is the
// command itself.
type job struct {
	*jobShell
	top, command int
}

var jobCases = []struct {
	name string
	ends int    // so many signals that ask for its end end the command
	then string // what is typed behind the command
	do   func(j *job) (statuses []string)
	want jobResult
}{
	// A shell breaks a list off when a command has died of SIGINT, and only then.
	{"Ctrl-C", 1, "; true", func(j *job) []string { j.typeText("\x03"); return nil },
		jobResult{[]string{"SIGINT kernel"}, []string{"130"}}},
	{"Ctrl-backslash", 1, "", func(j *job) []string { j.typeText("\x1c"); return nil },
		jobResult{[]string{"SIGQUIT kernel"}, []string{"131 Quit"}}},
	{"Ctrl-Z and fg", 1, "", stopAndResume,
		jobResult{[]string{"SIGCONT process", "SIGTERM process"}, []string{"148 Stopped", "143 Terminated"}}},
	{"SIGTERM", 1, "", func(j *job) []string { j.kill(syscall.SIGTERM); return nil },
		jobResult{[]string{"SIGTERM process"}, []string{"143 Terminated"}}},
	{"two SIGTERMs", 2, "", func(j *job) []string {
		j.kill(syscall.SIGTERM)
		j.saw("SIGTERM")
		j.kill(syscall.SIGTERM)
		return nil
	}, jobResult{[]string{"SIGTERM process", "SIGTERM process"}, []string{"143 Terminated"}}},
	{"window change", 1, "", func(j *job) []string {
		j.resize()
		j.saw("SIGWINCH")
		j.kill(syscall.SIGTERM)
		return nil
	}, jobResult{[]string{"SIGWINCH kernel", "SIGTERM process"}, []string{"143 Terminated"}}},
}

func stopAndResume(j *job) (statuses []string) {
	j.typeText("\x1a")
	statuses = append(statuses, j.back())
	for _, pid := range []int{j.top, j.command} {
		if s := letter(pid); s != 'T' {
			j.t.Errorf("the prompt is back after Ctrl-Z, and %d is in the state %c", pid, s)
		}
	}
	j.typeText("fg\n")
	j.saw("SIGCONT")
	if group := j.foreground(); group != j.top {
		j.t.Errorf("after fg the terminal is the process group %d's, not the job's, %d", group, j.top)
	}
	if s := letter(j.top); s == 'T' {
		j.t.Error("after fg the job is still stopped")
	}
	j.kill(syscall.SIGTERM)
	return statuses
}

// letter is the state of proc(5); 0 is no process.
func letter(pid int) byte {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, ok := strings.Cut(string(data), ") ")
	if err != nil || !ok {
		return 0
	}
	return rest[0]
}

// TestJobControl does the same to a command and, in the same shell, to that
// command behind lakebase-exec: the command sees the same signals, from the same
// side, and the shell sees the same end, and has its terminal back.
//
// It is not parallel to other tests: it is busy, and some of them take the time.
func TestJobControl(t *testing.T) {
	client(t, "/usr/bin/python3")
	l := startLakebase(t, emulator.Options{NoPostgres: true})
	slots := make(chan struct{}, atOneTime)
	var all sync.WaitGroup
	run := func(name string, test func(*testing.T)) {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			t.Run(name, test)
		})
	}
	for shell := range jobShells {
		for i := range jobCases {
			run(shell+"/"+jobCases[i].name, func(t *testing.T) { sameAsBare(t, newJobShell(t, l, shell), i) })
		}
		for _, m := range append([]jobMode{jobBare}, jobModes...) {
			run(shell+"/hang-up/"+m.name, func(t *testing.T) { hangUp(t, newJobShell(t, l, shell), shell, m) })
		}
	}
	all.Wait()
}

func sameAsBare(t *testing.T, x *jobShell, i int) {
	c := jobCases[i]
	once := func(m jobMode) jobResult {
		j := x.start(m, c.ends, c.then)
		statuses := append(c.do(j), j.back())
		j.nothing()
		return jobResult{j.signals(), statuses}
	}
	// The shell's own ways are known, so that both are not wrong in the same way.
	if got := once(jobBare); !reflect.DeepEqual(got, c.want) {
		t.Fatalf("bare: %q, not %q", got, c.want)
	}
	for _, m := range jobModes {
		ok := t.Run(m.name, func(t *testing.T) {
			x.t = t
			if got := once(m); !reflect.DeepEqual(got, c.want) {
				t.Errorf("%q, not %q as the bare command", got, c.want)
			}
		})
		if !ok { // the shell is not at its prompt any more
			return
		}
	}
}

// start types the command and waits until it counts.
func (x *jobShell) start(m jobMode, ends int, then string) *job {
	x.t.Helper()
	script, err := filepath.Abs(filepath.Join("testdata", "tally.py"))
	if err != nil {
		x.t.Fatal(err)
	}
	if err := os.RemoveAll(x.log); err != nil {
		x.t.Fatal(err)
	}
	x.typeText(fmt.Sprintf("%s%s -IS '%s' '%s' %d%s\n", m.words, "/usr/bin/python3", script, x.log, ends, then))
	j := &job{jobShell: x}
	var parent int
	eventually(x.t, "the command runs", func() bool {
		n, _ := fmt.Sscanf(x.tallied()[0], "ready %d %d", &j.command, &parent)
		return n == 2
	})
	j.top = j.command
	if parent != x.cmd.Process.Pid {
		j.top = parent
	}
	if supervised := j.top != j.command; supervised != m.supervised {
		x.t.Fatalf("the command %d has the parent %d, the shell is %d", j.command, parent, x.cmd.Process.Pid)
	}
	if group := x.foreground(); group != j.top {
		x.t.Fatalf("the terminal is the process group %d's, not the job's, %d", group, j.top)
	}
	processes, folders := []int{j.top}, 0
	if m.supervised {
		processes, folders = []int{j.top, j.command}, 1
	}
	got := x.members()
	slices.Sort(got)
	slices.Sort(processes)
	if !slices.Equal(got, processes) || len(x.runFolders()) != folders {
		x.t.Errorf("the job has the processes %d, not %d, and the folders %q, not %d", got, processes, x.runFolders(), folders)
	}
	return j
}

// kill is kill(1) with the number that the shell calls the job's.
func (j *job) kill(sig syscall.Signal) {
	j.t.Helper()
	if err := syscall.Kill(j.top, sig); err != nil {
		j.t.Fatal(err)
	}
}

// hangUps is how often a bare command is told of a hang-up. dash tells no job,
// so that the kernel's one SIGHUP is all; bash tells its jobs as well.
var hangUps = map[string]int{"dash": 1, "bash": 2}

// hangUp closes the terminal. The shell ends by it, and so does all that runs.
func hangUp(t *testing.T, x *jobShell, shell string, m jobMode) {
	j := x.start(m, 1, "")
	if err := x.pty.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all processes of the session are gone", func() bool { return len(j.members()) == 0 && letter(x.cmd.Process.Pid) == 'Z' })
	j.nothing()
	count := map[string]int{}
	for _, s := range j.signals() {
		sig, _, _ := strings.Cut(s, " ")
		count[sig]++
	}
	if n := count["SIGHUP"]; n < 1 || n > hangUps[shell] || count["SIGCONT"] > hangUps[shell] || len(j.signals()) != n+count["SIGCONT"] {
		t.Errorf("the command saw %q; a bare one sees SIGHUP %d times at the most, and after each SIGCONT", j.signals(), hangUps[shell])
	}
	if m.supervised && slices.ContainsFunc(j.tallied(), func(s string) bool { return strings.HasSuffix(s, fmt.Sprintf(" process %d", j.top)) }) {
		t.Errorf("lakebase-exec, %d, sent it again: %q", j.top, j.tallied())
	}
	t.Logf("the command saw %q", j.tallied())
}
