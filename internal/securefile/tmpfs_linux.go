package securefile

import (
	"os"

	"golang.org/x/sys/unix"
)

// onReadOnlyTmpfs is how a kubelet mounts secrets: in memory, and not to be
// written by anyone in the container. Flag and type are statfs(2)'s.
func onReadOnlyTmpfs(f *os.File) bool {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return false
	}
	return int64(st.Type) == unix.TMPFS_MAGIC && int64(st.Flags)&unix.MS_RDONLY != 0
}
