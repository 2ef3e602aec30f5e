package main

import (
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/term"
)

func TestNobodyIsAskedWhileTheTerminalEchoes(t *testing.T) {
	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	defer tty.Close()
	fd := int(tty.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		t.Fatal(err)
	}
	silent := make(chan struct{})
	go func() { awaitSilence(fd, before); close(silent) }()
	select {
	case <-silent:
		t.Fatal("asked while what is typed is shown")
	case <-time.After(100 * time.Millisecond):
	}
	if _, err := term.MakeRaw(fd); err != nil {
		t.Fatal(err)
	}
	select {
	case <-silent:
	case <-time.After(800 * time.Millisecond):
		t.Error("the echo is off, and nobody is asked")
	}
}
