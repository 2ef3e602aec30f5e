package main

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/creack/pty"
	"golang.org/x/term"
)

func TestAwaitNoEcho(t *testing.T) {
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
	synctest.Test(t, func(t *testing.T) {
		silent := make(chan struct{})
		go func() { awaitNoEcho(fd, before); close(silent) }()
		time.Sleep(100 * time.Millisecond)
		select {
		case <-silent:
			t.Fatal("asked while what is typed is shown")
		default:
		}
		if _, err := term.MakeRaw(fd); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		if <-silent; time.Since(begun) > 2*time.Millisecond {
			t.Errorf("asked %v after the echo is off", time.Since(begun))
		}
	})
}
