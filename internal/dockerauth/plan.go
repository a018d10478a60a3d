package dockerauth

import (
	"fmt"
	"slices"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/scope"
)

// verdict is what an entry comes to for a holder.
type verdict struct {
	grants   []string // what it gives
	harmless []string // what it says, too, but an earlier one gave already
	hidden   []string // numbers of earlier entries that leave it nothing to say
	problem  string   // why it gives less than it says
}

// verdicts goes through the list as docker_auth would, for all requests of a
// holder at once.
func (f *file) verdicts(h holder, widen bool) map[int]verdict {
	type placed struct {
		part
		entry entry
	}
	var before []placed
	found := map[int]verdict{}
	for _, e := range f.entries {
		if !e.about(h) {
			continue
		}
		var v verdict
		parts, problem := e.parts(h, widen)
		v.problem = problem
		open := false
		for _, p := range parts {
			if len(p.actions) == 0 {
				continue
			}
			allowed, reached := p.actions, true
			for _, b := range before {
				switch {
				case b.exact && b.shape.Covers(p.shape):
					reached = false
					v.hidden = append(v.hidden, fmt.Sprint(b.entry.number))
					if subset(p.actions, b.actions) {
						v.harmless = append(v.harmless, p.grant(p.actions, h))
					}
				case p.shape.Touches(b.shape[0]) && !subset(allowed, b.actions):
					allowed = common(allowed, b.actions)
					v.problem = fmt.Sprintf("entry %d (line %d) comes first and allows less of the same, and a grant cannot take anything away", b.entry.number, b.entry.line)
				}
				if !reached {
					break
				}
			}
			open = open || reached
			if h.anonymous && reached {
				allowed = v.public(p, allowed)
			}
			if !reached || problem != "" || len(allowed) == 0 {
				continue
			}
			if _, err := scope.Parse(p.rule + ":" + strings.Join(allowed, ",")); err != nil {
				v.problem = "its actions cannot stand in a grant"
				continue
			}
			v.grants = append(v.grants, p.grant(allowed, h))
		}
		if !open {
			v.problem = "" // it is never asked
		}
		for _, p := range parts {
			before = append(before, placed{p, e})
		}
		found[e.number] = v
	}
	return found
}

// public is what of some actions nobody in particular can be given.
func (v *verdict) public(p part, actions []string) []string {
	var pull []string
	if p.rule != "registry:catalog" {
		pull = common(actions, []string{"pull"})
	}
	if !subset(actions, pull) && v.problem == "" {
		v.problem = "those who are not logged in can be given no more than to pull"
	}
	return pull
}

// grant writes the part as a grant. Of somebody in a group it has the variable
// in place of the name.
func (p part) grant(actions []string, h holder) string {
	actions = slices.Sorted(slices.Values(actions))
	text := p.rule + ":" + strings.Join(slices.Compact(actions), ",")
	if h.generic {
		text = strings.ReplaceAll(text, somebody, accountVariable)
	}
	return text
}

func subset(a, b []string) bool {
	if slices.Contains(b, "*") {
		return true
	}
	return !slices.ContainsFunc(a, func(action string) bool { return !slices.Contains(b, action) })
}

func common(a, b []string) []string {
	switch {
	case slices.Contains(a, "*"):
		return b
	case slices.Contains(b, "*"):
		return a
	}
	return slices.DeleteFunc(slices.Clone(a), func(action string) bool { return !slices.Contains(b, action) })
}

// plan puts together what there is to make.
func (f *file) plan(o Options) Plan {
	var p Plan
	holders := []holder{}
	anonymous := false
	for _, u := range f.users {
		switch {
		case u.name == "" && u.open:
			anonymous = true
			f.note(u.line, userTitle(""), Taken, "people who are not logged in get what the group anonymous is granted")
		case u.name == "":
			f.note(u.line, userTitle(""), Left, "a user needs a name")
		case u.open:
			f.note(u.line, userTitle(u.name), Left, "it has no password, so that anybody could log in as it")
		default:
			if o.Usable != nil {
				if err := o.Usable(u.name, u.hash); err != nil {
					f.note(u.line, userTitle(u.name), Left, "%v", err)
					continue
				}
			}
			f.note(u.line, userTitle(u.name), Taken, "with its password")
			holders = append(holders, holder{name: u.name, labels: u.labels})
			p.Users = append(p.Users, User{Name: u.name, Hash: u.hash, Line: u.line})
		}
	}
	s := &sum{file: f, plan: &p, widen: o.Widen}
	s.named(holders)
	if anonymous {
		s.add(holder{anonymous: true})
	}
	s.tell()
	p.Notes = f.notes
	slices.SortStableFunc(p.Notes, func(a, b Note) int { return a.Line - b.Line })
	return p
}

// sum collects what the entries come to for all holders.
type sum struct {
	file  *file
	plan  *Plan
	widen bool
	said  map[int]map[string][]string // by entry: what became of it, and for whom
	given map[int]map[string]bool     // by entry: which grants, and of whom
	short map[int]bool                // entries that give less than they say
	about map[int]bool                // entries that speak of anybody
}

// named finds the grants of those who have a name: of the group of all where it
// comes to the same for each of them, and of themselves where not.
func (s *sum) named(holders []holder) {
	s.said, s.given, s.short, s.about = map[int]map[string][]string{}, map[int]map[string]bool{}, map[int]bool{}, map[int]bool{}
	all := make([]map[int]verdict, len(holders))
	for i, h := range holders {
		all[i] = s.file.verdicts(h, s.widen)
	}
	generic := s.file.verdicts(holder{name: somebody, generic: true}, s.widen)
	shared := map[int][]string{}
	for _, e := range s.file.entries {
		for _, grant := range generic[e.number].grants {
			same := true
			for i, h := range holders {
				own := strings.ReplaceAll(grant, accountVariable, h.name)
				v := all[i][e.number]
				same = same && (slices.Contains(v.grants, own) || slices.Contains(v.harmless, own))
			}
			if same && len(holders) > 0 {
				shared[e.number] = append(shared[e.number], grant)
				s.plan.Group = append(s.plan.Group, grant)
				s.give(e.number, grant, "everybody in the group")
			}
		}
	}
	for i, h := range holders {
		var own []string
		for _, e := range s.file.entries {
			v, found := all[i][e.number]
			if !found {
				continue
			}
			for _, grant := range v.grants {
				if slices.ContainsFunc(shared[e.number], func(g string) bool { return strings.ReplaceAll(g, accountVariable, h.name) == grant }) {
					continue
				}
				own = append(own, grant)
				s.give(e.number, grant, h.name)
			}
			s.judge(e, v, h.name)
		}
		s.plan.Users[i].Grants = minimal(own)
	}
	s.plan.Group = minimal(s.plan.Group)
}

// add finds the grants of those who are not logged in.
func (s *sum) add(h holder) {
	found := s.file.verdicts(h, s.widen)
	for _, e := range s.file.entries {
		v, about := found[e.number]
		if !about {
			continue
		}
		for _, grant := range v.grants {
			s.plan.Anonymous = append(s.plan.Anonymous, grant)
			s.give(e.number, grant, "the group anonymous")
		}
		s.judge(e, v, "those who are not logged in")
	}
	s.plan.Anonymous = minimal(s.plan.Anonymous)
}

func (s *sum) give(entry int, grant, whom string) {
	s.say(entry, "gives "+grant+" to "+whomPlace, whom)
	if s.given[entry] == nil {
		s.given[entry] = map[string]bool{}
	}
	s.given[entry][grant] = true
}

func (s *sum) judge(e entry, v verdict, whom string) {
	s.about[e.number] = true
	switch {
	case v.problem != "":
		s.short[e.number] = true
		s.say(e.number, "not for "+whomPlace+": "+v.problem, whom)
	case len(v.grants) == 0 && len(v.hidden) > 0 && len(e.actions) > 0:
		s.say(e.number, "never asked for "+whomPlace+", as entry "+v.hidden[0]+" comes first", whom)
	}
}

// whomPlace stands in what is said for those whom it is about.
const whomPlace = "\x00"

func (s *sum) say(entry int, what, whom string) {
	if s.said[entry] == nil {
		s.said[entry] = map[string][]string{}
	}
	s.said[entry][what] = append(s.said[entry][what], whom)
}

// maxNamed is how many people a note names.
const maxNamed = 3

// tell notes what became of each entry.
func (s *sum) tell() {
	for _, e := range s.file.entries {
		title := fmt.Sprintf("entry %d", e.number)
		outcome := Taken
		switch {
		case s.short[e.number] && len(s.given[e.number]) > 0:
			outcome = Partly
		case s.short[e.number]:
			outcome = Left
		}
		switch {
		case !s.about[e.number]:
			s.file.note(e.line, title, Left, "it speaks of nobody who is taken over")
			continue
		case len(e.actions) == 0:
			s.file.note(e.line, title, Taken, "it allows nothing, and narrows the entries below it")
			continue
		}
		var lines []string
		for what, whom := range s.said[e.number] {
			names := strings.Join(whom[:min(len(whom), maxNamed)], ", ")
			if len(whom) > maxNamed {
				names += fmt.Sprintf(" and %d more", len(whom)-maxNamed)
			}
			lines = append(lines, strings.Replace(what, whomPlace, names, 1))
		}
		slices.Sort(lines)
		if len(lines) == 0 {
			lines = []string{"it gives nothing that could be asked for"}
		}
		s.file.note(e.line, title, outcome, "%s", strings.Join(lines, "; "))
	}
}

// minimal leaves out grants that others of the same holder cover.
func minimal(grants []string) []string {
	if len(grants) == 0 {
		return nil
	}
	set, err := scope.ParseGrants(grants)
	if err != nil { // they were made of rules that could be read
		return slices.Compact(slices.Sorted(slices.Values(grants)))
	}
	return set.Minimal().Strings()
}
