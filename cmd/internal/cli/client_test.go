package cli

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

type storing struct {
	did        []string
	set, added error
}

func (s *storing) Set(_ context.Context, account string, secret credential.Secret) error {
	s.did = append(s.did, "set "+account+" "+secret.Reveal())
	return s.set
}

func (s *storing) Add(_ context.Context, account string) error {
	s.did = append(s.did, "add "+account)
	return s.added
}

// The workspace has rotated the refresh token: nothing matters but to store it.
func TestReplaceItem_StoresBeforeListing(t *testing.T) {
	slow := errors.New("the keychain did not answer in time")
	for _, c := range []struct {
		set, added, want error
		did              string
	}{
		{nil, nil, nil, "set u rt-new, add u"},
		{nil, slow, nil, "set u rt-new, add u"},
		{slow, nil, slow, "set u rt-new"},
	} {
		s := &storing{set: c.set, added: c.added}
		if err := replaceItem(t.Context(), s, s, "u", credential.NewSecret("rt-new")); !errors.Is(err, c.want) || strings.Join(s.did, ", ") != c.did {
			t.Errorf("%v, %q", err, s.did)
		}
	}
}

func TestLimitedBuffer(t *testing.T) {
	l := &limitedBuffer{max: 4}
	if n, err := l.Write([]byte("abcd")); n != 4 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := l.Write([]byte("e")); n != 0 || err == nil || l.String() != "abcd" {
		t.Errorf("%d, %v, %q", n, err, l)
	}
}
