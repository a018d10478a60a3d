package scope

import (
	"fmt"
	"strings"
)

// Exactly returns a rule that allows the request, and of its type no other name
// and no other action that has a name of its own. It reports false where no
// rule could be so: an odd name, or one that only a pattern with stars can
// spell.
func Exactly(q Request) (Rule, bool) {
	if q.Odd {
		return Rule{}, false
	}
	name, action := q.Name, q.Action
	if q.Type == TypePath {
		name = encoded(name)
		if action == otherAction {
			action = anything
		}
	} else if strings.Contains(name, anything) {
		return Rule{}, false
	}
	r, err := Parse(q.Type + ":" + name + ":" + action)
	if err != nil || !r.Allows(q) {
		return Rule{}, false
	}
	return r, true
}

// encoded percent-encodes what a rule cannot have as it is.
func encoded(name string) string {
	var b strings.Builder
	for _, r := range name {
		if r == '%' || r == '*' || forbidden(r) {
			for _, c := range []byte(string(r)) {
				fmt.Fprintf(&b, "%%%02X", c)
			}
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
