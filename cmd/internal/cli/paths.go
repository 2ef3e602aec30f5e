package cli

import (
	"errors"
	"io/fs"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
)

// ProfilesPath is where the profiles stand: LAKEBASE_CONFIG_FILE, else
// lakebase/profiles.ini in the user's configuration folder.
func (p *Process) ProfilesPath() string {
	if f := p.Env("LAKEBASE_CONFIG_FILE"); f != "" {
		return f
	}
	return filepath.Join(p.configDir(), "lakebase", "profiles.ini")
}

func (p *Process) configDir() string {
	if d := p.Env("APPDATA"); runtime.GOOS == "windows" && filepath.IsAbs(d) {
		return d
	}
	if d := p.Env("XDG_CONFIG_HOME"); filepath.IsAbs(d) {
		return d
	}
	return filepath.Join("/", p.Home(), ".config") // without a home: not the working directory's
}

// cacheDir is the user's cache folder, or empty.
func (p *Process) cacheDir() string {
	if runtime.GOOS == "windows" {
		return p.Env("LOCALAPPDATA")
	}
	home := p.Home()
	if d := p.Env("XDG_CACHE_HOME"); runtime.GOOS != "darwin" && filepath.IsAbs(d) {
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

// DatabricksPath is where the Databricks tools keep their profiles:
// DATABRICKS_CONFIG_FILE, else .databrickscfg in the home folder
// (databricks-sdk-go, config/config_file.go, which takes "~" too).
func (p *Process) DatabricksPath() string {
	f := p.Env("DATABRICKS_CONFIG_FILE")
	if f == "" {
		f = "~/.databrickscfg"
	}
	if rest, ok := strings.CutPrefix(f, "~/"); ok {
		return filepath.Join("/", p.Home(), rest) // without a home: not the working directory's
	}
	return f
}

// Databricks reads that file. It decides where a secret is sent, so one that
// others can write is refused. Errors: *securefile.Error, *config.Error.
func (p *Process) Databricks() (*config.DatabricksFile, error) {
	path := p.DatabricksPath()
	data, err := securefile.ReadProfile(path)
	if err != nil {
		return nil, err
	}
	return config.ParseDatabricks(path, data)
}

// Profiles reads the file of profiles; nil where there is none.
func (p *Process) Profiles() (*config.Profiles, error) {
	path := p.ProfilesPath()
	data, err := securefile.ReadProfile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return config.ParseProfiles(path, data)
}
