//go:build !linux

package emulator

// fastDir has no answer here.
func fastDir() string { return "" }
