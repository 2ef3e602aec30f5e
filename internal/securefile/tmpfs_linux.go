package securefile

import (
	"os"

	"golang.org/x/sys/unix"
)

// isReadOnlyTmpfs reports whether the file is where a kubelet mounts secrets: in
// memory, and writable by no one in the container (statfs(2)).
func isReadOnlyTmpfs(f *os.File) bool {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return false
	}
	return int64(st.Type) == unix.TMPFS_MAGIC && int64(st.Flags)&unix.MS_RDONLY != 0
}
