package control

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// parseFault reads CALL and words: times=N (-1: until cleared), status=N,
// retry-after=VALUE, header=NAME: VALUE, body=TEXT, location=URL, html, drop,
// truncate, echo, gzip=N, pad=N, slow=DURATION.
func parseFault(words []string) (emulator.Fault, error) {
	if len(words) == 0 || !slices.Contains(emulator.Calls(), emulator.Call(words[0])) {
		return emulator.Fault{}, fmt.Errorf("%w: ctl fault CALL [times=N] [status=N] …, where CALL is one of %v", ErrUsage, emulator.Calls())
	}
	f := emulator.Fault{Call: emulator.Call(words[0]), Header: http.Header{}}
	if err := each(words[1:], func(name, value string) error { return faultWord(&f, name, value) }); err != nil {
		return f, err
	}
	if f.Status != 0 && f.Body == "" {
		plain := emulator.Answer(f.Call, f.Times, f.Status, f.Header.Get("Retry-After"))
		for k, v := range f.Header {
			plain.Header[k] = v
		}
		f.Header, f.Body = plain.Header, plain.Body
	}
	return f, nil
}

func faultWord(f *emulator.Fault, name, value string) (err error) {
	switch name {
	case "times":
		f.Times, err = strconv.Atoi(value)
	case "status":
		f.Status, err = strconv.Atoi(value)
	case "retry-after":
		f.Header.Set("Retry-After", value)
	case "location":
		f.Header.Set("Location", value)
	case "header":
		k, v, ok := strings.Cut(value, ":")
		if !ok {
			return fmt.Errorf("no colon")
		}
		f.Header.Add(strings.TrimSpace(k), strings.TrimSpace(v))
	case "body":
		f.Body = value
	case "html":
		page := emulator.HTML(f.Call)
		f.Status, f.Header, f.Body = page.Status, page.Header, page.Body
	case "drop":
		f.Drop = true
	case "truncate":
		f.Truncate = true
	case "echo":
		f.Echo = true
	case "gzip":
		f.Gzip, err = strconv.Atoi(value)
	case "pad":
		f.Pad, err = strconv.Atoi(value)
	case "slow":
		f.Slow, err = time.ParseDuration(value)
	default:
		err = fmt.Errorf("no such word")
	}
	return err
}

// parseLoginFault reads STAGE and words: times=N (-1: until cleared), code=SQLSTATE,
// message=TEXT, detail=TEXT, severity=WORD, send=BYTES, or one of the deeds.
func parseLoginFault(words []string) (emulator.LoginFault, error) {
	if len(words) == 0 || !slices.Contains(emulator.Stages(), emulator.Stage(words[0])) {
		return emulator.LoginFault{}, fmt.Errorf("%w: ctl login-fault STAGE [times=N] [reset|close|quiet|flood] …, where STAGE is one of %v", ErrUsage, emulator.Stages())
	}
	f := emulator.LoginFault{At: emulator.Stage(words[0])}
	err := each(words[1:], func(name, value string) (err error) {
		switch name {
		case "times":
			f.Times, err = strconv.Atoi(value)
		case "code":
			f.Code = value
		case "message":
			f.Message = value
		case "detail":
			f.Detail = value
		case "severity":
			f.Severity = value
		case "send":
			f.Send = value
		default:
			if f.Action = emulator.Action(name); value != "" || !slices.Contains(emulator.Actions(), f.Action) {
				err = fmt.Errorf("no such word")
			}
		}
		return err
	})
	return f, err
}
