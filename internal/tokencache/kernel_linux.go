package tokencache

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// Kernel stores tokens in the kernel's key retention service (keyrings(7)): one key of
// type "user" for each token, linked into the user keyring. Keys are not written to
// disk, expire with their token, and can be read by processes of the same user in the
// same user namespace.
type Kernel struct{}

// keyPrefix is the prefix of the description of every key.
const keyPrefix = "lakebase:"

// OpenKernel returns the store, or an error if this process cannot use it.
func OpenKernel() (Kernel, error) {
	if _, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_USER_KEYRING, true); err != nil {
		return Kernel{}, fmt.Errorf("kernel keyring: %w", err)
	}
	return Kernel{}, nil
}

// The initial namespaces (Linux, include/linux/proc_ns.h).
const (
	initialUserNS = "user:[4026531837]"
	initialPIDNS  = "pid:[4026531836]"
)

// KernelIsPrivate returns an error if processes of other containers may share the
// user keyring: it belongs to a user ID of a user namespace, and containers usually
// have a PID namespace of their own but the host's user namespace.
func KernelIsPrivate() error {
	user, userErr := os.Readlink("/proc/self/ns/user")
	pid, pidErr := os.Readlink("/proc/self/ns/pid")
	switch {
	case userErr != nil || pidErr != nil:
		return cmp.Or(userErr, pidErr)
	case user == initialUserNS && pid != initialPIDNS:
		return errors.New("kernel keyring: shared with other containers, which have the same user namespace")
	}
	return nil
}

// Get returns a key. It starts a thread only in a session without a link to the user
// keyring.
func (Kernel) Get(_ context.Context, id string) (credential.Secret, error) {
	var item []byte
	find := func() error {
		key, err := search(id)
		if err == nil {
			item, err = read(key)
		}
		return err
	}
	err := find()
	if errors.Is(err, unix.EACCES) {
		err = withUserKeyring(find)
	}
	return credential.NewSecret(string(item)), keyError(err)
}

// Set adds a key, which the kernel removes when the token expires. The key gets its
// expiry in the thread keyring before it is linked, so that a killed process leaves no
// key without one. Linking replaces a key of the same description.
func (Kernel) Set(_ context.Context, id string, item credential.Secret, expires time.Time) error {
	seconds := int(time.Until(expires).Seconds())
	if seconds < 1 {
		return nil
	}
	return keyError(withUserKeyring(func() error {
		key, err := unix.AddKey("user", keyPrefix+id, []byte(item.Reveal()), unix.KEY_SPEC_THREAD_KEYRING)
		if err != nil {
			return err
		}
		if _, err := unix.KeyctlInt(unix.KEYCTL_SET_TIMEOUT, key, seconds, 0, 0); err != nil {
			return err
		}
		_, err = unix.KeyctlInt(unix.KEYCTL_LINK, key, unix.KEY_SPEC_USER_KEYRING, 0, 0)
		return err
	}))
}

// Delete removes keys.
func (Kernel) Delete(_ context.Context, ids ...string) error {
	return keyError(withUserKeyring(func() error {
		for _, id := range ids {
			key, err := search(id)
			if err == nil {
				_, err = unix.KeyctlInt(unix.KEYCTL_UNLINK, key, unix.KEY_SPEC_USER_KEYRING, 0, 0)
			}
			if err != nil && !isGone(err) {
				return err
			}
		}
		return nil
	}))
}

// List returns the IDs of all keys.
func (Kernel) List(context.Context) (ids []string, err error) {
	err = withUserKeyring(func() error {
		keys, err := read(unix.KEY_SPEC_USER_KEYRING)
		for ; err == nil && len(keys) >= 4; keys = keys[4:] {
			about, gone := unix.KeyctlString(unix.KEYCTL_DESCRIBE, int(int32(binary.NativeEndian.Uint32(keys))))
			if _, id, ok := strings.Cut(about, ";"+keyPrefix); gone == nil && ok && strings.HasPrefix(about, "user;") {
				ids = append(ids, id)
			}
		}
		return err
	})
	return ids, keyError(err)
}

func search(id string) (key int, err error) {
	return unix.KeyctlSearch(unix.KEY_SPEC_USER_KEYRING, "user", keyPrefix+id, 0)
}

// maxRead is the longest payload of a key of type "user" (keyrings(7)), and that of a
// keyring with 8,192 keys.
const maxRead = 32 << 10

func read(key int) ([]byte, error) {
	buf := make([]byte, maxRead)
	n, err := unix.KeyctlBuffer(unix.KEYCTL_READ, key, buf, 0)
	if err != nil {
		return nil, err
	}
	return buf[:min(n, maxRead)], nil
}

// withUserKeyring calls do with the user keyring linked into the thread keyring. Only
// keys that are linked from a keyring of the caller can be read, and session keyrings
// made by systemd or a container runtime have no link to the user keyring. The OS thread
// ends after do, and with it its keyring, which counts towards the user's quota.
func withUserKeyring(do func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // not unlocked: the thread ends with the goroutine
		_, err := unix.KeyctlInt(unix.KEYCTL_LINK, unix.KEY_SPEC_USER_KEYRING, unix.KEY_SPEC_THREAD_KEYRING, 0, 0)
		if err == nil {
			err = do()
		}
		done <- err
	}()
	return <-done
}

// isGone reports whether an error of keyctl(2) means that there is no such key.
func isGone(err error) bool {
	return errors.Is(err, unix.ENOKEY) || errors.Is(err, unix.EKEYEXPIRED) || errors.Is(err, unix.EKEYREVOKED)
}

func keyError(err error) error {
	switch {
	case err == nil:
		return nil
	case isGone(err):
		return fs.ErrNotExist
	case errors.Is(err, unix.EDQUOT):
		return ErrQuota
	}
	return fmt.Errorf("kernel keyring: %w", err)
}
