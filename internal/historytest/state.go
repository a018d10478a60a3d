package historytest

import (
	"slices"
	"time"
)

// slack is by how much the server's clock may run apart from the one that
// Began and Ended were read from.
const slack = 100 * time.Millisecond

// state is what a token is at one moment.
type state struct {
	issued, revoked bool
	newest          int   // its secret
	old             []old // secrets that were rotated away and may work still, by number
}

// old is a secret that lives on after a rotation. When it ends by the clock is
// known only to lie between two moments: the server reads its clock at one
// within the call.
type old struct {
	secret          int
	earliest, until time.Duration
	untilUsed       bool
}

func (s state) equal(t state) bool {
	return s.issued == t.issued && s.revoked == t.revoked && s.newest == t.newest && slices.Equal(s.old, t.old)
}

func (s state) live() bool { return s.issued && !s.revoked }

// after lists the states in which a token can be after a call; none where the
// answer cannot be.
func (s state) after(c Call) []any {
	var states []any
	add := func(possible bool, next state) {
		if possible {
			states = append(states, next)
		}
	}
	switch c.Outcome {
	case Lost:
		add(true, s)
		c.Outcome = Yes
		return append(states, s.after(c)...)
	case No:
		add(s.mayRefuse(c), s)
		return states
	case Yes:
	}
	switch c.Kind {
	case Issue:
		add(!s.issued, state{issued: true, newest: c.Secret})
	case Revoke:
		next := s
		next.revoked = true
		add(s.issued, next)
	case Show:
		add(s.live(), s)
	case Rotate:
		add(s.live(), s.rotated(c))
	case Check:
		add(s.mayOpen(c) && !s.surelyEnds(c), s)
		add(s.mayOpen(c) && s.mayEnd(c), state{issued: true, newest: s.newest})
	}
	return states
}

// mayRefuse reports whether the answer no can be right.
func (s state) mayRefuse(c Call) bool {
	if c.Kind == Issue || c.Kind == Revoke {
		return false // every history has a server that would do it
	}
	if c.Kind != Check || !s.live() {
		return !s.live()
	}
	if c.Secret == s.newest {
		return false
	}
	o, known := s.lookUp(c.Secret)
	return !known || c.Ended+slack >= o.earliest
}

// mayOpen reports whether a check can be answered yes.
func (s state) mayOpen(c Call) bool {
	if !s.live() || c.Secret == s.newest {
		return s.live()
	}
	o, known := s.lookUp(c.Secret)
	return known && c.Began-slack < o.until
}

// mayEnd and surelyEnds report whether the check is the first use of a new
// secret, with which the older ones end. A mark on one that has ended by the
// clock counts no more.
func (s state) mayEnd(c Call) bool {
	return c.Secret == s.newest && slices.ContainsFunc(s.old, func(o old) bool { return o.untilUsed && c.Began-slack < o.until })
}

func (s state) surelyEnds(c Call) bool {
	return c.Secret == s.newest && slices.ContainsFunc(s.old, func(o old) bool { return o.untilUsed && c.Ended+slack < o.earliest })
}

func (s state) lookUp(secret int) (old, bool) {
	for _, o := range s.old {
		if o.secret == secret {
			return o, true
		}
	}
	return old{}, false
}

// rotated returns the state after a rotation. A second one never lengthens the
// life of what the first left behind.
func (s state) rotated(c Call) state {
	next := state{issued: true, newest: c.Secret}
	if c.Overlap == 0 {
		return next
	}
	end := old{secret: s.newest, earliest: c.Began + c.Overlap, until: c.Ended + c.Overlap, untilUsed: c.UntilUsed}
	for _, o := range s.old {
		o.earliest, o.until = min(o.earliest, end.earliest), min(o.until, end.until)
		o.untilUsed = o.untilUsed || c.UntilUsed
		next.old = append(next.old, o)
	}
	next.old = append(next.old, end)
	slices.SortFunc(next.old, func(a, b old) int { return a.secret - b.secret })
	return next
}
