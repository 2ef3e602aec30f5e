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
	return strings.Contains(low, "hunter2") || strings.Contains(low, fmt.Sprintf("%x", text))
}

func TestSecret_Redacted(t *testing.T) {
	s := NewSecret(text)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%t", "%10s", "%c", "%U"} {
		if out := fmt.Sprintf(verb, s); out != Redacted {
			t.Errorf("%s: got %q", verb, out)
		}
		for _, v := range []any{&s, []Secret{s}, map[string]Secret{"k": s}, map[Secret]int{s: 1}, held(), &holder{private: s}, struct{ in holder }{held()}} {
			if out := fmt.Sprintf(verb, v); shows(out) {
				t.Errorf("%s of a %T: got %q", verb, v, out)
			}
		}
	}
	if out := fmt.Sprint(s, &s, s.String(), Secret{}); shows(out) || strings.Count(out, Redacted) != 4 {
		t.Errorf("got %q", out)
	}
	out, err := json.Marshal(held())
	if err != nil || shows(string(out)) || strings.Count(string(out), `"`+Redacted+`"`) != 3 {
		t.Errorf("JSON: got %s, %v", out, err)
	}
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"json": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		var b bytes.Buffer
		l := slog.New(handler(&b))
		l.Info("x", "secret", s, "pointer", &s, "struct", held(), "list", []Secret{s}, "error", fmt.Errorf("%w: %v", fmt.Errorf("e"), s))
		l.With("secret", s).WithGroup("g").Info("y", slog.Any("secret", s))
		if out := b.String(); shows(out) || !strings.Contains(out, Redacted) {
			t.Errorf("%s log: got %s", name, out)
		}
	}
}

func TestSecret(t *testing.T) {
	var none Secret
	s, same, other := NewSecret(text), NewSecret(strings.Clone(text)), NewSecret(text+"x")
	switch {
	case s.Reveal() != text || none.Reveal() != "" || NewSecret("").Reveal() != "":
		t.Error("Reveal does not return the text")
	case s.IsZero() || !none.IsZero() || !NewSecret("").IsZero():
		t.Error("IsZero is wrong")
	case !s.Equal(same) || s.Equal(other) || s.Equal(none) || !none.Equal(NewSecret("")):
		t.Error("Equal is wrong")
	}
}
