//go:build unix

package process

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// format is what execve will make of a file.
type format int

const (
	formatKnown format = iota // execve runs it, or is the one to say why not
	formatText                // no magic number: execvp hands it to the shell
)

// maxInterpreters is how many scripts may be one another's interpreter (Linux,
// fs/exec.c).
const maxInterpreters = 5

// headSize is how much of a file the system reads to find its interpreter:
// BINPRM_BUF_SIZE on Linux, IMG_SHSIZE on macOS.
func headSize() int {
	if runtime.GOOS == "linux" {
		return 256
	}
	return 512
}

// foresee reads the head of an executable file. A file that may be executed but
// not read is left to execve. dir is what a relative interpreter is relative to.
func foresee(file, dir string, depth int) (format, error) {
	fd, err := os.OpenFile(file, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return formatKnown, nil
	}
	defer fd.Close()
	if fi, err := fd.Stat(); err != nil || !fi.Mode().IsRegular() {
		return formatKnown, nil
	}
	head := make([]byte, headSize())
	n, err := io.ReadFull(fd, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return formatKnown, nil
	}
	head = head[:n]
	switch {
	case bytes.HasPrefix(head, []byte("#!")):
		return foreseeScript(file, dir, head, depth)
	case bytes.HasPrefix(head, []byte("\x7fELF")):
		return formatKnown, foreseeELF(file, fd)
	case isBinary(head):
		return formatKnown, nil
	}
	return formatText, nil
}

// isBinary tells a program, or garbage, from text. Mach-O has NUL bytes or
// invalid text in its head, a Windows program begins with MZ; what is neither
// text nor known is execve's to judge, as a binfmt_misc handler may know it. A
// shell must never be fed with it.
func isBinary(head []byte) bool {
	if bytes.HasPrefix(head, []byte("MZ")) {
		return true
	}
	for _, magic := range []string{"\xfe\xed\xfa", "\xce\xfa\xed\xfe", "\xcf\xfa\xed\xfe", "\xca\xfe\xba", "\xbe\xba\xfe\xca"} {
		if bytes.HasPrefix(head, []byte(magic)) {
			return true
		}
	}
	return bytes.IndexByte(head, 0) >= 0
}

// foreseeScript judges a file that begins with "#!".
func foreseeScript(file, dir string, head []byte, depth int) (format, error) {
	refuse := func(reason string, args ...any) (format, error) {
		return formatKnown, &NotExecutableError{Path: file, Reason: fmt.Sprintf(reason, args...)}
	}
	interpreter, arg, cut := shebang(head, headSize())
	switch {
	case cut:
		return refuse(`its "#!" line is longer than the %d bytes that the system reads`, headSize())
	case depth >= maxInterpreters:
		return refuse("a script's interpreter is a script, and so on, more often than the system follows")
	case interpreter == "":
		return formatText, nil
	}
	name := under(dir, interpreter)
	switch err := check(name); {
	case err == nil && path.Base(interpreter) == "env" && strings.HasSuffix(arg, "\r"):
		return windowsLines(file, arg)
	case err != nil && strings.HasSuffix(interpreter, "\r"):
		return windowsLines(file, interpreter)
	case err != nil:
		return refuse("its interpreter %q cannot be run: %v", interpreter, err)
	}
	f, err := foresee(name, dir, depth+1)
	if err != nil {
		return refuse("its interpreter cannot be run: %v", err)
	}
	if f != formatKnown {
		return refuse(`its interpreter %q is a script without "#!"`, interpreter)
	}
	return formatKnown, nil
}

func windowsLines(file, word string) (format, error) {
	return formatKnown, &NotExecutableError{Path: file, Reason: fmt.Sprintf(`%v: its "#!" line asks for %q`, ErrLineEnds, word), Err: ErrLineEnds}
}

// shebang reads the line after "#!" as fs/binfmt_script.c does: the interpreter
// ends at a blank, a NUL or the end of the line, the rest is one argument. cut
// says that the interpreter's name runs past the size bytes that are read.
func shebang(head []byte, size int) (interpreter, arg string, cut bool) {
	line, _, whole := bytes.Cut(head[len("#!"):], []byte("\n"))
	words := strings.Trim(string(line), " \t")
	i := strings.IndexAny(words, " \t\x00")
	if i < 0 {
		return words, "", words != "" && !whole && len(head) == size
	}
	return words[:i], strings.Trim(words[i:], " \t\x00"), false
}

// foreseeELF looks for the loader that a program of our own machine names: if it
// is missing, as on a musl system that is given a glibc program, execve's error
// reads as if the program itself were not there.
func foreseeELF(file string, r io.ReaderAt) error {
	loader := elfLoader(r, runtime.GOARCH)
	if loader == "" {
		return nil
	}
	if err := check(loader); err != nil {
		return &NotExecutableError{Path: file, Reason: fmt.Sprintf("its loader %q cannot be run: %v (the program was built for another system)", loader, err), Err: err}
	}
	return nil
}
