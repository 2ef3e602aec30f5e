package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// way is one of the ways to the upstream that are compared.
type way struct {
	name, conninfo, password string
	bin                      string // folder of the server's programs, where pgbench and psql may lie too
	logins                   int    // at least, of all the clients that went this way
}

// rounds runs every way n times in turns, each round beginning with another, and
// gives the medians.
func rounds(n int, run func(*way) (float64, error), ways ...*way) (map[*way]float64, error) {
	values := map[*way][]float64{}
	for i := range n {
		for j := range ways {
			w := ways[(i+j)%len(ways)]
			v, err := run(w)
			if err != nil {
				return nil, err
			}
			values[w] = append(values[w], v)
		}
	}
	medians := map[*way]float64{}
	for w, v := range values {
		slices.Sort(v)
		medians[w] = v[n/2]
	}
	return medians, nil
}

// command is a program of libpq that goes this way. The program itself is taken,
// not Debian's wrapper of the same name, whose start takes longer than a login.
func (w *way) command(program string, args ...string) *exec.Cmd {
	if path, err := exec.LookPath(filepath.Join(w.bin, program)); err == nil {
		program = path
	}
	cmd := exec.Command(program, args...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "PG") { // the local Lakebase's
			cmd.Env = append(cmd.Env, v)
		}
	}
	// Over TCP alone libpq looks for Kerberos tickets before each login.
	cmd.Env = append(cmd.Env, "PGPASSWORD="+w.password, "PGGSSENCMODE=disable")
	return cmd
}

var (
	tpsLine       = regexp.MustCompile(`(?m)^tps = ([0-9.]+)`)
	processedLine = regexp.MustCompile(`(?m)^number of transactions actually processed: ([0-9]+)`)
)

// pgbench gives transactions per second: without the time of the logins, but for
// -C, where each transaction is a login. It fails if one of them fails.
func (w *way) pgbench(clients int, length time.Duration, options ...string) (float64, error) {
	args := append([]string{"-n", "-S", "-c", strconv.Itoa(clients), "-j", "2", "-T", strconv.Itoa(int(length.Seconds()))}, options...)
	cmd := w.command("pgbench", append(args, w.conninfo)...)
	var words bytes.Buffer
	cmd.Stderr = &words
	out, err := cmd.Output()
	tps, done := tpsLine.FindSubmatch(out), processedLine.FindSubmatch(out)
	if err != nil || tps == nil || done == nil {
		return 0, fmt.Errorf("pgbench, %s: %v: %s", w.name, err, words.String())
	}
	w.logins += 1 + clients // it looks at the tables first
	if slices.Contains(options, "-C") {
		n, err := strconv.Atoi(string(done[1]))
		if err != nil {
			return 0, err
		}
		w.logins += n - clients
	}
	return strconv.ParseFloat(string(tps[1]), 64)
}

// psql runs one statement and gives what it prints.
func (w *way) psql(statement string, in io.Reader) (string, error) {
	cmd := w.command("psql", "-XAtv", "ON_ERROR_STOP=1", "-c", statement, w.conninfo)
	cmd.Stdin = in
	var words bytes.Buffer
	cmd.Stderr = &words
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("psql, %s: %w: %s", w.name, err, words.String())
	}
	w.logins++
	return strings.TrimSpace(string(out)), nil
}
