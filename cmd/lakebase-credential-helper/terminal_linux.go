package main

import "golang.org/x/sys/unix"

const getTermios, setTermios, flushAndSetTermios = unix.TCGETS, unix.TCSETS, unix.TCSETSF
