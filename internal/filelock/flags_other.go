//go:build !unix

package filelock

import "os"

const openFlags = os.O_CREATE | os.O_RDWR
