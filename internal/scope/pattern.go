package scope

import "strings"

// pattern is a name with "*" in it, split at the stars: the literals between
// them. {"a"} is the name a, {"a", ""} is a*, {"", ""} is *.
type pattern struct {
	literals []string
	flat     string // the literals joined by star
}

// star stands for "*" in a flattened pattern. It cannot occur in a name.
const star = "\x00"

// newPattern makes a pattern of literals; a row of stars is one.
func newPattern(literals []string) pattern {
	kept := literals[:1:1]
	for i, l := range literals[1:] {
		if inner := i+1 < len(literals)-1; inner && l == "" {
			continue
		}
		kept = append(kept, l)
	}
	return pattern{literals: kept, flat: strings.Join(kept, star)}
}

// any reports whether the pattern is a lone star.
func (p pattern) any() bool { return p.flat == star }

// match reports whether the pattern matches all of name. It allocates nothing
// and takes time proportional to the lengths of both at most.
func (p pattern) match(name string) bool {
	n := len(p.literals)
	if n == 0 {
		return false
	}
	if n == 1 {
		return name == p.literals[0]
	}
	head, tail := p.literals[0], p.literals[n-1]
	if len(name) < len(head)+len(tail) || !strings.HasPrefix(name, head) || !strings.HasSuffix(name, tail) {
		return false
	}
	rest := name[len(head) : len(name)-len(tail)]
	for _, l := range p.literals[1 : n-1] {
		at := strings.Index(rest, l)
		if at < 0 {
			return false
		}
		rest = rest[at+len(l):]
	}
	return true
}

// covers reports whether every name that o matches is matched by p too. A star
// of o can be any text, so it must fall under a star of p: match the flattened
// o, whose stars are a character that none of p's literals has.
func (p pattern) covers(o pattern) bool { return p.match(o.flat) }

// overlaps reports whether some name is matched by both patterns. Of two with
// stars the literals between can always stand side by side, so it is the
// beginnings and the ends that must fit.
func (p pattern) overlaps(o pattern) bool {
	n, m := len(p.literals), len(o.literals)
	switch {
	case n == 0 || m == 0:
		return false
	case n == 1:
		return o.match(p.literals[0])
	case m == 1:
		return p.match(o.literals[0])
	}
	head, other := p.literals[0], o.literals[0]
	tail, end := p.literals[n-1], o.literals[m-1]
	return (strings.HasPrefix(head, other) || strings.HasPrefix(other, head)) &&
		(strings.HasSuffix(tail, end) || strings.HasSuffix(end, tail))
}
