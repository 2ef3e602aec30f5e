package cli

import (
	"os"

	"golang.org/x/sys/unix"
)

// isClosed reports whether a standard file was closed when the program was started. Go's
// runtime has then opened /dev/null for reading and writing in its place; a caller that
// wants to discard the output opens it for writing.
func isClosed(f *os.File) bool {
	var st unix.Stat_t
	if unix.Fstat(int(f.Fd()), &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != unix.Mkdev(1, 3) {
		return false
	}
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	return err == nil && flags&unix.O_ACCMODE == unix.O_RDWR
}
