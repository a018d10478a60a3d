package gateway

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// maxPath bounds the path of a request, in bytes. The query is not counted.
const maxPath = 16 << 10

// Errors about request targets. The texts are for clients.
var (
	errTarget    = errors.New("the request target is not a path that can be passed on")
	errLongPath  = errors.New("the path is too long")
	errDots      = errors.New(`the path has "." or ".." segments`)
	errAmbiguous = errors.New("the path can be read in several ways that lead to different places")
)

// splitTarget returns the request target in origin form (RFC 9112 section
// 3.2.1), byte for byte as the client sent it, and its path alone.
func splitTarget(r *http.Request) (target, path string, err error) {
	target = r.RequestURI
	if !strings.HasPrefix(target, "/") {
		// The absolute form must be taken (section 3.2.2); net/http has the
		// host of it in r.Host already.
		_, rest, found := strings.Cut(target, "://")
		if !found {
			return "", "", errTarget
		}
		at := strings.IndexAny(rest, "/?")
		if at < 0 {
			at = len(rest)
		}
		if target = rest[at:]; !strings.HasPrefix(target, "/") {
			target = "/" + target
		}
	}
	path, _, _ = strings.Cut(target, "?")
	return target, path, nil
}

// pick returns the route of a path as it came, nil if there is none. It is an
// error if a server that decodes the path, even twice, joins slashes, takes
// backslashes for slashes or ignores parameters behind semicolons could see
// another route's path in it, or dot segments (S81, S87).
func (t *table) pick(path string) (*route, error) {
	switch {
	case len(path) > maxPath:
		return nil, errLongPath
	case path == "", path[0] != '/', strings.HasPrefix(path, "//"), strings.IndexByte(path, '#') >= 0:
		// Two slashes in front would be sent as a reference to another host,
		// and some servers end the path at a "#".
		return nil, errTarget
	}
	found := t.match(path)
	if !strings.ContainsAny(path, `%;\`) && !strings.Contains(path, "//") {
		if dotted(path) {
			return nil, errDots
		}
		return found, nil
	}
	readings, err := readingsOf(path)
	if err != nil {
		return nil, err
	}
	for _, text := range readings {
		if dotted(text) {
			return nil, errDots
		}
		if t.match(text) != found {
			return nil, errAmbiguous
		}
	}
	return found, nil
}

// checkPath returns why a path must not be asked for, whichever service is
// asked: what [table.pick] finds wrong with it where there are no routes.
func checkPath(path string) error {
	_, err := (&table{}).pick(path)
	return err
}

// readingsOf lists what servers may take a path for, itself included.
func readingsOf(path string) ([]string, error) {
	once, err := url.PathUnescape(path)
	if err != nil || strings.IndexByte(once, 0) >= 0 {
		return nil, errTarget
	}
	readings := []string{path, once, unescapeLeniently(once)}
	for _, fold := range []func(string) string{slashed, withoutParameters, joined} {
		for _, text := range slices.Clone(readings) {
			if folded := fold(text); folded != text {
				readings = append(readings, folded)
			}
		}
	}
	return readings, nil
}

// unescapeLeniently decodes what is validly percent-encoded and leaves the
// rest.
func unescapeLeniently(s string) string {
	parts := strings.Split(s, "%")
	var b strings.Builder
	b.WriteString(parts[0])
	for _, p := range parts[1:] {
		if len(p) >= 2 {
			if decoded, err := url.PathUnescape("%" + p[:2]); err == nil {
				b.WriteString(decoded)
				b.WriteString(p[2:])
				continue
			}
		}
		b.WriteByte('%')
		b.WriteString(p)
	}
	return b.String()
}

func slashed(path string) string { return strings.ReplaceAll(path, `\`, "/") }

// withoutParameters cuts what stands behind a semicolon off each segment.
func withoutParameters(path string) string {
	if strings.IndexByte(path, ';') < 0 {
		return path
	}
	segments := strings.Split(path, "/")
	for i, s := range segments {
		segments[i], _, _ = strings.Cut(s, ";")
	}
	return strings.Join(segments, "/")
}

// joined makes one slash of each run of them.
func joined(path string) string {
	if !strings.Contains(path, "//") {
		return path
	}
	var b strings.Builder
	for i := range len(path) {
		if path[i] != '/' || i == 0 || path[i-1] != '/' {
			b.WriteByte(path[i])
		}
	}
	return b.String()
}

// dotted reports whether a path has a segment that is "." or "..".
func dotted(path string) bool {
	for at := strings.Index(path, "/."); at >= 0; {
		segment, _, _ := strings.Cut(path[at+1:], "/")
		if segment == "." || segment == ".." {
			return true
		}
		next := strings.Index(path[at+1:], "/.")
		if next < 0 {
			return false
		}
		at += 1 + next
	}
	return false
}
