package cli

import (
	"os"

	"golang.org/x/sys/unix"
)

// isClosed reports whether a standard file was closed when the program was started. Go's
// runtime has then opened /dev/null for reading and writing in its place. A caller that
// wants to discard the output opens it for writing, or for several descriptors at once.
func isClosed(f *os.File) bool {
	fd := int(f.Fd())
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != unix.Mkdev(1, 3) {
		return false
	}
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_ACCMODE != unix.O_RDWR {
		return false
	}
	for other := range 3 {
		if other != fd && sameOpenFile(fd, other) {
			return false
		}
	}
	return true
}

// sameOpenFile reports whether two descriptors share one open file (kcmp(2)).
func sameOpenFile(a, b int) bool {
	const kcmpFile = 0
	pid := uintptr(os.Getpid())
	result, _, errno := unix.Syscall6(unix.SYS_KCMP, pid, pid, kcmpFile, uintptr(a), uintptr(b), 0)
	return errno == 0 && result == 0
}
