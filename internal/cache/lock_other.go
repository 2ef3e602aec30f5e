//go:build !unix

package cache

import "os"

const openFlags = os.O_CREATE | os.O_RDWR
