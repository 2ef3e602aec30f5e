package credential

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

const text = "dose-hunter2-hunter2"

// holder has a secret in every place where printing could find one.
type holder struct {
	Public  Secret
	private Secret
	Ptr     *Secret
	ptr     *Secret
	Map     map[string]Secret
	list    []Secret
	any     any
}

func held() holder {
	s := NewSecret(text)
	return holder{s, s, &s, &s, map[string]Secret{"k": s}, []Secret{s}, s}
}

// shows reports whether out contains the secret, in clear or as the hex of %x.
func shows(out string) bool {
	low := strings.ToLower(out)
	return strings.Contains(low, text) || strings.Contains(low, fmt.Sprintf("%x", text)) || strings.Contains(low, "hunter2")
}

func TestSecretRedactsInEveryVerb(t *testing.T) {
	s := NewSecret(text)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%t", "%10s", "%c", "%U", "%T %v"} {
		args := []any{s}
		if verb == "%T %v" {
			args = []any{s, s}
		}
		out := fmt.Sprintf(verb, args...)
		if shows(out) || !strings.Contains(out, Redacted) {
			t.Errorf("%s prints %q", verb, out)
		}
		for _, v := range []any{&s, []Secret{s}, map[string]Secret{"k": s}, map[Secret]int{s: 1}, held(), &holder{private: s}, struct{ in holder }{held()}} {
			if out := fmt.Sprintf(verb, v, v); shows(out) {
				t.Errorf("%s of a %T prints %q", verb, v, out)
			}
		}
	}
	for _, out := range []string{fmt.Sprint(s), fmt.Sprintln(&s), s.String(), fmt.Errorf("x: %v", s).Error()} {
		if shows(out) || !strings.Contains(out, Redacted) {
			t.Errorf("printed as %q", out)
		}
	}
}

func TestSecretRedactsInJSON(t *testing.T) {
	out, err := json.Marshal(held())
	if err != nil || shows(string(out)) || strings.Count(string(out), Redacted) != 3 {
		t.Errorf("JSON is %s, %v", out, err)
	}
	if out, err := json.Marshal(map[string]any{"s": NewSecret(text)}); err != nil || string(out) != `{"s":"[redacted]"}` {
		t.Errorf("JSON is %s, %v", out, err)
	}
	if b, err := NewSecret(text).MarshalText(); err != nil || string(b) != Redacted {
		t.Errorf("text is %s, %v", b, err)
	}
}

func TestSecretRedactsInLogs(t *testing.T) {
	s := NewSecret(text)
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"json": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		var b bytes.Buffer
		l := slog.New(handler(&b))
		l.Info("x", "secret", s, "pointer", &s, "struct", held(), "list", []Secret{s}, "error", fmt.Errorf("%w: %v", fmt.Errorf("e"), s))
		l.With("secret", s).WithGroup("g").Info("y", slog.Any("secret", s))
		if out := b.String(); shows(out) || !strings.Contains(out, Redacted) {
			t.Errorf("%s log: %s", name, out)
		}
	}
}

func TestSecretItself(t *testing.T) {
	var none Secret
	s, same, other := NewSecret(text), NewSecret(strings.Clone(text)), NewSecret(text+"x")
	switch {
	case s.Reveal() != text || none.Reveal() != "" || NewSecret("").Reveal() != "":
		t.Error("Reveal does not return the text")
	case s.IsZero() || !none.IsZero() || !NewSecret("").IsZero():
		t.Error("IsZero is wrong")
	case !s.Equal(same) || s.Equal(other) || s.Equal(none) || !none.Equal(NewSecret("")):
		t.Error("Equal is wrong")
	case none.String() != Redacted:
		t.Error("an empty secret tells that it is empty")
	}
}
