package config

import (
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/secret"
)

// The struct tags:
//
//	key     the name of the key in its section
//	doc     what it is, in sentences
//	oneof   the words that are allowed, separated by spaces
//	min     the smallest number or duration
//	max     the largest
//	zero    what 0 means; it is then allowed whatever min says
//	fills   of a path: the key whose value the file holds
//	only    "env": the value must not stand in the configuration file
//	live    "yes": a running server takes a new value; else it needs a restart
//	shown   of a secret: values that begin with this are none, and are shown

// kind is what a key holds.
type kind int

const (
	section  kind = iota // other keys
	sections             // a list of sections
	text
	secretText
	boolean
	number
	duration
	textList
	prefixList
)

// entry is a key, with what its struct tags say about it.
type entry struct {
	name  string // in its section; "" of the root
	path  string // from the root, with dots; of keys in a list of sections, from its element
	index []int  // of the field, from the struct that path begins at
	kind  kind
	doc   string

	choices  []string
	min, max int64 // of numbers and of durations, in ns
	bounded  bool
	zero     string
	fills    string
	envOnly  bool
	live     bool
	shown    string

	children []*entry // of a section, and of each element of sections
}

// schema describes [Config]. It is made anew for each use, which is once or
// twice in the life of a process.
func schema() *entry {
	root := &entry{kind: section}
	root.children = childrenOf(reflect.TypeFor[Config](), root)
	return root
}

// childrenOf describes the fields of a struct that have a key.
func childrenOf(t reflect.Type, parent *entry) []*entry {
	var children []*entry
	for i := range t.NumField() {
		f := t.Field(i)
		name, ok := f.Tag.Lookup("key")
		if !ok {
			continue
		}
		e := &entry{
			name:    name,
			path:    join(parent.path, name),
			index:   append(append([]int(nil), parent.index...), i),
			kind:    kindOf(f.Type),
			doc:     f.Tag.Get("doc"),
			choices: strings.Fields(f.Tag.Get("oneof")),
			zero:    f.Tag.Get("zero"),
			fills:   f.Tag.Get("fills"),
			envOnly: f.Tag.Get("only") == "env",
			live:    f.Tag.Get("live") == "yes" || parent.live,
			shown:   f.Tag.Get("shown"),
		}
		switch e.kind {
		case section:
			e.children = childrenOf(f.Type, e)
		case sections:
			e.children = childrenOf(f.Type.Elem(), &entry{})
		case number, duration:
			e.min, e.max = e.bound(f.Tag.Get("min")), e.bound(f.Tag.Get("max"))
			e.bounded = true
		}
		children = append(children, e)
	}
	return children
}

// kindOf panics on a type that no key can have, which a test would notice.
func kindOf(t reflect.Type) kind {
	switch t {
	case reflect.TypeFor[secret.Text]():
		return secretText
	case reflect.TypeFor[time.Duration]():
		return duration
	case reflect.TypeFor[[]netip.Prefix]():
		return prefixList
	case reflect.TypeFor[[]string]():
		return textList
	}
	switch {
	case t.Kind() == reflect.String:
		return text
	case t.Kind() == reflect.Bool:
		return boolean
	case t.Kind() == reflect.Int:
		return number
	case t.Kind() == reflect.Struct:
		return section
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		return sections
	}
	panic(fmt.Sprintf("config: no key can be a %v", t))
}

// bound reads a min or max tag, and panics on one that is wrong, which a test
// would notice.
func (e *entry) bound(tag string) int64 {
	if e.kind == duration {
		d, err := ParseDuration(tag)
		if err != nil {
			panic(fmt.Sprintf("config: the bound %q of %s: %v", tag, e.path, err))
		}
		return int64(d)
	}
	n, err := strconv.ParseInt(tag, 10, 64)
	if err != nil {
		panic(fmt.Sprintf("config: the bound %q of %s: %v", tag, e.path, err))
	}
	return n
}

// child returns the key of that name, or nil.
func (e *entry) child(name string) *entry {
	for _, c := range e.children {
		if c.name == name {
			return c
		}
	}
	return nil
}

// below reports whether the key is in the section of that name.
func (e *entry) below(section string) bool { return strings.HasPrefix(e.path, section+".") }

// isSection reports whether other keys are below this one.
func (e *entry) isSection() bool { return e.kind == section }

// isList reports whether the value is a list.
func (e *entry) isList() bool {
	return e.kind == sections || e.kind == textList || e.kind == prefixList
}

// isSecret reports whether the value is not to be seen.
func (e *entry) isSecret() bool { return e.kind == secretText }

// env is the name of the key's environment variable.
func (e *entry) env() string {
	return "LATCHKEY_" + strings.ToUpper(strings.ReplaceAll(e.path, ".", "_"))
}

// leaves returns all keys below e that have a value, in the order of the
// structs. Keys in a list of sections are not among them.
func (e *entry) leaves() []*entry {
	var all []*entry
	for _, c := range e.children {
		if c.isSection() {
			all = append(all, c.leaves()...)
		} else {
			all = append(all, c)
		}
	}
	return all
}

// paths returns the paths of all keys and sections below e.
func (e *entry) paths() []string {
	var all []string
	for _, c := range e.children {
		all = append(all, c.path)
		if c.isSection() {
			all = append(all, c.paths()...)
		}
	}
	return all
}

// in returns the field of v that the key stands for.
func (e *entry) in(v reflect.Value) reflect.Value { return v.FieldByIndex(e.index) }

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
