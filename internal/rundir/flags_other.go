//go:build !unix

package rundir

import "os"

const lockFlags = os.O_RDWR
