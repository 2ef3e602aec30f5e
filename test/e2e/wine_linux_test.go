//go:build wine

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestWine runs the scripts of testdata/wine, one after the other, as there is one Windows
// user. scripts/test-windows has built the programs in $WINDOWS_PROGRAMS and made the
// prefix. The programs are commands in PATH, and run under Wine.
func TestWine(t *testing.T) {
	programs, err := filepath.Glob(filepath.Join(os.Getenv("WINDOWS_PROGRAMS"), "*.exe"))
	if err != nil || len(programs) == 0 {
		t.Fatal("run scripts/test-windows")
	}
	wrappers := t.TempDir()
	for _, program := range programs {
		script := fmt.Sprintf("#!/bin/sh\nTMPDIR='%s' exec wine '%s' \"$@\"\n", os.TempDir(), program) // Wine's server is found there
		must(t, os.WriteFile(filepath.Join(wrappers, filepath.Base(program)), []byte(script), 0o700))
	}
	testscript.Run(t, testscript.Params{
		Dir:  filepath.Join("testdata", "wine"),
		Cmds: scriptCommands,
		Setup: func(env *testscript.Env) error {
			if err := setupScript(env); err != nil {
				return err
			}
			env.Setenv("PATH", wrappers+":"+os.Getenv("PATH"))
			env.Setenv("LAKEBASE_CACHE", "")
			env.Setenv("PROGRAMS", os.Getenv("WINDOWS_PROGRAMS"))
			env.Setenv("WINEPATH", "Z:"+os.Getenv("WINDOWS_PROGRAMS"))                                // comes first in PATH
			for name, dir := range map[string]string{"APPDATA": "Roaming", "LOCALAPPDATA": "Local"} { // Wine sets its own
				matches, err := filepath.Glob(filepath.Join(os.Getenv("WINEPREFIX"), "drive_c", "users", "*", "AppData", dir))
				if err != nil || len(matches) != 1 {
					return fmt.Errorf("got %q, %w, want one user", matches, err)
				}
				env.Setenv(name, matches[0])
			}
			env.Setenv("LC_ALL", "C.UTF-8")
			for _, e := range os.Environ() {
				if name, value, _ := strings.Cut(e, "="); strings.HasPrefix(name, "WINE") {
					env.Setenv(name, value)
				}
			}
			for _, e := range longTimeouts {
				name, value, _ := strings.Cut(e, "=")
				env.Setenv(name, value)
			}
			return nil
		},
	})
}
