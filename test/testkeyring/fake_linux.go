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

	api        = "org.freedesktop.Secret."
	properties = "org.freedesktop.DBus.Properties"
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
	stop  func()

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
	f.stop = sync.OnceFunc(func() { close(f.done) })
	switch o.Mode {
	case HungPrompt, Dismissed, Accepted:
		f.locked = true
	case Slow:
		f.delay = o.Delay
	}
	return f
}

// own exports the objects and takes the name.
func (f *fake) own() error {
	for _, x := range []struct {
		path  dbus.ObjectPath
		name  string
		table map[string]any
	}{
		{servicePath, api + "Service", map[string]any{"OpenSession": f.openSession, "Unlock": f.unlock}},
		{servicePath, properties, map[string]any{"Get": f.property}},
		{sessionPath, api + "Session", map[string]any{"Close": func() *dbus.Error { f.enter("Close"); return nil }}},
		{loginPath, api + "Collection", map[string]any{"SearchItems": f.searchItems, "CreateItem": f.createItem}},
		{loginPath, properties, map[string]any{"Get": f.property}},
		{promptPath, api + "Prompt", map[string]any{"Prompt": f.prompt, "Dismiss": func() *dbus.Error { f.enter("Dismiss"); return nil }}},
	} {
		if err := f.conn.ExportMethodTable(x.table, x.path, x.name); err != nil {
			return err
		}
	}
	return ownName(f.conn, serviceName)
}

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
	switch name {
	case "Collections":
		return dbus.MakeVariant([]dbus.ObjectPath{loginPath}), nil
	case "Locked":
		return dbus.MakeVariant(f.locked), nil
	}
	return dbus.Variant{}, dbus.NewError("org.freedesktop.DBus.Error.UnknownProperty", []any{iface + "." + name})
}

func (f *fake) openSession(string, dbus.Variant) (dbus.Variant, dbus.ObjectPath, *dbus.Error) {
	f.enter("OpenSession")
	return dbus.MakeVariant(""), sessionPath, nil
}

func (f *fake) unlock(objects []dbus.ObjectPath) ([]dbus.ObjectPath, dbus.ObjectPath, *dbus.Error) {
	f.enter("Unlock")
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.locked {
		return []dbus.ObjectPath{}, promptPath, nil
	}
	return objects, noPath, nil
}

// prompt completes by a signal, as the mode has it.
func (f *fake) prompt(string) *dbus.Error {
	f.enter("Prompt")
	dismissed, result := true, []dbus.ObjectPath{}
	switch f.mode {
	case HungPrompt:
		return nil
	case Accepted:
		f.setLocked(false)
		dismissed, result = false, []dbus.ObjectPath{loginPath}
	}
	go func() { _ = f.conn.Emit(promptPath, api+"Prompt.Completed", dismissed, dbus.MakeVariant(result)) }() // fails only when we are closed
	return nil
}

func (f *fake) searchItems(want map[string]string) ([]dbus.ObjectPath, *dbus.Error) {
	f.enter("SearchItems")
	f.mu.Lock()
	defer f.mu.Unlock()
	found := []dbus.ObjectPath{}
	for path, it := range f.items {
		both := maps.Clone(it.attributes)
		if maps.Copy(both, want); maps.Equal(both, it.attributes) {
			found = append(found, path)
		}
	}
	return found, nil
}

func (f *fake) createItem(values map[string]dbus.Variant, s secret, replace bool) (dbus.ObjectPath, dbus.ObjectPath, *dbus.Error) {
	f.enter("CreateItem")
	attributes, ok := values[api+"Item.Attributes"].Value().(map[string]string)
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
	err := errors.Join(
		f.conn.ExportMethodTable(map[string]any{
			"GetSecret": func(session dbus.ObjectPath) (secret, *dbus.Error) { return f.getSecret(path, session) },
			"Delete":    func() (dbus.ObjectPath, *dbus.Error) { return f.remove(path) },
		}, path, api+"Item"),
		f.conn.ExportMethodTable(map[string]any{
			"Get": func(string, string) (dbus.Variant, *dbus.Error) { return dbus.MakeVariant(attributes), nil },
		}, path, properties))
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
		return secret{Session: noPath}, dbus.NewError(api+"Error.NoSuchObject", []any{string(path)})
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
	return dbus.NewError(api+"Error.IsLocked", []any{"the collection is locked"})
}

// counter counts by name.
type counter struct {
	mu sync.Mutex
	n  map[string]int
}

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
