package keychain

import (
	"errors"
	"strings"

	"github.com/danieljoos/wincred"
	"github.com/zalando/go-keyring"
	"golang.org/x/sys/windows"
)

// list returns the accounts of the credentials that go-keyring named, as "service:account".
func (goKeyring) list() ([]string, error) {
	credentials, err := wincred.List()
	if err != nil {
		return nil, classify(err)
	}
	var accounts []string
	for _, c := range credentials {
		if account, ok := strings.CutPrefix(c.TargetName, Service+":"); ok {
			accounts = append(accounts, account)
		}
	}
	return accounts, nil
}

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
