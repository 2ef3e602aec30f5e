package config

import (
	"net/url"
	"strings"
	"testing"
)

func TestParseWorkspace(t *testing.T) {
	for in, want := range map[string]string{
		"h.example": "https://h.example", "https://h.example": "https://h.example", "https://h.example/": "https://h.example",
		"HTTPS://H.Example.": "https://h.example", "  h.example\n": "https://h.example", "h.example:443": "https://h.example",
		"h.example:0443": "https://h.example", "h.example:8443": "https://h.example:8443", "h.example:08443": "https://h.example:8443",
		"https://h.example/?o=123": "https://h.example/?o=123", "https://h.example?w=123": "https://h.example/?o=123",
		"https://h.example?o=123&w=123&o=123": "https://h.example/?o=123", "https://h.example/?o=123&a=ab-12&x=y#z": "",
		"https://h.example/?o=123&a=ab-12&x=y": "https://h.example/?a=ab-12&o=123",
		"127.0.0.1:9000":                       "https://127.0.0.1:9000",
		"[::1]":                                "https://[::1]",
		"[::1]:443":                            "https://[::1]",
		"https://[2001:DB8::1]:8443/":          "https://[2001:db8::1]:8443",
		"localhost":                            "https://localhost",
		"adb-1.2.azuredatabricks.net":          "https://adb-1.2.azuredatabricks.net",
	} {
		w, err := ParseWorkspace(in, option)
		switch {
		case want == "":
			if err == nil {
				t.Errorf("%q is taken for %s", in, w)
			}
		case err != nil || w.String() != want:
			t.Errorf("%q is %s, %v, want %s", in, w, err, want)
		}
	}
}

func TestParseWorkspace_Rejects(t *testing.T) {
	for in, why := range map[string]string{
		"": "not a host name", "http://h.example": `scheme "http"`, "HTTP://h.example": "is not https", "ftp://h.example": "is not https",
		"https://user:hunter2@h.example": "user name or password", "user:hunter2@h.example": "user name or password",
		"https://us er:hunter2@h.example": "user name or password", "https://h.example/sql": "path", "h.example/a": "path", "h.example//": "path",
		`h.example\evil.com`: "path", "h.exam%70le": "path", "https://h.example#x": "fragment", "https://h.example/?o=1#x": "fragment",
		"https://hö.example": "not valid in a host", "https://h\u202e.example": "not valid in a host", "h.example\x00": "not valid in a host",
		"h exam.ple": "not valid in a host", "h.example:": "port", "[::1]:": "port", "h.example:0": "port", "h.example:65536": "port",
		"h.example:443:443": "port", "h.example:-1": "port", "h.example:+443": "port", "h.example..": "not a host name", ".h.example": "not a host name",
		"h..example": "not a host name", "-h.example": "not a host name", "h.example,i.example": "not a host name",
		strings.Repeat("a", 64):         "not a host name",
		strings.Repeat("a.", 130) + "b": "not a host name",
		"1.2.3":                         "neither a host name nor an IP", "::1": "not a host name", "[::1": "not a host", "[::1]x": "not a host", "[[::1]]": "not a host",
		"[1.2.3.4]": "not a host name", "[fe80::1%25eth0]": "path", "https://https://h.example": "path", "?o=1": "not a host name",
		"h.example?o=1&w=2": "two different IDs", "h.example?o=1&o=2": "two different IDs", "h.example?o=<x>": "not an id",
		"h.example?o=%zz": "invalid query",
	} {
		w, err := ParseWorkspace(in, option)
		if err == nil {
			t.Errorf("%q is taken for %s", in, w)
			continue
		}
		refused(t, err, "--x", why)
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the password is shown: %v", err)
		}
	}
}

func TestWorkspaceParts(t *testing.T) {
	w, err := ParseWorkspace("https://H.example:8443/?o=7&a=8", option)
	if err != nil || w.Hostname() != "h.example" || w.HostPort() != "h.example:8443" || w.URL() != "https://h.example:8443" || w.WorkspaceID != "7" || w.AccountID != "8" || w.IsZero() {
		t.Errorf("%+v, %v", w, err)
	}
	if w, _ := ParseWorkspace("[::1]:9", option); w.Hostname() != "::1" || w.HostPort() != "[::1]:9" {
		t.Errorf("%q %q", w.Hostname(), w.HostPort())
	}
	if !(Workspace{}).IsZero() {
		t.Error("no workspace is one")
	}
}

func FuzzParseWorkspace(f *testing.F) {
	for _, s := range []string{"https://h.example:8443/?o=1&a=2", "H.EXAMPLE.", "[::1]:1", "u:p@h", "h/../x", "127.0.0.1", "h?w=ab", "[::ffff:1.2.3.4]", "h:00443", "https://h./"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		w, err := ParseWorkspace(s, option)
		if err != nil {
			return
		}
		again, err := ParseWorkspace(w.String(), option)
		if err != nil || again != w {
			t.Fatalf("%q is %s, and that again is %s, %v", s, w, again, err)
		}
		if hp := w.HostPort(); strings.ContainsAny(hp, "@/?#\\% ") || hp != strings.ToLower(hp) || w.IsZero() {
			t.Fatalf("%q gives the host %q", s, hp)
		}
		u, err := url.Parse(w.URL())
		if err != nil || u.Scheme != "https" || u.Host != w.HostPort() || u.Hostname() != w.Hostname() || u.User != nil || u.Path != "" {
			t.Fatalf("%q: net/url reads %s as %+v, %v", s, w.URL(), u, err)
		}
		if strings.Contains(s, "@") {
			t.Fatalf("%q: userinfo is taken", s)
		}
	})
}
