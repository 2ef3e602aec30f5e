package keychain

import (
	"errors"

	"github.com/zalando/go-keyring"
	"golang.org/x/sys/windows"
)

func classify(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, keyring.ErrNotFound), errors.Is(err, windows.ERROR_NOT_FOUND):
		return fail(ErrNotFound, "")
	case errors.Is(err, keyring.ErrSetDataTooBig):
		return fail(ErrTooBig, "")
	case errors.Is(err, windows.ERROR_NO_SUCH_LOGON_SESSION): // a service without a profile
		return fail(ErrAbsent, err.Error())
	}
	return fail(ErrFailed, err.Error())
}
