package control

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// set reads NAME=VALUE words; either all of them hold or none.
func set(l *emulator.Lakebase, words []string) error {
	if len(words) == 0 {
		return fmt.Errorf("%w: ctl set NAME=VALUE…, where NAME is one of %s", ErrUsage, names())
	}
	trial := l.Settings()
	if err := Apply(&trial, words...); err != nil {
		return err
	}
	l.Set(func(s *emulator.Settings) { _ = Apply(s, words...) }) // which the trial has shown to hold
	return nil
}

// Apply sets what NAME=VALUE words say, in order. NAME is the tag of a field of Settings.
// ErrUsage marks a word that does not hold.
func Apply(s *emulator.Settings, words ...string) error {
	for _, w := range words {
		name, value, ok := strings.Cut(w, "=")
		f, known := settings[name]
		if !ok || !known {
			return fmt.Errorf("%w: %q is no NAME=VALUE with a NAME of %s", ErrUsage, w, names())
		}
		if err := assign(reflect.ValueOf(s).Elem().FieldByIndex(f.Index), value, strings.Fields(f.Tag.Get("values"))); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrUsage, name, err)
		}
	}
	return nil
}

// settings are the fields of Settings by their tag.
var settings = func() map[string]reflect.StructField {
	out := map[string]reflect.StructField{}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[emulator.Settings]()) {
		if name := f.Tag.Get("ctl"); name != "" {
			out[name] = f
		}
	}
	return out
}()

func names() string {
	var out []string
	for n := range settings {
		out = append(out, n)
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// assign reads a value for a field; allowed are its values if it is not free.
func assign(field reflect.Value, value string, allowed []string) (err error) {
	switch p := field.Addr().Interface().(type) {
	case *time.Duration:
		return duration(p)(value)
	case *int:
		n, err := strconv.ParseUint(value, 10, 31)
		*p = int(n)
		return err
	case *bool:
		*p, err = strconv.ParseBool(value)
	case *[]string: // "none" is an empty list, "" the default
		*p = strings.Split(value, ",")
		if value == "none" || value == "" {
			*p = map[string][]string{"none": {}}[value]
		}
	default:
		if value != "" && len(allowed) > 0 && !slices.Contains(allowed, value) {
			return fmt.Errorf("%q is none of %v", value, allowed)
		}
		field.SetString(value)
	}
	return err
}
