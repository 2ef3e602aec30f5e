package cli

import (
	"errors"
	"io/fs"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/secretfile"
	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
)

// ProfilesPath returns the path of the profiles file: LAKEBASE_CONFIG_FILE, else
// lakebase/profiles.ini in the user's configuration directory.
func (e *Environment) ProfilesPath() string {
	if f := e.Env("LAKEBASE_CONFIG_FILE"); f != "" {
		return f
	}
	return filepath.Join(e.configDir(), "lakebase", "profiles.ini")
}

func (e *Environment) configDir() string {
	if d := e.Env("APPDATA"); runtime.GOOS == "windows" && filepath.IsAbs(d) {
		return d
	}
	if d := e.Env("XDG_CONFIG_HOME"); filepath.IsAbs(d) {
		return d
	}
	return filepath.Join("/", e.Home(), ".config") // without a home: not the working directory's
}

// cacheDir returns the user's cache directory, or an empty string.
func (e *Environment) cacheDir() string {
	if runtime.GOOS == "windows" {
		return e.Env("LOCALAPPDATA")
	}
	home := e.Home()
	if d := e.Env("XDG_CACHE_HOME"); runtime.GOOS != "darwin" && filepath.IsAbs(d) {
		return d
	}
	switch {
	case !filepath.IsAbs(home):
		return ""
	case runtime.GOOS == "darwin":
		return filepath.Join(home, "Library", "Caches")
	}
	return filepath.Join(home, ".cache")
}

// DatabricksPath returns the path of the Databricks tools' profiles:
// DATABRICKS_CONFIG_FILE, else .databrickscfg in the home directory
// (databricks-sdk-go, config/config_file.go, which takes "~" too).
func (e *Environment) DatabricksPath() string {
	f := e.Env("DATABRICKS_CONFIG_FILE")
	if f == "" {
		f = "~/.databrickscfg"
	}
	if rest, ok := strings.CutPrefix(f, "~/"); ok {
		return filepath.Join("/", e.Home(), rest) // without a home: not the working directory's
	}
	return f
}

// SecretFiles returns the secrets that login --store file stores.
func (e *Environment) SecretFiles() secretfile.Store {
	return secretfile.Store{Dir: filepath.Join(e.configDir(), "lakebase", "secrets")}
}

// Databricks reads that file. It decides where a secret is sent, so one that others
// can write is rejected. Errors: *securefile.Error, *config.Error.
func (e *Environment) Databricks() (*config.DatabricksFile, error) {
	path := e.DatabricksPath()
	data, err := securefile.ReadProfile(path)
	if err != nil {
		return nil, err
	}
	return config.ParseDatabricks(path, data), nil
}

// Profiles reads the profiles file; nil if there is none.
func (e *Environment) Profiles() (*config.Profiles, error) {
	path := e.ProfilesPath()
	data, err := securefile.ReadProfile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return config.ParseProfiles(path, data)
}
