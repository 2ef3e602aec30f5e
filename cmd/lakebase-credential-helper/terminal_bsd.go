//go:build unix && !linux

package main

import "golang.org/x/sys/unix"

const getTermios, setTermios, flushAndSetTermios = unix.TIOCGETA, unix.TIOCSETA, unix.TIOCSETAF
