package scope

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// PathRequest describes an HTTP request at a door: the method's action on the
// path, which is given as it came, percent-encoded and without the query. A
// path that different servers read differently is marked as odd, so that only
// a rule for every path lets it through.
func PathRequest(method, rawPath string) Request {
	name, ok := cleanPath(rawPath)
	return Request{Type: TypePath, Name: name, Action: MethodAction(method), Odd: !ok}
}

// MethodAction returns the action that an HTTP method stands for at a path.
// Methods without one get a name that only the action "*" covers.
func MethodAction(method string) string {
	switch method {
	case "GET", "HEAD", "OPTIONS":
		return Read
	case "POST", "PUT", "PATCH":
		return Write
	case "DELETE":
		return Delete
	}
	return otherAction
}

// otherAction is that of methods which no rule names.
const otherAction = "other"

// CleanPath decodes the percent-encoding of a path and reports whether the
// result has one reading only: absolute, no empty, "." or ".." segments, no
// encoded slash, no backslash, no ";" (which begins parameters that some
// servers leave out of the name), no control characters, valid UTF-8, and
// nothing left that a second decoding would turn into something else.
func CleanPath(raw string) (string, bool) { return cleanPath(raw) }

func cleanPath(raw string) (string, bool) {
	if raw == "" || raw[0] != '/' {
		return raw, false
	}
	name, ok := decode(raw)
	if !ok || strings.Count(name, "/") != strings.Count(raw, "/") {
		return raw, false // an encoded slash: data to one server, a separator to another
	}
	if strings.ContainsFunc(name, unclear) || !utf8.ValidString(name) {
		return raw, false
	}
	if encodedTwice(name) || !plainSegments(name) {
		return raw, false
	}
	return name, true
}

func unclear(r rune) bool {
	return r < ' ' || r == 0x7f || r == '\\' || r == ';' || (r >= 0x80 && r < 0xa0)
}

// decode undoes percent-encoding once. Names without any are returned as they
// are.
func decode(s string) (string, bool) {
	if strings.IndexByte(s, '%') < 0 {
		return s, true
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return s, false
		}
		hi, lo := unhex(s[i+1]), unhex(s[i+2])
		if hi < 0 || lo < 0 {
			return s, false
		}
		b.WriteByte(byte(hi<<4 | lo))
		i += 2
	}
	return b.String(), true
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// encodedTwice reports whether a decoded name would change if it were decoded
// again.
func encodedTwice(name string) bool {
	for i := 0; i+2 < len(name); i++ {
		if name[i] == '%' && unhex(name[i+1]) >= 0 && unhex(name[i+2]) >= 0 {
			return true
		}
	}
	return false
}

// plainSegments reports whether no segment of an absolute path is empty, "."
// or "..". The last one may be empty: a trailing slash.
func plainSegments(name string) bool {
	rest := name[1:]
	for {
		segment, more, found := strings.Cut(rest, "/")
		if segment == "." || segment == ".." {
			return false
		}
		if !found {
			return true
		}
		if segment == "" {
			return false
		}
		rest = more
	}
}

// parsePath reads the pattern of a rule for paths. What stands between the
// stars may be percent-encoded and is decoded as a request's path is.
func parsePath(s string) (pattern, error) {
	if s[0] != '/' && s != anything {
		return pattern{}, fmt.Errorf("%w: a path begins with \"/\": %q", ErrSyntax, s)
	}
	literals := strings.Split(s, anything)
	for i, l := range literals {
		decoded, ok := decode(l)
		if !ok || strings.Count(decoded, "/") != strings.Count(l, "/") || strings.ContainsFunc(decoded, unclear) {
			return pattern{}, fmt.Errorf("%w: %q has an encoding or a character that cannot match any path", ErrSyntax, s)
		}
		literals[i] = decoded
	}
	p := newPattern(literals)
	if s != anything && !plainSegments(strings.ReplaceAll(p.flat, star, "x")) {
		return pattern{}, fmt.Errorf("%w: %q has an empty, \".\" or \"..\" segment and cannot match any path", ErrSyntax, s)
	}
	return p, nil
}
