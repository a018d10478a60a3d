package config

import (
	"fmt"
	"reflect"
)

// newElement returns an element of a list of sections with all that need not
// be set.
func (e *entry) newElement() reflect.Value {
	var element any
	switch e.path {
	case "routes":
		element = DefaultRoute()
	case "registry.services":
		element = DefaultRegistryService()
	default:
		panic("config: nothing is known of the elements of " + e.path) // which a test would notice
	}
	v := reflect.New(reflect.TypeOf(element)).Elem()
	v.Set(reflect.ValueOf(element))
	return v
}

// elementKey is the path of a key in an element of a list of sections.
func elementKey(list string, i int, name string) string {
	return fmt.Sprintf("%s[%d].%s", list, i, name)
}
