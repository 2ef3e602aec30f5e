package e2e

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// splitWords parts a line by blanks. Between single quotes everything stands for
// itself, and two of them are one; what double quotes hold is a Go string.
func splitWords(line string) (words []string, err error) {
	var b strings.Builder
	inside := false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; c {
		case ' ', '\t':
			if inside {
				words, inside = append(words, b.String()), false
				b.Reset()
			}
			continue
		case '\'', '"':
			n, text, err := readQuoted(line[i:])
			if err != nil {
				return nil, err
			}
			b.WriteString(text)
			i += n - 1
		default:
			b.WriteByte(c)
		}
		inside = true
	}
	if inside {
		words = append(words, b.String())
	}
	return words, nil
}

// readQuoted reads what stands between quotes at the start of s, n bytes in all.
func readQuoted(s string) (n int, text string, err error) {
	if s[0] == '"' {
		prefix, err := strconv.QuotedPrefix(s)
		if err != nil {
			return 0, "", errors.New("a double quote is open, or holds what Go does not read")
		}
		text, err = strconv.Unquote(prefix)
		return len(prefix), text, err
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] != '\'':
			b.WriteByte(s[i])
		case i+1 < len(s) && s[i+1] == '\'':
			b.WriteByte('\'')
			i++
		default:
			return i + 1, b.String(), nil
		}
	}
	return 0, "", errors.New("a single quote is open")
}

var placeholder = regexp.MustCompile(`\$\{([^}]*)\}`)

// expand puts values in place of:
//
//	${here}              the workspace's host:port
//	${stranger}          the host:port that nothing must ever come to
//	${done}              a file that comes when all of the case's later and when are carried out
//	${client-id}         and ${secret}
//	${token:KIND}        a token: good, foreign, expired, workspace, other (another's)
//	${date:DURATION}     an HTTP date, so long from now
//	${time:DURATION}     the same as RFC 3339 has it
//	${repeat:N:TEXT}     TEXT N times
func (s *matrixStage) expand(text string) (string, error) {
	var failed error
	out := placeholder.ReplaceAllStringFunc(text, func(m string) string {
		name, arg, _ := strings.Cut(m[2:len(m)-1], ":")
		value, err := s.value(name, arg)
		failed = errors.Join(failed, err)
		return value
	})
	return out, failed
}

func (s *matrixStage) value(name, arg string) (string, error) {
	switch name {
	case "here":
		return strings.TrimPrefix(s.base.WorkspaceURL(), "https://"), nil
	case "stranger":
		return s.stranger.Addr().String(), nil
	case "done":
		return s.doneFile(), nil
	case "client-id":
		return s.base.ClientID, nil
	case "secret":
		return s.base.ClientSecret, nil
	case "token":
		return s.token(arg)
	case "date", "time":
		d, err := time.ParseDuration(arg)
		if at := time.Now().Add(d).UTC(); name == "time" {
			return at.Format(time.RFC3339), err
		} else {
			return at.Format(http.TimeFormat), err
		}
	case "repeat":
		n, text, _ := strings.Cut(arg, ":")
		times, err := strconv.ParseUint(n, 10, 24)
		return strings.Repeat(text, int(times)), err
	}
	return "", fmt.Errorf("${%s} stands for nothing", name)
}

// token mints one; none of them may be in any output.
func (s *matrixStage) token(kind string) (string, error) {
	specs := map[string]emulator.TokenSpec{
		"good": {}, "foreign": {Foreign: true}, "expired": {Life: -time.Hour}, "workspace": {Kind: emulator.WorkspaceToken},
		"other": {Subject: "00000000-0000-4000-8000-000000000000"}, "short": {Life: 10 * time.Minute},
	}
	spec, ok := specs[kind]
	if !ok {
		return "", fmt.Errorf("there is no %q token", kind)
	}
	text, err := s.base.MintToken(spec)
	if err == nil {
		s.secrets = append(s.secrets, text, base64.StdEncoding.EncodeToString([]byte(text)))
	}
	return text, err
}
