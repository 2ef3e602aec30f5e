package keychain

import (
	"errors"
	"fmt"
	"os/exec"
	"testing"

	"github.com/zalando/go-keyring"
)

func TestClassify(t *testing.T) {
	for status, want := range map[int]error{36: ErrLocked, 128: ErrDismissed, 51: ErrDismissed, 44: ErrNotFound, 37: ErrAbsent, 1: ErrFailed} {
		err := exec.Command("/bin/sh", "-c", fmt.Sprintf("exit %d", status)).Run()
		got := classify(err)
		if !errors.Is(got, want) || errors.Is(got, ErrDismissed) != (want == ErrDismissed) {
			t.Errorf("exit status %d is %v, want %v", status, got, want)
		}
	}
	if got := classify(keyring.ErrNotFound); !errors.Is(got, ErrNotFound) {
		t.Errorf("not found is %v", got)
	}
}
