package keychain

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/zalando/go-keyring"
)

func TestClassify(t *testing.T) {
	for status, want := range map[int]error{36: ErrLocked, 128: ErrLocked, 51: ErrLocked, 44: ErrNotFound, 37: ErrAbsent, 1: ErrFailed} {
		err := exec.Command("/bin/sh", "-c", fmt.Sprintf("exit %d", status)).Run()
		if got := classify(err); !errors.Is(got, want) || strings.Contains(got.Error(), dismissed) != (status == 128 || status == 51) {
			t.Errorf("exit status %d: got %v, want %v", status, got, want)
		}
	}
	if got := classify(keyring.ErrNotFound); !errors.Is(got, ErrNotFound) {
		t.Errorf("got %v, want %v", got, ErrNotFound)
	}
}
