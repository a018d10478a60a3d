// Package scope is the one grammar of permission that every door uses:
//
//	type ":" name ":" action *( "," action )
//
// as in the OCI token specification, for example
//
//	path:/pulp/content/prod/*:read
//	repository:library/*:pull,push
//	latchkey:tokens:read
//
// A rule allows a request when the types are equal, the name matches the
// rule's pattern and one of the actions is the request's. A pattern is
// anchored at both ends; "*" in it stands for any run of characters, "/"
// included. The action "*" stands for all actions, and the rule "*:*:*" allows
// everything. In rules for repositories "${account}" stands for the name of
// whoever they are granted to. Nothing else is special, and whatever cannot be
// read denies.
//
// The package knows no accounts, tokens or HTTP; path.go says how a URL's path
// becomes a name, and resource.go reads what a registry's clients ask for.
package scope

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds on what is read from outside.
const (
	MaxRuleLength = 1024 // bytes of one rule
	MaxRules      = 64   // rules of one token
)

// Types that have a fixed list of actions.
const (
	TypePath     = "path"     // a URL path at a door
	TypeLatchkey = "latchkey" // Latchkey's own API
)

// Actions of the types [TypePath] and [TypeLatchkey].
const (
	Read   = "read"
	Write  = "write"
	Delete = "delete"
)

const anything = "*"

// ErrSyntax says that a text is not a rule. Errors that wrap it say what is
// wrong with it, in words for the person who wrote the rule.
var ErrSyntax = errors.New("not a scope")

// Rule is one parsed scope rule. The zero Rule allows nothing.
type Rule struct {
	typ     string
	text    string // the name as written
	name    pattern
	actions []string // sorted, without repetition; {"*"} for all
}

// Request is what somebody wants to do, in the words of a rule.
type Request struct {
	Type   string
	Name   string
	Action string

	// Odd marks a name that has no single clean reading. Only a rule for every
	// name matches it.
	Odd bool
}

// String returns the request in the form of a rule, for messages.
func (q Request) String() string { return q.Type + ":" + q.Name + ":" + q.Action }

// Parse reads one rule. Errors wrap [ErrSyntax].
func Parse(s string) (Rule, error) {
	if len(s) > MaxRuleLength {
		return Rule{}, fmt.Errorf("%w: longer than %d bytes", ErrSyntax, MaxRuleLength)
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, forbidden) {
		return Rule{}, fmt.Errorf("%w: it holds spaces or characters that cannot be printed", ErrSyntax)
	}
	first, last := strings.IndexByte(s, ':'), strings.LastIndexByte(s, ':')
	if first < 0 || first == last {
		return Rule{}, fmt.Errorf("%w: %q is not of the form type:name:actions", ErrSyntax, s)
	}
	typ, err := parseType(s[:first])
	if err != nil {
		return Rule{}, err
	}
	actions, err := parseActions(typ, s[last+1:])
	if err != nil {
		return Rule{}, err
	}
	text := s[first+1 : last]
	name, err := parseName(typ, text)
	if err != nil {
		return Rule{}, err
	}
	if typ == anything && !(name.any() && actions[0] == anything) {
		return Rule{}, fmt.Errorf("%w: the type \"*\" is only known in \"*:*:*\"", ErrSyntax)
	}
	return Rule{typ: typ, text: text, name: name, actions: actions}, nil
}

// forbidden reports characters that may not stand in a rule: rules are listed
// with spaces between them and shown in headers.
func forbidden(r rune) bool {
	return r <= ' ' || r == 0x7f || r == '"' || r == '\\' || (r >= 0x80 && r < 0xa0) || r == '\u2028' || r == '\u2029'
}

// parseType reads a resource type. The class of "repository(plugin)" is
// deprecated and ignored, as the distribution specification says.
func parseType(s string) (string, error) {
	if s == anything {
		return s, nil
	}
	base, class, hasClass := strings.Cut(s, "(")
	if hasClass {
		class, closed := strings.CutSuffix(class, ")")
		if !closed || !lowerAlnum(class) {
			return "", fmt.Errorf("%w: %q is not a resource type", ErrSyntax, s)
		}
	}
	if !lowerAlnum(base) {
		return "", fmt.Errorf("%w: %q is not a resource type (lower-case letters and digits)", ErrSyntax, s)
	}
	return base, nil
}

func lowerAlnum(s string) bool {
	for i := range len(s) {
		if !isLowerAlnum(s[i]) {
			return false
		}
	}
	return s != ""
}

func parseActions(typ, s string) ([]string, error) {
	actions := strings.Split(s, ",")
	for _, a := range actions {
		switch {
		case a == anything:
		case !lowerAlnum(a):
			return nil, fmt.Errorf("%w: %q is not an action", ErrSyntax, a)
		case (typ == TypePath || typ == TypeLatchkey) && a != Read && a != Write && a != Delete:
			return nil, fmt.Errorf("%w: %q has no action %q (it has read, write, delete and *)", ErrSyntax, typ, a)
		}
	}
	if slices.Contains(actions, anything) {
		return []string{anything}, nil
	}
	slices.Sort(actions)
	return slices.Compact(actions), nil
}

func parseName(typ, s string) (pattern, error) {
	if s == "" {
		return pattern{}, fmt.Errorf("%w: the name is empty", ErrSyntax)
	}
	switch typ {
	case TypePath:
		return parsePath(s)
	case TypeRepository:
		return parseRepository(s)
	}
	return newPattern(strings.Split(s, anything)), nil
}

// String returns the rule in its canonical form, which [Parse] reads back.
func (r Rule) String() string {
	if r.typ == "" {
		return ""
	}
	return r.typ + ":" + r.text + ":" + strings.Join(r.actions, ",")
}

// Allows reports whether the rule alone allows the request.
func (r Rule) Allows(q Request) bool {
	if r.typ != q.Type && r.typ != anything {
		return false
	}
	if !r.acts(q.Action) {
		return false
	}
	return r.everywhere() || (!q.Odd && r.name.match(q.Name))
}

func (r Rule) acts(action string) bool {
	for _, a := range r.actions {
		if a == action || a == anything {
			return true
		}
	}
	return false
}

// everywhere reports whether the rule speaks of every name of its type.
// Every path begins with a slash, so "/*" is all of them.
func (r Rule) everywhere() bool {
	return r.name.any() || (r.typ == TypePath && r.name.flat == "/"+star)
}

// covers reports whether r allows everything that o allows, for one of o's
// actions.
func (r Rule) covers(o Rule, action string) bool {
	if r.typ == "" || (r.typ != o.typ && r.typ != anything) || !r.acts(action) {
		return false
	}
	return r.everywhere() || (!o.everywhere() && (r.name.covers(o.name) || r.variable() && r.text == o.text))
}
