package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"time"
)

// What is copied: 1 GiB in binary rows of 8 KiB each, made on the spot and dropped
// on arrival, so that the servers neither parse nor store and the bytes between
// them are what takes the time.
const (
	copyRows = 1 << 17
	rowSize  = 8 << 10
	padSize  = rowSize - 6 // a row begins with its number of fields and the field's size
	copyBulk = copyRows * rowSize
	copyEnds = 19 + 2 // header and trailer
)

var (
	outStatement = fmt.Sprintf("copy (select pad from repeat('x', %d) pad, generate_series(1, %d)) to stdout (format binary)", padSize, copyRows)
	// One row in copyRows passes the filter, which counts them all.
	inStatement = fmt.Sprintf("copy sink from stdin (format binary) where nextval('arrived') %% %d = 0", copyRows)
)

// copyOut gives the seconds of one copy to the client.
func (w *way) copyOut() (float64, error) { return w.copyTo(nil) }

func (w *way) copyTo(out io.Writer) (float64, error) {
	cmd := w.command("psql", "-XAtv", "ON_ERROR_STOP=1", "-c", outStatement, w.conninfo)
	var words bytes.Buffer
	cmd.Stdout, cmd.Stderr = out, &words
	start := time.Now()
	err := cmd.Run()
	took := time.Since(start).Seconds()
	if err != nil {
		return 0, fmt.Errorf("COPY TO, %s: %w: %s", w.name, err, words.String())
	}
	w.logins++
	return took, nil
}

// size counts what is written to it.
type size int64

func (s *size) Write(b []byte) (int, error) { *s += size(len(b)); return len(b), nil }

// countOut sees once that a copy out is all there.
func (w *way) countOut() error {
	var n size
	if _, err := w.copyTo(&n); err != nil {
		return err
	}
	if n != copyBulk+copyEnds {
		return fmt.Errorf("COPY TO, %s: %d bytes came, not %d", w.name, n, copyBulk+copyEnds)
	}
	return nil
}

// copyIn gives the seconds of one copy to the server.
func (w *way) copyIn() (float64, error) {
	r, feed, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	fed := make(chan error, 1)
	go func() { fed <- feedRows(feed) }()
	start := time.Now()
	tag, err := w.psql(inStatement, r) // a file is the command's own standard input
	took := time.Since(start).Seconds()
	_ = r.Close() // or a feeder whose reader is gone would wait
	if fault := <-fed; err == nil {
		err = fault
	}
	if err == nil && tag != "COPY 1" {
		err = fmt.Errorf("COPY FROM, %s: %q; some of the rows did not arrive", w.name, tag)
	}
	return took, err
}

// feedRows writes the binary form of COPY (PostgreSQL manual, COPY, "Binary
// Format").
func feedRows(to *os.File) error {
	defer to.Close()
	row := append([]byte{0, 1, 0, 0, padSize >> 8, padSize & 0xff}, bytes.Repeat([]byte{'x'}, padSize)...)
	many := bytes.Repeat(row, 128)
	if _, err := to.Write(append([]byte("PGCOPY\n\xff\r\n\x00"), make([]byte, 8)...)); err != nil {
		return err
	}
	for range copyBulk / len(many) {
		if _, err := to.Write(many); err != nil {
			return err
		}
	}
	_, err := to.Write([]byte{0xff, 0xff})
	return err
}
