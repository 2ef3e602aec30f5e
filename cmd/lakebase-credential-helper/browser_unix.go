//go:build unix && !darwin

package main

// systemBrowser is xdg-open, where a desktop could show anything: without one it
// would start a browser for terminals, which has none. Windows' own browser
// serves the Linux inside of it.
func systemBrowser(env func(string) string, address string) [][]string {
	for _, name := range []string{"DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"} {
		if env(name) != "" {
			return [][]string{{"xdg-open", address}}
		}
	}
	return nil
}
