package tokens

import (
	"context"
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// Query selects tokens: by what a store can tell, and by what only the core
// can. All fields that are set must fit; zero fields do not restrict.
type Query struct {
	store.TokenQuery

	// LastAddr is the network that a token was last used from. A token that was
	// never used does not fit.
	LastAddr netip.Prefix

	// Touching are rules of which a token's own scope, or its owner's grants if
	// it has none, must allow at least a part.
	Touching scope.Set
}

// Page is a part of a list of tokens.
type Page struct {
	Tokens []store.Token

	// Next is where the list goes on, the zero position at its end. A page that
	// is not full, or empty, need not be the last one.
	Next store.Position
}

const (
	rowsAtOnce = 500    // that are read of a list whose rows do not all fit
	mostRows   = 20_000 // that are read for one page
)

// List returns tokens, newest first. An empty account in the query means
// everybody's and needs the right to read them all.
func (s *Service) List(ctx context.Context, caller *identity.Identity, q Query) (Page, error) {
	if err := need(caller, q.AccountID, scope.Read); err != nil {
		return Page{}, s.refused(ctx, caller, "token.list", q.AccountID, err)
	}
	if err := store.CheckLimit(q.Limit); err != nil {
		return Page{}, fault.FromStore(err)
	}
	var page Page
	w := s.walk(q, q.Limit)
	for w.rows < mostRows {
		more, err := w.next(ctx, func(t store.Token) bool {
			page.Tokens = append(page.Tokens, t)
			return len(page.Tokens) < q.Limit
		})
		if err != nil {
			return Page{}, err
		}
		if !more {
			break
		}
	}
	page.Next = w.rest()
	return page, nil
}

// walk is a way through all tokens that a query selects, newest first, a few
// rows at a time.
type walk struct {
	s     *Service
	q     Query
	rows  int // that were read
	ended bool
	known map[string]*holder // of tokens without a scope of their own
}

// walk begins a walk for somebody who wants so many tokens.
func (s *Service) walk(q Query, want int) *walk {
	q.Now = s.now()
	q.Limit = want
	if q.LastAddr.IsValid() || len(q.Touching) > 0 {
		q.Limit = max(want, rowsAtOnce)
	}
	return &walk{s: s, q: q}
}

// next reads some rows and shows those that fit, until visit wants no more. It
// reports whether there may be more and they are wanted.
func (w *walk) next(ctx context.Context, visit func(store.Token) bool) (bool, error) {
	list, err := w.s.store.Tokens(ctx, w.q.TokenQuery)
	if err != nil {
		return false, fault.FromStore(err)
	}
	w.known = map[string]*holder{}
	for _, t := range list {
		w.rows++
		w.q.After = positionOf(t)
		t = w.s.withLatestUse(t)
		fits, err := w.fits(ctx, t)
		if err != nil {
			return false, err
		}
		if fits && !visit(t) {
			return false, nil
		}
	}
	w.ended = len(list) < w.q.Limit
	return !w.ended, nil
}

func positionOf(t store.Token) store.Position {
	return store.Position{At: t.CreatedAt, ID: t.ID}
}

// rest is where to go on, the zero position at the end.
func (w *walk) rest() store.Position {
	if w.ended {
		return store.Position{}
	}
	return w.q.After
}

// fits judges what a store cannot, and again what it knows less well than this
// node: the last use.
func (w *walk) fits(ctx context.Context, t store.Token) (bool, error) {
	used := t.LastUse
	switch {
	case w.q.NeverUsed && !used.At.IsZero():
		return false, nil
	case !w.q.UnusedSince.IsZero() && !used.At.IsZero() && !used.At.Before(w.q.UnusedSince):
		return false, nil
	case w.q.LastAddr.IsValid() && !contained(used.Addr, []netip.Prefix{w.q.LastAddr}):
		return false, nil
	case len(w.q.Touching) == 0:
		return true, nil
	}
	reach, err := w.reach(ctx, t)
	if err != nil {
		return false, err
	}
	for _, rule := range w.q.Touching {
		if reach.Touches(rule) {
			return true, nil
		}
	}
	return false, nil
}

// reach returns what a token may do at most: its own scope, or all that its
// owner has.
func (w *walk) reach(ctx context.Context, t store.Token) (scope.Set, error) {
	if len(t.Scope) > 0 {
		own, _ := scope.ParseSet(t.Scope) // what cannot be read opens nothing
		return own, nil
	}
	h := w.known[t.AccountID]
	if h == nil {
		var err error
		h, err = w.s.holder(ctx, t.AccountID)
		var gone *Refusal
		if errors.As(err, &gone) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		w.known[t.AccountID] = h
	}
	return h.grants, nil
}

// restricts reports whether the query leaves anything out but by account and
// state.
func (q Query) restricts() bool {
	everybody := q.Group == "" || q.Group == store.GroupEveryone
	return q.Class != "" || q.NamePrefix != "" || q.Prefix != "" || q.Label[0] != "" || !q.UnusedSince.IsZero() || q.NeverUsed ||
		!everybody || !q.CreatedSince.IsZero() || !q.CreatedBefore.IsZero() || q.LastAddr.IsValid() || len(q.Touching) > 0
}

// String returns the query for the audit log. Of a prefix it has no more than
// what is shown of every token, since somebody may have given a whole secret.
func (q Query) String() string {
	var parts []string
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, name+"="+audit.Clip(value))
		}
	}
	at := func(name string, t time.Time) {
		if !t.IsZero() {
			add(name, t.UTC().Format(time.RFC3339Nano))
		}
	}
	add("account", q.AccountID)
	add("group", q.Group)
	add("class", q.Class)
	add("name", q.NamePrefix)
	add("prefix", q.Prefix[:min(len(q.Prefix), shownLength)])
	if q.Label[0] != "" {
		add("label", q.Label[0]+"="+q.Label[1])
	}
	at("created_since", q.CreatedSince)
	at("created_before", q.CreatedBefore)
	at("unused_since", q.UnusedSince)
	if q.NeverUsed {
		add("never_used", strconv.FormatBool(true))
	}
	if q.LastAddr.IsValid() {
		add("last_addr", q.LastAddr.String())
	}
	add("scope", q.Touching.String())
	return strings.Join(parts, " ")
}
