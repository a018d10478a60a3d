package dockerauth

import (
	"errors"
	"path"
	"regexp"
	"regexp/syntax"
	"strings"
)

// Bounds on what one pattern may become.
const (
	maxAlternatives = 64
	maxClass        = 8 // characters of a class that become alternatives
)

// Characters that stand for parts of a pattern while it is translated. None can
// be in the name of a repository.
const (
	star  = '*'    // any text
	begin = '\x01' // of the name
	end   = '\x02'
	some  = '\x03' // any text but none
)

var (
	errTooMany = errors.New("the pattern stands for too many others")
	errPattern = errors.New("the pattern has parts that grants do not have")
)

// names is a set of names, as patterns of grants.
type names struct {
	texts []string
	exact bool // they match what the pattern of docker_auth matches, and nothing else
}

// isRegexp reports whether docker_auth takes a pattern for a regular expression
// (authz/acl.go, matchString).
func isRegexp(p string) bool { return len(p) > 2 && p[0] == '/' && p[len(p)-1] == '/' }

// matches reports what docker_auth does of a text, once all variables are put
// in.
func matches(p, text string) bool {
	if isRegexp(p) {
		re, err := regexp.Compile(p[1 : len(p)-1])
		return err == nil && re.MatchString(text)
	}
	ok, err := path.Match(p, text)
	return err == nil && ok
}

// translate returns the names that a pattern of docker_auth matches.
func translate(p string) (names, error) {
	if !isRegexp(p) {
		return glob(p)
	}
	re, err := syntax.Parse(p[1:len(p)-1], syntax.Perl)
	if err != nil {
		return names{exact: true}, nil // it matches nothing
	}
	e := expander{exact: true}
	alternatives, err := e.expand(re)
	if err != nil {
		return names{}, err
	}
	found := names{exact: e.exact}
	for _, a := range alternatives {
		text, exact, err := anchored(a)
		if err != nil {
			return names{}, err
		}
		found.exact = found.exact && exact
		found.texts = append(found.texts, text)
	}
	return found, nil
}

// anchored makes one pattern of an alternative: a regular expression matches
// anywhere if it does not say otherwise.
func anchored(a string) (text string, exact bool, err error) {
	if trimmed, found := strings.CutPrefix(a, string(begin)); found {
		a = trimmed
	} else {
		a = string(star) + a
	}
	if trimmed, found := strings.CutSuffix(a, string(end)); found {
		a = trimmed
	} else {
		a += string(star)
	}
	if strings.ContainsRune(a, begin) || strings.ContainsRune(a, end) {
		return "", false, errPattern
	}
	text, exact = flatten(a)
	return text, exact, nil
}

// flatten writes runs of wildcards as one star. A name is never empty, does not
// begin or end with a slash and has no two in a row, so where a wildcard is
// all of a part between slashes, no text in its place makes no name.
func flatten(a string) (text string, exact bool) {
	exact = true
	var b strings.Builder
	for i := 0; i < len(a); {
		if a[i] != star && a[i] != some {
			b.WriteByte(a[i])
			i++
			continue
		}
		first, needed := i, false
		for ; i < len(a) && (a[i] == star || a[i] == some); i++ {
			needed = needed || a[i] == some
		}
		whole := (first == 0 || a[first-1] == '/') && (i == len(a) || a[i] == '/')
		exact = exact && (!needed || whole)
		b.WriteByte(star)
	}
	return b.String(), exact
}

// glob translates what path.Match takes. Its wildcards stop at a slash, so
// patterns that have any are never exact.
func glob(p string) (names, error) {
	if _, err := path.Match(p, ""); err != nil || strings.ContainsAny(p, "\x01\x02\x03") {
		return names{exact: true}, nil // it matches nothing
	}
	found := names{exact: true}
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		switch p[i] {
		case '*', '?':
			b.WriteByte(star)
			found.exact = false
		case '[':
			for i++; i < len(p) && p[i] != ']'; i++ {
				if p[i] == '\\' {
					i++
				}
			}
			b.WriteByte(star)
			found.exact = false
		case '\\':
			if i++; i < len(p) {
				b.WriteByte(p[i])
			}
			if i < len(p) && p[i] == star {
				return names{}, errPattern
			}
		default:
			b.WriteByte(p[i])
		}
	}
	text, _ := flatten(b.String())
	found.texts = []string{text}
	return found, nil
}

// expander writes a regular expression as alternatives of text and wildcards.
type expander struct{ exact bool }

func (e *expander) expand(re *syntax.Regexp) ([]string, error) {
	switch re.Op {
	case syntax.OpEmptyMatch:
		return []string{""}, nil
	case syntax.OpNoMatch:
		return nil, nil
	case syntax.OpLiteral:
		return literal(re)
	case syntax.OpCharClass:
		return e.class(re), nil
	case syntax.OpAnyCharNotNL, syntax.OpAnyChar:
		e.exact = false
		return []string{string(star)}, nil
	case syntax.OpBeginText:
		return []string{string(begin)}, nil
	case syntax.OpEndText:
		return []string{string(end)}, nil
	case syntax.OpCapture:
		return e.expand(re.Sub[0])
	case syntax.OpQuest:
		alternatives, err := e.expand(re.Sub[0])
		return append(alternatives, ""), err
	case syntax.OpStar, syntax.OpPlus, syntax.OpRepeat:
		return e.repeated(re), nil
	case syntax.OpAlternate:
		return e.either(re.Sub)
	case syntax.OpConcat:
		return e.sequence(re.Sub)
	}
	return nil, errPattern
}

func literal(re *syntax.Regexp) ([]string, error) {
	text := string(re.Rune)
	if strings.ContainsAny(text, "*\x01\x02\x03") {
		return nil, errPattern
	}
	if re.Flags&syntax.FoldCase != 0 && strings.ToLower(text) != strings.ToUpper(text) {
		return nil, errPattern
	}
	return []string{text}, nil
}

// class writes a short class of characters out.
func (e *expander) class(re *syntax.Regexp) []string {
	var found []string
	for i := 0; i+1 < len(re.Rune); i += 2 {
		for r := re.Rune[i]; r <= re.Rune[i+1]; r++ {
			if found = append(found, string(r)); len(found) > maxClass || r == star || r <= some {
				e.exact = false
				return []string{string(star)}
			}
		}
	}
	return found
}

func (e *expander) repeated(re *syntax.Regexp) []string {
	if sub := re.Sub[0].Op; sub == syntax.OpAnyCharNotNL || sub == syntax.OpAnyChar {
		switch re.Op {
		case syntax.OpStar:
			return []string{string(star)}
		case syntax.OpPlus:
			return []string{string(some)}
		}
	}
	e.exact = false
	return []string{string(star)}
}

func (e *expander) either(subs []*syntax.Regexp) ([]string, error) {
	var found []string
	for _, sub := range subs {
		more, err := e.expand(sub)
		if err != nil {
			return nil, err
		}
		if found = append(found, more...); len(found) > maxAlternatives {
			return nil, errTooMany
		}
	}
	return found, nil
}

func (e *expander) sequence(subs []*syntax.Regexp) ([]string, error) {
	found := []string{""}
	for _, sub := range subs {
		next, err := e.expand(sub)
		if err != nil {
			return nil, err
		}
		if len(found)*len(next) > maxAlternatives {
			return nil, errTooMany
		}
		var longer []string
		for _, before := range found {
			for _, after := range next {
				longer = append(longer, before+after)
			}
		}
		found = longer
	}
	return found, nil
}
