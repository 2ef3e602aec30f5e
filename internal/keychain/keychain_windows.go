package keychain

import (
	"context"
	"errors"
	"strings"

	"github.com/danieljoos/wincred"
	"github.com/zalando/go-keyring"
	"golang.org/x/sys/windows"
)

// list returns the accounts of the credentials that go-keyring named, as "service:account".
func (goKeyring) list(context.Context) ([]string, error) {
	credentials, err := wincred.List()
	if err != nil {
		return nil, err
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
	case errors.Is(err, keyring.ErrNotFound), errors.Is(err, windows.ERROR_NOT_FOUND):
		return fail(ErrNotFound, "")
	case errors.Is(err, keyring.ErrSetDataTooBig):
		return fail(ErrTooBig, "")
	case errors.Is(err, windows.ERROR_NO_SUCH_LOGON_SESSION): // a service without a profile
		return fail(ErrAbsent, err.Error())
	}
	return fail(ErrFailed, err.Error())
}
