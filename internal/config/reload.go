package config

import (
	"reflect"
)

// Reloaded is what a running server makes of a configuration that was read
// anew.
type Reloaded struct {
	// Config is what to put into force: the new configuration, with the old
	// value of each key that needs a restart.
	Config Config

	Applied []string // keys whose new value is in Config
	Pending []string // keys that have a new value, which needs a restart
}

// Reload compares the configuration in force with one that was read anew. The
// error is an [*Error] if what would be in force, which is a mixture of both,
// is not valid.
func (c Config) Reload(next Config) (Reloaded, error) {
	r := Reloaded{Config: next}
	toggled := c.TLS.On() != next.TLS.On()
	for _, e := range schema().leaves() {
		old, field := e.in(reflect.ValueOf(c)), e.in(reflect.ValueOf(&r.Config).Elem())
		switch {
		case reflect.DeepEqual(old.Interface(), field.Interface()) || old.Kind() == reflect.Slice && old.Len()+field.Len() == 0:
		case e.live && (!toggled || !e.below("tls")):
			r.Applied = append(r.Applied, e.path)
		default:
			r.Pending = append(r.Pending, e.path)
			field.Set(old)
		}
	}
	if problems := r.Config.problems(); len(r.Pending) > 0 && len(problems) > 0 {
		return Reloaded{}, problems.err()
	}
	return r, nil
}
