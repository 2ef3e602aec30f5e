// Package testkeyring starts a private session bus for tests: with a real
// gnome-keyring, without a secret service, or with a fake one that has one known fault.
//
// It does not touch the caller's bus, keyring or environment, fails if a program is
// missing, and leaves no process.
package testkeyring

import "time"

// Mode is the kind of provider of org.freedesktop.secrets.
type Mode string

const (
	// Unlocked is gnome-keyring with an open login collection.
	Unlocked Mode = "unlocked"
	// Locked is gnome-keyring started without its password. Items that were
	// stored in the same Options.Dir before are there, locked.
	Locked Mode = "locked"
	// NoCollection is gnome-keyring for a fresh user, who has no login
	// collection. Options.Dir must not hold one.
	NoCollection Mode = "no-collection"
	// NoProvider is a bus where the name has no owner, and none can be started.
	NoProvider Mode = "no-provider"

	// The fakes. If locked, Unlock of the API returns a prompt.

	// Silent answers no call.
	Silent Mode = "silent"
	// HungPrompt is locked, and its prompt never completes.
	HungPrompt Mode = "hung-prompt"
	// Dismissed is locked, and its prompt completes dismissed.
	Dismissed Mode = "dismissed"
	// Accepted is locked, and its prompt unlocks.
	Accepted Mode = "accepted"
	// Asking is unlocked, but answers each replacement of an item and each
	// Delete with a prompt that completes dismissed and does nothing.
	Asking Mode = "asking"
	// Slow is unlocked and takes Options.Delay for each answer.
	Slow Mode = "slow"
	// Forgetful is unlocked and stores each secret altered.
	Forgetful Mode = "forgetful"
)

// Options of Start.
type Options struct {
	// Dir is the home directory; it is created if missing, and not removed, so that
	// its keyrings can be used again.
	Dir  string
	Mode Mode
	// Delay is how long Slow takes for each answer.
	Delay time.Duration
}
