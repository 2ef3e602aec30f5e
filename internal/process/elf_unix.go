//go:build unix

package process

import (
	"bytes"
	"encoding/binary"
	"io"
)

// Numbers from the System V ABI, "Object Files" and "Program Loading".
const (
	elfLittleEndian = 1
	elf64           = 2
	ptInterp        = 3
	maxHeaders      = 128
	maxLoaderName   = 4096 // PATH_MAX, which Linux holds PT_INTERP to
)

// machines are the e_machine values that a kernel of each GOARCH runs by itself.
// Other machines need an emulator, which has a root of its own for loaders.
var machines = map[string][]uint16{
	"amd64": {62, 3},
	"arm64": {183, 40},
}

// elfLoader returns the path in a program's PT_INTERP header; "" when it has
// none, is for another machine, or is malformed: then execve has the word.
func elfLoader(r io.ReaderAt, goarch string) string {
	var h [64]byte
	if n, _ := r.ReadAt(h[:], 0); n < 52 || h[5] != elfLittleEndian {
		return ""
	}
	le := binary.LittleEndian
	known := false
	for _, m := range machines[goarch] {
		known = known || m == le.Uint16(h[18:])
	}
	if !known {
		return ""
	}
	wide := h[4] == elf64
	offset, size, count := int64(le.Uint32(h[28:])), int64(le.Uint16(h[42:])), int64(le.Uint16(h[44:]))
	if wide {
		offset, size, count = int64(le.Uint64(h[32:])), int64(le.Uint16(h[54:])), int64(le.Uint16(h[56:]))
	}
	for i := range min(count, maxHeaders) {
		var p [40]byte
		if n, _ := r.ReadAt(p[:], offset+i*size); n < 32 || offset < 0 {
			return ""
		}
		if le.Uint32(p[:]) != ptInterp {
			continue
		}
		at, length := int64(le.Uint32(p[4:])), int64(le.Uint32(p[16:]))
		if wide {
			at, length = int64(le.Uint64(p[8:])), int64(le.Uint64(p[32:]))
		}
		return cString(r, at, length)
	}
	return ""
}

// cString reads a NUL-ended string that fills length bytes.
func cString(r io.ReaderAt, at, length int64) string {
	if at < 0 || length < 2 || length > maxLoaderName {
		return ""
	}
	b := make([]byte, length)
	if n, _ := r.ReadAt(b, at); int64(n) != length {
		return ""
	}
	s, _, found := bytes.Cut(b, []byte{0})
	if !found {
		return ""
	}
	return string(s)
}
