package dockerauth

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/scope"
)

// entry is one of the list, which docker_auth goes through in order.
type entry struct {
	number  int // from 1
	line    int
	account *string
	typ     *string
	name    *string
	labels  map[string]string
	others  []string // further conditions, by name: what grants cannot say
	actions []string
}

// accountVariable stands in a grant for the name of its holder.
const accountVariable = "${account}"

// somebody is the name in whose place a grant has the variable for its holder's.
const somebody = "zq0anybody0qz"

// holder is somebody whose requests the list decides.
type holder struct {
	name      string
	labels    map[string][]string
	anonymous bool
	generic   bool // stands for everybody with a name; only entries about all of them count
}

// part is something that an entry speaks of.
type part struct {
	rule    string    // without its actions: "repository:prod/*" or "registry:catalog"
	shape   scope.Set // the rule with all actions, to compare by
	exact   bool      // the entry matches all of it and nothing else
	actions []string  // that it allows
}

// parts returns what the entry speaks of to a holder. An entry that cannot be
// translated is taken to speak of everything, as it may stand in the way of
// others; problem says why it is none that allows anything.
func (e entry) parts(h holder, widen bool) (found []part, problem string) {
	vars := e.variables(h)
	if len(e.others) > 0 {
		problem = fmt.Sprintf("it depends on %s, which grants do not", strings.Join(e.others, " and "))
	}
	for _, p := range []*string{e.account, e.typ} {
		if p != nil && problem == "" {
			if _, ok := filled(*p, vars, h.labels); !ok {
				problem = errTooMany.Error()
			}
		}
	}
	if e.typ == nil || e.anyMatch(*e.typ, "repository", vars, h.labels) {
		repositories, why := e.repositories(h, vars, widen)
		if problem == "" {
			problem = why
		}
		found = append(found, repositories...)
	}
	if (e.typ == nil || e.anyMatch(*e.typ, "registry", vars, h.labels)) && (e.name == nil || e.anyMatch(*e.name, "catalog", vars, h.labels)) {
		var actions []string
		if slices.Contains(e.actions, "*") {
			actions = []string{"*"}
		}
		found = append(found, newPart("registry:catalog", len(e.others) == 0, actions))
	}
	if problem != "" {
		for i := range found {
			found[i].exact = false
		}
	}
	return found, problem
}

// repositories returns the patterns of names of the entry.
func (e entry) repositories(h holder, vars []string, widen bool) (found []part, problem string) {
	everything := []part{newPart("repository:*", false, e.repositoryActions())}
	if e.name == nil {
		everything[0].exact = len(e.others) == 0
		return everything, ""
	}
	all, ok := filled(*e.name, vars, h.labels)
	if !ok {
		return everything, errTooMany.Error()
	}
	for _, text := range all {
		switch {
		case strings.Contains(text, "${labels:"), strings.Contains(text, "${account:"):
			continue // docker_auth leaves it as it is, and no name is like that
		case strings.Contains(text, "${"):
			return everything, "grants have no variable but " + accountVariable
		}
		n, err := translate(text)
		if err != nil {
			return everything, err.Error()
		}
		if !n.exact && !widen && problem == "" {
			problem = fmt.Sprintf("a grant could only say more than %s, which --widen takes", *e.name)
			if !isRegexp(text) {
				problem = fmt.Sprintf("wildcards as in %s stop at a slash and those of grants do not, which --widen takes", *e.name)
			}
		}
		for _, t := range n.texts {
			if t == "" || strings.HasPrefix(t, "/") || strings.HasSuffix(t, "/") {
				continue // no name is like that
			}
			p := newPart("repository:"+t, n.exact && len(e.others) == 0, e.repositoryActions())
			if p.shape == nil {
				return everything, fmt.Sprintf("%q cannot stand in a grant", t)
			}
			found = append(found, p)
		}
	}
	return found, problem
}

// repositoryActions are those that count for repositories. A * beside others is
// one that only a client asks for that wants everything.
func (e entry) repositoryActions() []string {
	if len(e.actions) == 1 && e.actions[0] == "*" {
		return e.actions
	}
	return slices.DeleteFunc(slices.Clone(e.actions), func(a string) bool { return a == "*" })
}

// newPart makes a part; one that cannot stand in a grant is without a shape.
func newPart(rule string, exact bool, actions []string) part {
	p := part{rule: rule, exact: exact, actions: actions}
	if r, err := scope.Parse(rule + ":*"); err == nil {
		p.shape = scope.Set{r}
	}
	return p
}

// about reports whether the entry speaks of a holder at all.
func (e entry) about(h holder) bool {
	if h.generic {
		return len(e.labels) == 0 && (e.account == nil || everybody(*e.account))
	}
	vars := e.variables(h)
	if e.account != nil && !e.anyMatch(*e.account, h.name, vars, h.labels) {
		return false
	}
	for label, p := range e.labels {
		if !slices.ContainsFunc(h.labels[label], func(v string) bool { return matches(strings.NewReplacer(vars...).Replace(p), v) }) {
			return false
		}
	}
	return true
}

// everybody reports whether a pattern of accounts matches everybody whose name
// can be one here.
func everybody(p string) bool {
	return slices.Contains([]string{"*", "?*", "/.+/", "/.*/", "/./", "/^.+$/", "/^.*$/", "/^.+/", "/^.*/"}, p)
}

// captured finds variables that stand for a part of what another pattern
// matched: ${account:1}.
var captured = regexp.MustCompile(`\$\{account:([0-9]+)\}`)

// variables are what docker_auth puts into patterns before it matches them, as
// far as it is known beforehand (authz/acl.go, MatchConditions.Matches).
func (e entry) variables(h holder) []string {
	vars := []string{"${account}", regexp.QuoteMeta(h.name), "${type}", "repository"}
	if e.account == nil || !isRegexp(*e.account) || e.name == nil {
		return vars
	}
	re, err := regexp.Compile((*e.account)[1 : len(*e.account)-1])
	if err != nil {
		return vars
	}
	groups := re.FindStringSubmatch(h.name)
	for _, found := range captured.FindAllStringSubmatch(*e.name, -1) {
		if i, err := strconv.Atoi(found[1]); err == nil && i > 0 && i < len(groups) {
			vars = append(vars, found[0], groups[i])
		}
	}
	return vars
}

func (e entry) anyMatch(p, text string, vars []string, labels map[string][]string) bool {
	all, ok := filled(p, vars, labels)
	return !ok || slices.ContainsFunc(all, func(one string) bool { return matches(one, text) })
}

// filled returns a pattern with its variables replaced. One with labels stands
// for one with each of their values; ok is false where those are too many.
func filled(p string, vars []string, labels map[string][]string) (all []string, ok bool) {
	all = []string{strings.NewReplacer(vars...).Replace(p)}
	for label, values := range labels {
		variable := "${labels:" + label + "}"
		if !strings.Contains(p, variable) {
			continue
		}
		var more []string
		for _, text := range all {
			for _, v := range values {
				more = append(more, strings.ReplaceAll(text, variable, v))
			}
			if len(more) > maxAlternatives {
				return nil, false
			}
		}
		all = more
	}
	slices.Sort(all)
	return all, true
}
