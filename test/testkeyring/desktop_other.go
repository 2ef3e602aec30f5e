//go:build !linux

package testkeyring

import (
	"context"
	"errors"
	"runtime"
)

// Desktop is available on Linux only.
type Desktop struct{}

var errSystem = errors.New("package desktop needs Linux, not " + runtime.GOOS)

// Start fails: there are no private desktops on this system.
func Start(context.Context, Options) (*Desktop, error) { return nil, errSystem }

// Address returns "".
func (*Desktop) Address() string { return "" }

// Env returns nothing.
func (*Desktop) Env() []string { return nil }

// Calls returns nothing.
func (*Desktop) Calls() map[string]int { return nil }

// Lock fails.
func (*Desktop) Lock(context.Context) error { return errSystem }

// Unlock fails.
func (*Desktop) Unlock(context.Context) error { return errSystem }

// Close does nothing.
func (*Desktop) Close() error { return nil }
