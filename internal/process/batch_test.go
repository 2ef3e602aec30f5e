package process

import (
	"errors"
	"testing"
)

func isKind(err error, kind Kind) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Kind == kind
}

func TestBatchLine(t *testing.T) {
	for path, want := range map[string]bool{`C:\a\x.bat`: true, "x.CMD": true, "x.cmd. .": true, "x.bat.exe": false, "cmd": false, "bat": false} {
		if got := isBatchFile(path); got != want {
			t.Errorf("%s: got %t, want %t", path, got, want)
		}
	}
	for arg, want := range map[string]string{
		"": `""`, "run": "run", "a b": `"a b"`, "--x=y": `"--x=y"`, `C:\d\x`: `C:\d\x`, `C:\d\`: `"C:\d\\"`, "a&b|<c>": `"a&b|<c>"`, "^": `"^"`, "!OS!": `"!OS!"`,
		"é世": "é世", "a\u00a0b": "\"a\u00a0b\"", "postgres://h": "postgres://h", "(x)": `"(x)"`, "a,b;c": `"a,b;c"`,
	} {
		got, err := batchLine(`C:\a b\x.cmd`, []string{"x", arg})
		if want = `cmd.exe /d /e:ON /v:OFF /c ""C:\a b\x.cmd" ` + want + `"`; err != nil || got != want {
			t.Errorf("%q: got %s, %v, want %s", arg, got, err, want)
		}
	}
	for _, arg := range []string{`a"b`, `"&calc`, "%PATH%", "100%", "a\nb", "a\rb", "\x00", "\x1a", "\u0085"} {
		if got, err := batchLine("x.cmd", []string{"x", "a", arg}); !isKind(err, NotExecutable) {
			t.Errorf("%q: got %s, %v, want NotExecutable", arg, got, err)
		}
	}
	if _, err := batchLine(`C:\%PATH%\x.cmd`, []string{"x"}); err == nil {
		t.Error("a path with % is accepted")
	}
}
