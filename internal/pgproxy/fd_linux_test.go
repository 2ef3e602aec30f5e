package pgproxy

import (
	"os"
	"strings"
	"testing"
	"time"
)

// After logins, refusals, cancels and drops no descriptor is left.
func TestNoDescriptorIsLeft(t *testing.T) {
	d := open(t, Options{}, echo)
	brief := open(t, Options{StartupTimeout: 50 * time.Millisecond}, echo) // for those that are dropped
	first := dial(t, d.unix)
	first.login().says("hello") // the poller and the certificate are there now
	must(t, first.Close())
	eventually(t, "it to close", func() bool { return d.Stats().Open == 0 })
	count := func() (n int) {
		all, err := os.ReadDir("/proc/self/fd")
		must(t, err)
		for _, f := range all {
			if to, err := os.Readlink("/proc/self/fd/" + f.Name()); err == nil && strings.HasPrefix(to, "socket:") {
				n++
			}
		}
		return n
	}
	time.Sleep(50 * time.Millisecond)
	before := count()
	var left []*client
	for range 10 {
		in := dial(t, d.tcp).secured().login()
		in.says("hello")
		way := dial(t, d.unix)
		way.send(cancelRequest(in.pid, in.key))
		way.ended()
		silent, bad := dial(t, brief.unix), dial(t, d.tcp)
		bad.send([]byte("GET / HTTP/1.1\r\n\r\n"))
		bad.failure()
		for _, c := range []*client{in, way, bad} {
			_ = c.Close()
		}
		left = append(left, silent)
	}
	for _, silent := range left {
		silent.ended()
		_ = silent.Close()
	}
	eventually(t, "the descriptors of the beginning", func() bool { return count() <= before })
}
