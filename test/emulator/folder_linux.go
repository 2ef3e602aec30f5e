package emulator

import (
	"os"

	"golang.org/x/sys/unix"
)

// roomy is the free space from which on shared memory is used for a cluster of
// some 40 MB: containers have 64 MB of it in all.
const roomy = 1 << 30

// fastDir is /dev/shm where it has room: a cluster has 1,300 files, which some
// disks take most of a second for. Whoever sets TMPDIR has chosen another place.
func fastDir() string {
	const shm = "/dev/shm"
	var fs unix.Statfs_t
	if os.Getenv("TMPDIR") != "" || unix.Statfs(shm, &fs) != nil || fs.Bavail*uint64(fs.Bsize) < roomy || unix.Access(shm, unix.W_OK) != nil {
		return ""
	}
	return shm
}
