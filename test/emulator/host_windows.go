package emulator

import (
	"errors"
	"os"
	"syscall"
)

// owner has no meaning on Windows, where the emulator has no Postgres.
type owner struct{ other bool }

func serverOwner() (owner, error) {
	return owner{}, errors.New("the local Lakebase has no Postgres on Windows: use Options.NoPostgres")
}

func (owner) attr() *syscall.SysProcAttr { return nil }
func (owner) give(string) error          { return nil }

// A killed process leaves one small file, which is not swept.
func claim(string) error       { return nil }
func sweep(string)             {}
func discard(dir string) error { return os.RemoveAll(dir) }
