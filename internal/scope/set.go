package scope

import (
	"fmt"
	"slices"
	"strings"
)

// Set is a list of rules; it allows what any of them allows. The empty set
// allows nothing.
type Set []Rule

// ParseSet reads rules. It refuses more than [MaxRules]; errors wrap
// [ErrSyntax].
func ParseSet(rules []string) (Set, error) {
	if len(rules) > MaxRules {
		return nil, fmt.Errorf("%w: more than %d rules", ErrSyntax, MaxRules)
	}
	return parseAll(rules)
}

// ParseGrants reads the rules of an account's grants, of which there may be
// any number. Rules that cannot be read are left out, so they grant nothing;
// the error tells of the first of them.
func ParseGrants(rules []string) (Set, error) {
	set := make(Set, 0, len(rules))
	var first error
	for _, text := range rules {
		r, err := Parse(text)
		if err != nil {
			if first == nil {
				first = err
			}
			continue
		}
		set = append(set, r)
	}
	return set, first
}

func parseAll(rules []string) (Set, error) {
	set := make(Set, 0, len(rules))
	for _, text := range rules {
		r, err := Parse(text)
		if err != nil {
			return nil, err
		}
		set = append(set, r)
	}
	return set, nil
}

// Strings returns the rules in canonical form, in order.
func (s Set) Strings() []string {
	texts := make([]string, len(s))
	for i, r := range s {
		texts[i] = r.String()
	}
	return texts
}

// String returns the rules with a space between them, as headers carry them.
func (s Set) String() string { return strings.Join(s.Strings(), " ") }

// Allows reports whether a rule of the set allows the request.
func (s Set) Allows(q Request) bool { return s.first(q) >= 0 }

// Find returns the rule that makes [Set.Allows] say yes: the first of those
// that allow the request.
func (s Set) Find(q Request) (Rule, bool) {
	if i := s.first(q); i >= 0 {
		return s[i], true
	}
	return Rule{}, false
}

// first returns the index of the first rule that allows the request, or -1.
func (s Set) first(q Request) int {
	for i := range s {
		if s[i].Allows(q) {
			return i
		}
	}
	return -1
}

// Covers reports whether the set surely allows everything that o allows: for
// each rule and action of o there is one rule of s that covers it. It never
// says yes wrongly; it says no where only several rules together would do.
func (s Set) Covers(o Set) bool {
	for _, r := range o {
		for _, action := range r.actions {
			if s.coverer(r, action) < 0 {
				return false
			}
		}
	}
	return true
}

// coverer returns the index of the first rule that covers one of r's actions,
// or -1.
func (s Set) coverer(r Rule, action string) int {
	return slices.IndexFunc(s, func(c Rule) bool { return c.covers(r, action) })
}

// FindCover returns the rules that make [Set.Covers] say yes of r, each once,
// or else what is missing: r with those of its actions that no rule covers.
func (s Set) FindCover(r Rule) (by Set, missing Rule, ok bool) {
	missing = r
	missing.actions = nil
	used := map[int]bool{}
	for _, action := range r.actions {
		i := s.coverer(r, action)
		if i < 0 {
			missing.actions = append(missing.actions, action)
		} else if !used[i] {
			used[i] = true
			by = append(by, s[i])
		}
	}
	return by, missing, len(missing.actions) == 0
}

// Touches reports whether there may be a request that both the set and r
// allow. It never says no wrongly; it says yes where only names would do that
// are not clean paths.
func (s Set) Touches(r Rule) bool {
	return slices.ContainsFunc(s, func(o Rule) bool { return o.touches(r) })
}

func (r Rule) touches(o Rule) bool {
	if r.typ == "" || o.typ == "" || r.typ != o.typ && r.typ != anything && o.typ != anything {
		return false
	}
	if len(commonActions(r.actions, o.actions)) == 0 {
		return false
	}
	return r.everywhere() || o.everywhere() || r.variable() || o.variable() || r.name.overlaps(o.name)
}

// Intersect returns rules for what both sets allow. Where two patterns only
// overlap, without one covering the other, the overlap is left out: the result
// never says more than both.
func Intersect(a, b Set) Set {
	var both Set
	seen := map[string]bool{}
	for _, x := range a {
		for _, y := range b {
			r, ok := meet(x, y)
			if text := r.String(); ok && !seen[text] {
				seen[text] = true
				both = append(both, r)
			}
		}
	}
	return both.Minimal()
}

// Minimal leaves out rules that another rule of the set covers; of two
// that cover each other the first stays.
func (s Set) Minimal() Set {
	var kept Set
	for i, r := range s {
		covered := false
		for j, o := range s {
			if i != j && (Set{o}).Covers(Set{r}) && (j < i || !(Set{r}).Covers(Set{o})) {
				covered = true
				break
			}
		}
		if !covered {
			kept = append(kept, r)
		}
	}
	return kept
}

// meet returns the rule for what both x and y allow, if one covers the other's
// names.
func meet(x, y Rule) (Rule, bool) {
	narrow := x
	switch {
	case x.typ == anything:
		narrow = y
	case y.typ == anything:
	case x.typ != y.typ:
		return Rule{}, false
	case x.everywhere():
		narrow = y
	case y.everywhere():
	case x.name.covers(y.name):
		narrow = y
	case !y.name.covers(x.name):
		return Rule{}, false
	}
	narrow.actions = commonActions(x.actions, y.actions)
	return narrow, len(narrow.actions) > 0
}

func commonActions(a, b []string) []string {
	if a[0] == anything {
		return b
	}
	if b[0] == anything {
		return a
	}
	var both []string
	for _, action := range a {
		if slices.Contains(b, action) {
			both = append(both, action)
		}
	}
	return both
}
