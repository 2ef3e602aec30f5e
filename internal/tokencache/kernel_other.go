//go:build !linux

package tokencache

import "errors"

// Kernel is a store that exists on Linux only.
type Kernel struct{ Store }

var errNotLinux = errors.New("kernel keyring: available on Linux only")

// OpenKernel returns an error.
func OpenKernel() (Kernel, error) { return Kernel{}, errNotLinux }

// KernelIsPrivate returns an error.
func KernelIsPrivate() error { return errNotLinux }
