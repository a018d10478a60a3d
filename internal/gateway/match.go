package gateway

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// errPattern says that a text is not a pattern of paths.
var errPattern = errors.New("not a path pattern")

const anySegment = "*"

// pattern matches paths segment by segment.
type pattern struct {
	text     string
	segments []string // literals, or "*" for any one that is not empty
	below    bool     // what lies below matches too
}

// parsePrefix reads a pattern that matches what lies below it. "/" is
// everything.
func parsePrefix(text string) (pattern, error) {
	p, err := parsePattern(strings.TrimSuffix(text, "/") + "/**")
	p.text = text
	if !strings.HasPrefix(text, "/") {
		return p, fmt.Errorf("%w: %q does not begin with \"/\"", errPattern, text)
	}
	return p, err
}

// parsePattern reads a pattern that matches whole paths. "**" at its end is
// for the path before it and all below.
func parsePattern(text string) (pattern, error) {
	p := pattern{text: text}
	if !strings.HasPrefix(text, "/") {
		return p, fmt.Errorf("%w: %q does not begin with \"/\"", errPattern, text)
	}
	p.segments = strings.Split(text[1:], "/")
	if last := len(p.segments) - 1; p.segments[last] == "**" {
		p.segments, p.below = p.segments[:last], true
	}
	for i, s := range p.segments {
		trailingSlash := s == "" && i == len(p.segments)-1 && !p.below
		if s == anySegment || trailingSlash {
			continue
		}
		if s == "" || s == "." || s == ".." || strings.ContainsFunc(s, notLiteral) {
			return p, fmt.Errorf("%w: %q has the segment %q", errPattern, text, s)
		}
	}
	return p, nil
}

// notLiteral reports characters that paths have in more than one spelling or
// that end them.
func notLiteral(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune(`%*;?#\"<>`, r)
}

// match reports whether the pattern matches a path that begins with a slash.
// Nothing is decoded.
func (p *pattern) match(path string) bool {
	rest, more := path[1:], true
	for _, want := range p.segments {
		if !more {
			return false
		}
		var segment string
		segment, rest, more = strings.Cut(rest, "/")
		if want == anySegment {
			if segment == "" {
				return false
			}
			continue
		}
		if segment != want {
			return false
		}
	}
	return p.below || !more
}

// rank orders patterns so that of two that match one path the one to use comes
// first: literals before "*", segment by segment, and then the longer one.
func (p *pattern) rank() string {
	var b strings.Builder
	for _, s := range p.segments {
		if s == anySegment {
			b.WriteByte('b')
		} else {
			b.WriteByte('a')
		}
	}
	b.WriteByte('c')
	return b.String()
}

// table finds routes.
type table struct {
	routes []*route // the first that matches counts
}

// newTable orders routes. Two with one prefix are an error.
func newTable(routes []*route) (*table, error) {
	seen := map[string]bool{}
	for _, r := range routes {
		key := strings.Join(r.prefix.segments, "/")
		if seen[key] {
			return nil, fmt.Errorf("gateway: two routes have the prefix %q", r.Prefix)
		}
		seen[key] = true
	}
	routes = slices.Clone(routes)
	slices.SortStableFunc(routes, func(a, b *route) int { return strings.Compare(a.prefix.rank(), b.prefix.rank()) })
	return &table{routes: routes}, nil
}

// match returns the route for a path as it stands, nil if there is none.
func (t *table) match(path string) *route {
	for _, r := range t.routes {
		if r.prefix.match(path) {
			return r
		}
	}
	return nil
}
