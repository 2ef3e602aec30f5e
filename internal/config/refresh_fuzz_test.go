package config

import (
	"net"
	"testing"
)

// An address to listen on has a literal IP address: a name would be resolved, and
// could be anybody's.
func FuzzListenAddress(f *testing.F) {
	for _, s := range []string{"localhost:0", "127.0.0.1:5432", "[::1]:1", "0.0.0.0:65535", ":1", "h:1", "127.0.0.1:65536", "[fe80::1%eth0]:1", "127.0.0.1:+1", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := listenAddress(s, Source{})
		if err != nil {
			return
		}
		host, _, err := net.SplitHostPort(got)
		if err != nil || net.ParseIP(host) == nil {
			t.Fatalf("%q gives %q", s, got)
		}
		if again, err := listenAddress(got, Source{}); err != nil || again != got {
			t.Fatalf("%q gives %q, and that %q, %v", s, got, again, err)
		}
	})
}
