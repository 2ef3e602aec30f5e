package keychain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/godbus/dbus/v5"
)

func TestClassify(t *testing.T) {
	reply := func(name string) error { return dbus.Error{Name: name, Body: []any{"words"}} }
	for _, c := range []struct {
		err  error
		want error
	}{
		{reply("org.freedesktop.Secret.Error.IsLocked"), ErrLocked},
		{reply("org.freedesktop.Secret.Error.NoSuchObject"), ErrNotFound},
		{reply("org.freedesktop.DBus.Error.ServiceUnknown"), ErrAbsent},
		{reply("org.freedesktop.DBus.Error.NoReply"), ErrAbsent},
		{reply("org.freedesktop.DBus.Error.Spawn.ExecFailed"), ErrAbsent},
		{reply("org.freedesktop.DBus.Error.TimedOut"), ErrTimeout},
		{reply("org.freedesktop.DBus.Error.InvalidArgs"), ErrFailed},
		{fmt.Errorf("failed to unlock correct collection '%v'", "/x"), ErrDismissed},
		{io.EOF, ErrAbsent},
		{dbus.ErrClosed, ErrAbsent},
		{context.Canceled, context.Canceled},
		{fail(ErrTooBig, ""), ErrTooBig},
		{errors.New("dbus.Store: length mismatch"), ErrFailed},
	} {
		got := classify(c.err)
		if !errors.Is(got, c.want) || errors.Is(got, ErrDismissed) != (c.want == ErrDismissed) {
			t.Errorf("%v is %v, want %v", c.err, got, c.want)
		}
	}
	if err := classify(nil); err != nil {
		t.Errorf("nil is %v", err)
	}
}
