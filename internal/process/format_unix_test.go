//go:build unix

package process

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestFormats gives Find files of every kind. Those it takes are then run.
func TestFormats(t *testing.T) {
	d := t.TempDir()
	put(t, d, "noexec", good, 0o644)
	put(t, d, "bare", "echo bare \"$@\"\n", 0o755)
	put(t, d, "echoer", "#!/bin/sh\necho via \"$@\"\n", 0o755)
	self := func(out string) func(string) string { return func(string) string { return out } }
	for _, c := range []struct {
		name, text string
		out        func(path string) string // what it prints, given a and "b c"; nil if refused
		shell      bool                     // run by /bin/sh
		refused    string
	}{
		{name: "script", text: "#!/bin/sh\necho \"$@\"\n", out: self("a b c\n")},
		{name: "blanks", text: "#! \t/bin/sh  -e \necho $-\n", out: self("e\n")},
		{name: "no-newline", text: "#!/bin/true", out: self("")},
		{name: "env", text: "#!/usr/bin/env sh\necho env\n", out: self("env\n")},
		{name: "nested", text: "#!" + d + "/echoer\n", out: func(p string) string { return "via " + p + " a b c\n" }},
		{name: "bare-script", text: "echo \"$0|$1|$2\"", shell: true, out: func(p string) string { return p + "|a|b c\n" }},
		{name: "empty", shell: true, out: self("")},
		{name: "empty-shebang", text: "#!\necho sh\n", shell: true, out: self("sh\n")},
		{name: "crlf-body", text: "#!/bin/sh\n: \r\n", out: self("")},
		{name: "missing", text: "#!/nowhere/python\n", refused: `interpreter "/nowhere/python" cannot be run: no such file`},
		{name: "not-executable", text: "#!" + d + "/noexec\n", refused: "it has no execute permission"},
		{name: "folder", text: "#!/\n", refused: "it is a directory"},
		{name: "interpreter-bare", text: "#!" + d + "/bare\n", refused: `is a script without "#!"`},
		{name: "crlf", text: "#!/bin/sh\r\nexit 0\r\n", refused: `Windows line ends: its "#!" line asks for "/bin/sh\r"`},
		{name: "crlf-env", text: "#!/usr/bin/env sh\r\nexit 0\r\n", refused: `Windows line ends: its "#!" line asks for "sh\r"`},
		{name: "itself", text: "#!" + d + "/itself\n", refused: "more often than the system follows"},
		{name: "too-long", text: "#!/" + strings.Repeat("x", 600) + "\n", refused: "longer than the " + strconv.Itoa(headSize())},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := put(t, d, c.name, c.text, 0o755)
			got, err := Find([]string{path, "a", "b c"}, Search{})
			if c.refused != "" {
				wantRefusal(t, err, "", c.refused)
				return
			}
			want := Command{Path: path, Argv: []string{path, "a", "b c"}}
			if c.shell {
				want = Command{Path: "/bin/sh", Argv: []string{"/bin/sh", path, "a", "b c"}}
			}
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Fatalf("%v %s", err, diff)
			}
			out, err := run(got)
			if err != nil || out != c.out(path) {
				t.Errorf("it printed %q (%v), want %q", out, err, c.out(path))
			}
		})
	}
}

// run starts a command by fork and execve, for its output.
func run(c Command) (string, error) {
	cmd := exec.Cmd{Path: c.Path, Args: c.Argv}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestDash: sh must not read the name of a script as options.
func TestDash(t *testing.T) {
	d := t.TempDir()
	put(t, d, "-d/x", "echo dash\n", 0o755)
	t.Chdir(d)
	c, err := Find([]string{"-d/x"}, Search{})
	if err != nil || c.Argv[1] != "./-d/x" {
		t.Fatalf("%+v %v", c, err)
	}
	if out, err := run(c); out != "dash\n" {
		t.Errorf("%q %v", out, err)
	}
}

// TestBinaries: what is no text is execve's to judge, never a shell's.
func TestBinaries(t *testing.T) {
	d := t.TempDir()
	for name, text := range map[string]string{
		"garbage": "\x01\x02\x00\x03garbage", "mz": "MZ\x90", "mach": "\xcf\xfa\xed\xfe\x07", "fat": "\xca\xfe\xba\xbe", "zip": "PK\x03\x04\x00", "elf-stub": "\x7fELF", "nul": "#!\x00",
	} {
		path := put(t, d, name, text, 0o755)
		if c, err := Find([]string{path}, Search{}); name != "nul" && (err != nil || c.Path != path) {
			t.Errorf("%s: %+v %v", name, c, err)
		}
	}
	path := put(t, d, "unreadable", good, 0o111)
	if c, err := Find([]string{path}, Search{}); err != nil || c.Path != path {
		t.Errorf("mode 0111: %+v %v", c, err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if c, err := Find([]string{self}, Search{}); err != nil || c.Path != self {
		t.Errorf("our own binary: %+v %v", c, err)
	}
}

func FuzzShebang(f *testing.F) {
	f.Add([]byte("/bin/sh -e\nx"))
	f.Add([]byte(" \t/usr/bin/env  a b\r\n"))
	f.Add([]byte("\x00"))
	f.Add(bytes.Repeat([]byte("x"), 254))
	f.Fuzz(func(t *testing.T, b []byte) {
		head := append([]byte("#!"), b...)
		head = head[:min(len(head), 256)]
		interpreter, arg, cut := shebang(head, 256)
		if strings.ContainsAny(interpreter, " \t\n\x00") || strings.Contains(arg, "\n") || !strings.Contains(string(head), interpreter+arg) && arg == "" {
			t.Fatalf("%q gives %q %q", head, interpreter, arg)
		}
		if cut && (len(head) < 256 || bytes.Contains(head, []byte("\n"))) {
			t.Fatalf("%q is said to be cut", head)
		}
	})
}

func FuzzELFLoader(f *testing.F) {
	shell, err := os.ReadFile("/bin/sh")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(shell[:min(len(shell), 512)]) // the headers, and the loader's name in some
	f.Add([]byte("\x7fELF\x01\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, arch := range []string{"amd64", "arm64", "riscv64"} {
			if s := elfLoader(bytes.NewReader(b), arch); len(s) >= maxLoaderName || strings.Contains(s, "\x00") || !strings.Contains(string(b), s) {
				t.Fatalf("loader %q", s)
			}
		}
	})
}

// TestScriptChain compares the count of interpreters with what execve does.
func TestScriptChain(t *testing.T) {
	if runtime.GOOS != "linux" {
		return // other systems allow one interpreter that is no script
	}
	d := t.TempDir()
	interpreter := "/bin/echo"
	for i := range 7 {
		path := put(t, d, "s"+strconv.Itoa(i), "#!"+interpreter+"\n", 0o755)
		c, err := Find([]string{path}, Search{})
		_, runErr := run(Command{Path: path, Argv: []string{path}})
		if (err == nil) != (runErr == nil) {
			t.Errorf("%d scripts: Find says %v (%+v), execve %v", i+1, err, c, runErr)
		}
		if i == 6 && runErr == nil {
			t.Error("the system follows seven scripts: the test shows nothing")
		}
		interpreter = filepath.Join(d, "s"+strconv.Itoa(i))
	}
}
