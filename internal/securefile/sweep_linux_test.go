package securefile

import (
	"encoding/binary"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// created gives the names of all files that do makes in dir (inotify(7)).
func created(t *testing.T, dir string, do func()) (out []string) {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_CREATE); err != nil {
		t.Fatal(err)
	}
	do()
	buf := make([]byte, 1<<16)
	n, err := unix.Read(fd, buf)
	if err != nil {
		t.Fatal(err)
	}
	for buf = buf[:n]; len(buf) > unix.SizeofInotifyEvent; {
		end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(buf[12:]))
		out = append(out, strings.TrimRight(string(buf[unix.SizeofInotifyEvent:end]), "\x00"))
		buf = buf[end:]
	}
	return out
}

// The names that writers give to what they have not finished are those that the
// next one sweeps.
func TestSweptNamesAreTheWriters(t *testing.T) {
	d := openTemp(t)
	path := filepath.Join(d.Path(), "file")
	for what, write := range map[string]func() error{
		"Dir.WriteFile": func() error { return d.WriteFile("f.json", []byte("x")) },
		"WriteFile":     func() error { return WriteFile(path, []byte("x")) },
	} {
		made := created(t, d.Path(), func() {
			if err := write(); err != nil {
				t.Fatal(err)
			}
		})
		if len(made) != 1 {
			t.Fatalf("%s made %q", what, made)
		}
		old(t, put(t, filepath.Join(d.Path(), made[0]), "x", 0o600))
		if err := write(); err != nil || slices.Contains(names(t, d.Path()), made[0]) {
			t.Errorf("%s: %v; %q is left", what, err, made[0])
		}
	}
}
