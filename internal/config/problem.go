package config

import (
	"fmt"
	"strings"
)

// Layer is one of the places that values come from. A higher one goes before
// a lower one.
type Layer int

// The layers, from the lowest to the highest.
const (
	FromDefault Layer = iota
	FromFile
	FromEnv
	FromFlag
)

// Origin says where a value came from. The zero Origin is the default.
type Origin struct {
	Layer Layer
	File  string // the configuration file, of FromFile
	Line  int    // in it
	Name  string // the variable or the flag; of FromDefault, the key that it was taken from, if any

	Via string // the file that held the value, where a key such as dsn_file named one
}

// String words the origin for people: "default", "env LATCHKEY_LISTEN".
func (o Origin) String() string {
	s := "default"
	switch {
	case o.Layer == FromDefault && o.Name != "":
		s = "default, from " + o.Name
	case o.Layer == FromFile:
		s = "file " + o.place()
	case o.Layer == FromEnv:
		s = "env " + o.Name
	case o.Layer == FromFlag:
		s = "flag " + o.Name
	}
	if o.Via != "" {
		s += ", from the file " + plain(o.Via)
	}
	return s
}

// place is where a problem is to be looked for; "" of defaults.
func (o Origin) place() string {
	switch {
	case o.Layer == FromFile && o.Line > 0:
		return fmt.Sprintf("%s:%d", plain(o.File), o.Line)
	case o.Layer == FromFile:
		return plain(o.File)
	case o.Layer == FromDefault:
		return ""
	}
	return o.Name
}

// Problem is something that is wrong with the configuration, or, as a warning,
// something that should be known about it.
type Problem struct {
	Key    string // "": of the file as a whole
	Origin Origin // of the key's value
	Text   string // what is wrong and what to do; never the value of a secret
}

// String is the problem in one line, with where to look: "latchkey.yml:3:
// check.bound: want …".
func (p Problem) String() string {
	parts := make([]string, 0, 3)
	for _, part := range []string{p.Origin.place(), p.Key, p.Text} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ": ")
}

// Error is all that is wrong with a configuration. It is never empty.
type Error struct{ Problems []Problem }

// Error has a line for each problem.
func (e *Error) Error() string {
	if len(e.Problems) == 1 {
		return "the configuration cannot be used: " + e.Problems[0].String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "the configuration has %d problems:", len(e.Problems))
	for _, p := range e.Problems {
		b.WriteString("\n  " + p.String())
	}
	return b.String()
}

// problems collects what is wrong.
type problems []Problem

func (p *problems) add(key string, at Origin, format string, args ...any) {
	*p = append(*p, Problem{Key: key, Origin: at, Text: fmt.Sprintf(format, args...)})
}

// about reports whether something is wrong with the key already.
func (p problems) about(key string) bool {
	for _, q := range p {
		if q.Key == key {
			return true
		}
	}
	return false
}

func (p problems) err() error {
	if len(p) == 0 {
		return nil
	}
	return &Error{Problems: p}
}

// plain makes a name from outside fit for one line.
func plain(s string) string {
	if strings.ContainsFunc(s, isControl) {
		return fmt.Sprintf("%q", s)
	}
	return s
}

func isControl(r rune) bool {
	return r < ' ' || (r >= 0x7f && r < 0xa0) || r == '\u2028' || r == '\u2029'
}
