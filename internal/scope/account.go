package scope

import (
	"fmt"
	"strings"
)

// AccountVariable stands, in the name of a rule for repositories, for the name
// of whoever the rule is granted to: "repository:${account}/*:pull,push" gives
// each member of a group a place of their own.
const AccountVariable = "${account}"

// parseRepository reads the pattern of a rule for repositories. What looks like
// a variable and is none would silently match nothing.
func parseRepository(s string) (pattern, error) {
	if strings.ContainsAny(strings.ReplaceAll(s, AccountVariable, ""), "${}") {
		return pattern{}, fmt.Errorf("%w: %q has a variable other than %s", ErrSyntax, s, AccountVariable)
	}
	p := newPattern(strings.Split(s, anything))
	// Nobody's rule covers one with the variable unless it covers any name there.
	p.flat = strings.ReplaceAll(p.flat, AccountVariable, star)
	return p, nil
}

// variable reports whether the rule has the variable in it.
func (r Rule) variable() bool {
	return r.typ == TypeRepository && strings.Contains(r.text, AccountVariable)
}

// For returns the rules as they are for the account of this name: with the name
// in the place of [AccountVariable]. A name that cannot be a part of a
// repository's name has no such place, so those rules are left out, as they are
// for "", which is nobody. Rules without the variable stay as they are.
func (s Set) For(account string) Set {
	first := -1
	for i, r := range s {
		if r.variable() {
			first = i
			break
		}
	}
	if first < 0 {
		return s
	}
	named := append(Set{}, s[:first]...)
	for _, r := range s[first:] {
		if r.variable() {
			if !isComponent(account) {
				continue
			}
			text := strings.ReplaceAll(r.text, AccountVariable, account)
			p, err := parseRepository(text)
			if err != nil {
				continue
			}
			r.text, r.name = text, p
		}
		named = append(named, r)
	}
	return named
}
