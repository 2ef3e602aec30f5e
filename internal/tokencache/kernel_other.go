//go:build !linux

package tokencache

import "errors"

// Kernel is a store that Linux alone has.
type Kernel struct{ Store }

var errNotLinux = errors.New("kernel keyring: only Linux has one")

// OpenKernel returns an error.
func OpenKernel() (Kernel, error) { return Kernel{}, errNotLinux }

// KernelIsPrivate returns an error.
func KernelIsPrivate() error { return errNotLinux }
