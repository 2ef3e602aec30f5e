// Command tally stands between go test and who reads it. It shows what plain go
// test would: a line for each package, and all that failed tests have said. It
// keeps how each case went, for the table at the end:
//
//	tally -record FILE -- go test -json ARG…   runs it, and ends with its exit code
//	tally -table FILE…                         prints the table of what was kept
//
// It must never hide a failure: what go test calls one is in the table too, also
// where no test is to blame.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

func main() {
	record := flag.String("record", "", "`file` that the cases are written to")
	asTable := flag.Bool("table", false, "print the table of these files")
	flag.Parse()
	var code int
	var err error
	switch {
	case *asTable && flag.NArg() > 0:
		code, err = show(os.Stdout, flag.Args())
	case *record != "" && flag.NArg() > 0:
		code, err = run(*record, flag.Args(), os.Stdout)
	default:
		err = errors.New("usage: tally -record FILE -- go test -json [ARG], or tally -table FILE")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "tally:", err)
		os.Exit(2)
	}
	os.Exit(code)
}

// run runs a go test and gives its exit code.
func run(record string, argv []string, out io.Writer) (int, error) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stderr = os.Stderr
	lines, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	over := make(chan struct{})
	go func() {
		for {
			select {
			case s := <-signals:
				_ = cmd.Process.Signal(s) // it may have ended just now
			case <-over:
				return
			}
		}
	}()
	t := newTally(out)
	err = t.read(lines)
	ended := cmd.Wait()
	close(over)
	var exit *exec.ExitError
	if ended != nil && !errors.As(ended, &exit) {
		err = errors.Join(err, ended)
	}
	code := cmd.ProcessState.ExitCode()
	if code < 0 {
		code = 1 // a signal ended it
	}
	return code, errors.Join(err, keep(record, t.end(code == 0)))
}

// maxLine is more than any line of a test's output: go test cuts none.
const maxLine = 64 << 20

// read takes in go test's events until there are no more.
func (t *tally) read(r io.Reader) error {
	scan := bufio.NewScanner(r)
	scan.Buffer(nil, maxLine)
	for scan.Scan() {
		t.line(scan.Bytes())
	}
	err := scan.Err()
	if err != nil { // go test must not wait for us
		_, _ = io.Copy(io.Discard, r)
	}
	return err
}
