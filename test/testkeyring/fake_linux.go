package testkeyring

import (
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
)

const (
	sessionPath = dbus.ObjectPath("/org/freedesktop/secrets/session/s1")
	promptPath  = dbus.ObjectPath("/org/freedesktop/secrets/prompt/p1")
)

// secret is the struct (oayays) of the Secret Service API.
type secret struct {
	Session     dbus.ObjectPath
	Parameters  []byte
	Value       []byte
	ContentType string
}

// fake is a Secret Service with one collection, held in memory.
type fake struct {
	conn  *dbus.Conn
	mode  Mode
	delay time.Duration
	calls *counter
	done  chan struct{}
	once  sync.Once

	mu     sync.Mutex
	locked bool
	next   int
	items  map[dbus.ObjectPath]*item
}

type item struct {
	attributes map[string]string
	value      []byte
}

func newFake(conn *dbus.Conn, o Options, calls *counter) *fake {
	f := &fake{conn: conn, mode: o.Mode, calls: calls, done: make(chan struct{}), items: map[dbus.ObjectPath]*item{}}
	switch o.Mode {
	case HungPrompt, Dismissed, Accepted, GarbagePrompt:
		f.locked = true
	case Slow:
		f.delay = o.Delay
	}
	return f
}

// own exports the objects and takes the name.
func (f *fake) own() error {
	const api = "org.freedesktop.Secret."
	properties := map[string]any{"Get": f.property}
	err := errors.Join(
		f.conn.ExportMethodTable(map[string]any{"OpenSession": f.openSession, "Unlock": f.unlock}, servicePath, api+"Service"),
		f.conn.ExportMethodTable(properties, servicePath, "org.freedesktop.DBus.Properties"),
		f.conn.ExportMethodTable(map[string]any{"Close": f.closeSession}, sessionPath, api+"Session"),
		f.conn.ExportMethodTable(map[string]any{"SearchItems": f.searchItems, "CreateItem": f.createItem}, loginPath, api+"Collection"),
		f.conn.ExportMethodTable(properties, loginPath, "org.freedesktop.DBus.Properties"),
		f.conn.ExportMethodTable(map[string]any{"Prompt": f.prompt, "Dismiss": f.dismiss}, promptPath, api+"Prompt"),
	)
	if err != nil {
		return err
	}
	return ownName(f.conn, serviceName)
}

func (f *fake) stop() { f.once.Do(func() { close(f.done) }) }

func (f *fake) setLocked(locked bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.locked = locked
}

// enter counts a call and waits as the mode has it; godbus runs each call in a
// goroutine of its own.
func (f *fake) enter(method string) {
	f.calls.add(method)
	switch {
	case f.mode == Silent:
		<-f.done
	case f.delay > 0:
		select {
		case <-f.done:
		case <-time.After(f.delay):
		}
	}
}

func (f *fake) property(iface, name string) (dbus.Variant, *dbus.Error) {
	f.enter(name)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case name == "Collections" && f.mode == Garbage:
		return dbus.MakeVariant("none of your business"), nil
	case name == "Collections":
		return dbus.MakeVariant([]dbus.ObjectPath{loginPath}), nil
	case name == "Locked":
		return dbus.MakeVariant(f.locked), nil
	}
	return dbus.Variant{}, dbus.NewError("org.freedesktop.DBus.Error.UnknownProperty", []any{iface + "." + name})
}

func (f *fake) openSession(string, dbus.Variant) (dbus.Variant, dbus.ObjectPath, *dbus.Error) {
	f.enter("OpenSession")
	return dbus.MakeVariant(""), sessionPath, nil
}

func (f *fake) closeSession() *dbus.Error {
	f.enter("Close")
	return nil
}

func (f *fake) unlock(objects []dbus.ObjectPath) ([]dbus.ObjectPath, dbus.ObjectPath, *dbus.Error) {
	f.enter("Unlock")
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.locked {
		return []dbus.ObjectPath{}, promptPath, nil
	}
	known := []dbus.ObjectPath{}
	for _, o := range objects {
		if o == loginPath || f.items[o] != nil {
			known = append(known, o)
		}
	}
	return known, noPath, nil
}

// prompt completes by a signal, as the mode has it.
func (f *fake) prompt(string) *dbus.Error {
	f.enter("Prompt")
	switch f.mode {
	case HungPrompt:
	case Accepted:
		f.setLocked(false)
		go f.complete(false, dbus.MakeVariant([]dbus.ObjectPath{loginPath}))
	case GarbagePrompt:
		go f.complete("yes", int32(7))
	default:
		go f.complete(true, dbus.MakeVariant([]dbus.ObjectPath{}))
	}
	return nil
}

func (f *fake) complete(values ...any) {
	_ = f.conn.Emit(promptPath, "org.freedesktop.Secret.Prompt.Completed", values...) // fails only when we are closed
}

func (f *fake) dismiss() *dbus.Error {
	f.enter("Dismiss")
	return nil
}

func (f *fake) searchItems(want map[string]string) ([]dbus.ObjectPath, *dbus.Error) {
	f.enter("SearchItems")
	f.mu.Lock()
	defer f.mu.Unlock()
	found := []dbus.ObjectPath{}
	for path, it := range f.items {
		if matches(it.attributes, want) {
			found = append(found, path)
		}
	}
	return found, nil
}

func matches(has, want map[string]string) bool {
	for k, v := range want {
		if has[k] != v {
			return false
		}
	}
	return true
}

func (f *fake) createItem(properties map[string]dbus.Variant, s secret, replace bool) (dbus.ObjectPath, dbus.ObjectPath, *dbus.Error) {
	f.enter("CreateItem")
	attributes, ok := properties["org.freedesktop.Secret.Item.Attributes"].Value().(map[string]string)
	if !ok {
		return noPath, noPath, dbus.NewError("org.freedesktop.DBus.Error.InvalidArgs", []any{"no attributes"})
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.locked:
		return noPath, noPath, isLocked()
	case f.mode == Forgetful:
		s.Value = append([]byte("not "), s.Value...)
	}
	for path, it := range f.items {
		if replace && maps.Equal(it.attributes, attributes) {
			if f.mode == Asking {
				return noPath, promptPath, nil
			}
			it.value = s.Value
			return path, noPath, nil
		}
	}
	f.next++
	path := dbus.ObjectPath(fmt.Sprintf("%s/%d", loginPath, f.next))
	f.items[path] = &item{attributes, s.Value}
	table := map[string]any{
		"GetSecret": func(session dbus.ObjectPath) (secret, *dbus.Error) { return f.getSecret(path, session) },
		"Delete":    func() (dbus.ObjectPath, *dbus.Error) { return f.remove(path) },
	}
	err := errors.Join(f.conn.ExportMethodTable(table, path, "org.freedesktop.Secret.Item"),
		f.conn.ExportMethodTable(map[string]any{"Get": func(string, string) (dbus.Variant, *dbus.Error) { return dbus.MakeVariant(attributes), nil }}, path, "org.freedesktop.DBus.Properties"))
	if err != nil {
		return noPath, noPath, dbus.MakeFailedError(err)
	}
	return path, noPath, nil
}

func (f *fake) getSecret(path, session dbus.ObjectPath) (secret, *dbus.Error) {
	f.enter("GetSecret")
	f.mu.Lock()
	defer f.mu.Unlock()
	it := f.items[path]
	switch {
	case it == nil:
		return secret{Session: noPath}, dbus.NewError("org.freedesktop.Secret.Error.NoSuchObject", []any{string(path)})
	case f.locked:
		return secret{Session: noPath}, isLocked()
	}
	return secret{session, []byte{}, it.value, "text/plain"}, nil
}

func (f *fake) remove(path dbus.ObjectPath) (dbus.ObjectPath, *dbus.Error) {
	f.enter("Delete")
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.locked:
		return noPath, isLocked()
	case f.mode == Asking:
		return promptPath, nil
	}
	delete(f.items, path)
	return noPath, nil
}

func isLocked() *dbus.Error {
	return dbus.NewError("org.freedesktop.Secret.Error.IsLocked", []any{"the collection is locked"})
}

// counter counts by name.
type counter struct {
	mu sync.Mutex
	n  map[string]int
}

func newCounter() *counter { return &counter{n: map[string]int{}} }

func (c *counter) add(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n[name]++
}

func (c *counter) snapshot() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.n)
}
