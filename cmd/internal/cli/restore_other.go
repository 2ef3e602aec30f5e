//go:build !unix

package cli

// RestoreOnSignal does nothing where the console restores itself.
func RestoreOnSignal(func()) (stop func()) { return func() {} }
