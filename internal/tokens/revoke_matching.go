package tokens

import (
	"context"
	"strconv"
	"time"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/store"
)

const (
	revokeAtOnce = 100              // tokens in one transaction: others wait for it
	revokeFor    = 20 * time.Second // how long one call goes on
	sampleSize   = 10
)

// Matching is what a query would end.
type Matching struct {
	Count  int
	Sample []store.Token // the newest ten
}

// RevokeMatching says which tokens to end, and how many the caller believes
// that there are, so that a query that was mistyped ends nothing.
type RevokeMatching struct {
	Query  Query
	Reason string

	Expect *int // that many match, no more and no less
	AtMost *int // no more match
}

// RevokedMatching is what became of a [RevokeMatching].
type RevokedMatching struct {
	Matched int // when it began
	Revoked int

	// Complete says that all that matched have ended. If not, the time was too
	// short, or there were more in the end than was agreed to: the same call
	// goes on with what is left.
	Complete bool
}

// Matching counts the live tokens that a query selects. The state in the query
// is not looked at. It needs the right to read them and to end them.
func (s *Service) Matching(ctx context.Context, caller *identity.Identity, q Query) (Matching, error) {
	m, _, err := s.matching(ctx, caller, q, -1)
	if err != nil {
		return Matching{}, s.refused(ctx, caller, "token.revoke_matching", q.AccountID, err)
	}
	return m, nil
}

// RevokeMatching ends the live tokens that a query selects, in small
// transactions, newest first; the caller's own token comes last. Each is
// refused everywhere as after [Service.Revoke]. What was issued after the call
// began is left alone.
func (s *Service) RevokeMatching(ctx context.Context, caller *identity.Identity, r RevokeMatching) (RevokedMatching, error) {
	done, err := s.revokeMatching(ctx, caller, r)
	if err != nil {
		return done, s.refused(ctx, caller, "token.revoke_matching", r.Query.AccountID, err)
	}
	return done, nil
}

// checkPrefix refuses a prefix that is longer than what is kept of a secret: it
// could be a whole one, and databases log what they are asked.
func checkPrefix(q Query) error {
	if len(q.Prefix) > shownLength {
		return fault.Invalidf("prefix", "must be at most the %d characters that lists show", shownLength)
	}
	return nil
}

func (s *Service) revokeMatching(ctx context.Context, caller *identity.Identity, r RevokeMatching) (RevokedMatching, error) {
	if !audit.Printable(r.Reason) || len(r.Reason) > maxLabelText {
		return RevokedMatching{}, fault.Invalidf("reason", "must be at most %d bytes that can be printed, and no token", maxLabelText)
	}
	if err := checkPrefix(r.Query); err != nil {
		return RevokedMatching{}, err
	}
	most, err := r.most()
	if err != nil {
		return RevokedMatching{}, err
	}
	found, first, err := s.matching(ctx, caller, r.Query, most)
	if err != nil {
		return RevokedMatching{}, err
	}
	switch {
	case found.Count > most:
		return RevokedMatching{}, fault.Conflictf("more than %d tokens match: nothing was ended, look at what matches once more", most)
	case r.Expect != nil && found.Count < *r.Expect:
		return RevokedMatching{}, fault.Conflictf("%d tokens match, not %d: nothing was ended, look at what matches once more", found.Count, *r.Expect)
	}
	b := &bulk{s: s, caller: caller, request: r, now: s.now().UTC(), ends: time.Now().Add(revokeFor), left: most}
	b.done.Matched = found.Count
	if err := b.run(ctx, first); err != nil {
		if fault.Is(err, fault.Unavailable) && b.done.Revoked > 0 {
			err = fault.Unavailablef(err, "the database does not answer; %d tokens were ended before", b.done.Revoked)
		}
		return b.done, err
	}
	return b.done, nil
}

// most returns how many tokens may match.
func (r RevokeMatching) most() (int, error) {
	switch {
	case r.Expect == nil && r.AtMost == nil:
		return 0, fault.Invalidf("expect", "is needed: how many tokens a dry run found; or at_most")
	case r.Expect != nil && *r.Expect < 0:
		return 0, fault.Invalidf("expect", "is negative")
	case r.AtMost != nil && *r.AtMost < 0:
		return 0, fault.Invalidf("at_most", "is negative")
	case r.Expect == nil:
		return *r.AtMost, nil
	case r.AtMost == nil:
		return *r.Expect, nil
	}
	return min(*r.Expect, *r.AtMost), nil
}

// matching counts what a query selects, up to one more than most if that is
// not negative, and returns the first of them too.
func (s *Service) matching(ctx context.Context, caller *identity.Identity, q Query, most int) (m Matching, first store.Position, err error) {
	if err := checkPrefix(q); err != nil {
		return Matching{}, store.Position{}, err
	}
	for _, verb := range []string{scope.Read, scope.Delete} {
		if err := need(caller, q.AccountID, verb); err != nil {
			return Matching{}, first, err
		}
	}
	if q.AccountID == "" && !q.restricts() {
		return Matching{}, first, fault.Invalidf("query", "selects every token of everybody: say which")
	}
	ends := time.Now().Add(revokeFor)
	q.State = store.TokenLive
	w := s.walk(q, rowsAtOnce)
	for more := true; more; {
		more, err = w.next(ctx, func(t store.Token) bool {
			if m.Count == 0 {
				first = positionOf(t)
			}
			if len(m.Sample) < sampleSize {
				m.Sample = append(m.Sample, t)
			}
			m.Count++
			return most < 0 || m.Count <= most
		})
		if err != nil {
			return Matching{}, first, err
		}
		if more && time.Now().After(ends) {
			return Matching{}, first, fault.Limitf("there are too many tokens to look through: narrow the query by owner, class or age")
		}
	}
	return m, first, nil
}

// bulk is one [RevokeMatching] on its way.
type bulk struct {
	s       *Service
	caller  *identity.Identity
	request RevokeMatching
	now     time.Time
	ends    time.Time // of what a call may take, by the monotonic clock
	left    int       // how many may still be ended
	over    bool      // more than that match
	own     *store.Token
	done    RevokedMatching
}

// run ends what matches from the first position on.
func (b *bulk) run(ctx context.Context, first store.Position) error {
	if b.done.Matched == 0 {
		e := b.event(ctx, 0)
		b.s.audit.Record(e)
		b.done.Complete = true
		return nil
	}
	q := b.request.Query
	q.State = store.TokenLive
	// No id is the beginning of another one, so this is just before the first.
	q.After = store.Position{At: first.At, ID: first.ID + "!"}
	w := b.s.walk(q, revokeAtOnce)
	for more := true; more; {
		var batch []store.Token
		var err error
		more, err = w.next(ctx, func(t store.Token) bool {
			if b.left == 0 {
				b.over = true
				return false
			}
			b.left--
			if t.ID == b.caller.TokenID {
				b.own = &t
			} else {
				batch = append(batch, t)
			}
			return true
		})
		if err != nil {
			return err
		}
		if err := b.end(ctx, batch); err != nil {
			return err
		}
		if more && time.Now().After(b.ends) {
			return nil
		}
	}
	if b.own != nil {
		if err := b.end(ctx, []store.Token{*b.own}); err != nil {
			return err
		}
	}
	b.done.Complete = !b.over
	return nil
}

// end revokes some tokens in transactions of a bounded size.
func (b *bulk) end(ctx context.Context, list []store.Token) error {
	for len(list) > 0 {
		n := min(len(list), revokeAtOnce)
		revoked, err := b.endBatch(ctx, list[:n])
		if err != nil {
			return fault.FromStore(err)
		}
		b.done.Revoked += revoked
		list = list[n:]
	}
	return nil
}

func (b *bulk) endBatch(ctx context.Context, list []store.Token) (int, error) {
	ids := make([]string, len(list))
	byID := map[string]store.Token{}
	for i, t := range list {
		ids[i], byID[t.ID] = t.ID, t
	}
	var changes []store.Change
	var revoked []string
	err := b.s.store.Update(ctx, func(tx store.Tx) error {
		var err error
		revoked, err = tx.RevokeEach(ids, b.now, b.caller.AccountID, b.request.Reason)
		if err != nil {
			return err
		}
		changes = b.changes(revoked, byID)
		if len(revoked) == 0 {
			return nil // others were quicker
		}
		for _, id := range revoked {
			e := audit.Event(ctx, b.now, b.caller, "token.revoke", audit.OK)
			e.Target, e.Detail = id, map[string]string{"reason": b.request.Reason, "by": "query"}
			if err := tx.AppendEvent(e); err != nil {
				return err
			}
		}
		if err := tx.AppendEvent(b.event(ctx, len(revoked))); err != nil {
			return err
		}
		for _, c := range changes {
			if _, err := tx.AppendChange(c); err != nil {
				return err
			}
		}
		return nil
	})
	for _, c := range changes {
		b.s.Apply(c)
	}
	if err != nil {
		return len(revoked), err
	}
	for _, id := range revoked {
		b.s.counts.token(revokedOne, byID[id].Class, 1)
	}
	return len(revoked), nil
}

// changes says what readers must load again: a token, or, where several of an
// account's have ended, the account.
func (b *bulk) changes(revoked []string, byID map[string]store.Token) []store.Change {
	perAccount := map[string]int{}
	for _, id := range revoked {
		perAccount[byID[id].AccountID]++
	}
	var changes []store.Change
	for _, id := range revoked {
		account := byID[id].AccountID
		switch n := perAccount[account]; {
		case n == 1:
			changes = append(changes, store.Change{At: b.now, Kind: store.ChangeToken, TokenID: id})
		case n > 1:
			changes = append(changes, store.Change{At: b.now, Kind: store.ChangeAccount, AccountID: account})
		}
		if perAccount[account] > 1 {
			perAccount[account] = 0 // said once
		}
	}
	return changes
}

// event is what the audit log has about the whole, once for each transaction.
func (b *bulk) event(ctx context.Context, revoked int) store.Event {
	e := audit.Event(ctx, b.now, b.caller, "token.revoke_matching", audit.OK)
	e.Target = b.request.Query.AccountID
	e.Detail = map[string]string{
		"query": b.request.Query.String(), "reason": b.request.Reason,
		"matched": strconv.Itoa(b.done.Matched), "revoked": strconv.Itoa(revoked),
	}
	return e
}
