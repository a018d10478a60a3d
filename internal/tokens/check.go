package tokens

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// Presented is a token as a request carries it.
type Presented struct {
	Token secret.Text
	Addr  netip.Addr // who sent it, without an IPv6 zone
	Agent string
}

// Check tells whom a presented token stands for. The error is a [*Refusal]
// when the token does not count, and a fault of kind Unavailable when that
// cannot be known now; it is never nil together with a nil identity.
//
// A token that is in the cache costs a hash and a map look-up. What was never
// a token of this server costs a hash.
func (s *Service) Check(ctx context.Context, p Presented) (*identity.Identity, error) {
	var room [2]digest
	candidates := digests(room[:0], p.Token.Reveal(), s.keys)
	refusal, from := refusedMalformed, fromForm
	now := s.now()
	if len(candidates) == 0 && LooksSigned(p.Token.Reveal()) {
		id, from, err := s.checkSigned(ctx, p, now)
		return id, s.concluded(ctx, from, err, now)
	}
	for _, d := range candidates {
		var id *identity.Identity
		var err error
		id, from, err = s.checkDigest(ctx, d, p, now)
		if err == nil {
			s.counts.check(accepted, from)
			return id, nil
		}
		var r *Refusal
		if !errors.As(err, &r) {
			return nil, s.concluded(ctx, from, err, now)
		}
		refusal = r
		if r.Reason != ReasonUnknown {
			break
		}
	}
	return nil, s.concluded(ctx, from, refusal, now)
}

// concluded counts what a check has come to and writes its event; it returns
// the error.
func (s *Service) concluded(ctx context.Context, from answeredFrom, err error, now time.Time) error {
	if err == nil {
		s.counts.check(accepted, from)
		return nil
	}
	var refusal *Refusal // behind the return, since it is allocated
	if errors.As(err, &refusal) {
		s.counts.check(resultOf(refusal), from)
		s.recordRefusal(ctx, refusal, now)
	} else {
		s.counts.check(undecided, from)
		s.recordFailure(ctx, err, now)
	}
	return err
}

// checkDigest decides by one digest of what was presented, and says where the
// answer came from.
func (s *Service) checkDigest(ctx context.Context, d digest, p Presented, now time.Time) (*identity.Identity, answeredFrom, error) {
	if s.fresh() {
		if e := s.cache.get(d); e != nil {
			id, err := s.judge(ctx, e, p, now)
			return id, fromCache, err
		}
		if s.unknowns.has(d, now) {
			return nil, fromCache, refusedUnknown
		}
	}
	e, err := s.load(ctx, d, now)
	if err == nil {
		id, err := s.judge(ctx, e, p, now)
		return id, fromStore, err
	}
	if fault.Is(err, fault.Unavailable) && s.MayBeStale() {
		if e := s.cache.get(d); e != nil {
			id, err := s.judgeStale(ctx, e, p, now)
			return id, fromStale, err
		}
	}
	return nil, fromStore, err
}

// load reads what there is to know about a secret and keeps it.
func (s *Service) load(ctx context.Context, d digest, now time.Time) (*entry, error) {
	since := s.cache.position()
	found, err := s.store.TokenByDigest(ctx, d[:])
	if errors.Is(err, store.ErrNotFound) {
		s.unknowns.add(d, now)
		return nil, refusedUnknown
	}
	if err != nil {
		return nil, fault.FromStore(err)
	}
	h, err := s.holder(ctx, found.Token.AccountID)
	if err != nil {
		return nil, err
	}
	if found.Token.IdleAfter != 0 { // nothing else here depends on its last use
		found.Token = s.withLatestUse(found.Token)
	}
	e := newEntry(d, found, h, now)
	s.cache.put(e, since)
	return e, nil
}

// holder returns what there is to know of an account, from the cache while that
// can be trusted.
func (s *Service) holder(ctx context.Context, accountID string) (*holder, error) {
	if s.fresh() {
		if h := s.cache.heldBy(accountID); h != nil {
			return h, nil
		}
	}
	return s.loadHolder(ctx, accountID)
}

func (s *Service) loadHolder(ctx context.Context, accountID string) (*holder, error) {
	held, err := s.store.Holder(ctx, accountID)
	if errors.Is(err, store.ErrNotFound) {
		return nil, refusedUnknown // deleted a moment ago
	}
	if err != nil {
		return nil, fault.FromStore(err)
	}
	grants, err := scope.ParseGrants(held.Grants)
	if err != nil {
		s.log.Warn("a grant cannot be read and grants nothing", "account", held.Account.Name, "err", err)
	}
	grants = grants.For(held.Account.Name)
	shown := grants.Minimal()
	return &holder{account: held.Account, groups: held.Groups, grants: grants, shown: shown, shownText: shown.String()}, nil
}

func newEntry(d digest, found store.FoundToken, h *holder, now time.Time) *entry {
	t := found.Token
	e := &entry{
		digest: d, holder: h, id: identityOf(t, h), cidrs: t.CIDRs,
		secretEnds: nanos(found.Secret.ExpiresAt), tokenEnds: nanos(t.ExpiresAt),
		idleAfter: t.IdleAfter, lastSign: lastSign(t).UnixNano(), loadedAt: now.UnixNano(),
		predecessor: found.HasPredecessor && found.Secret.ExpiresAt.IsZero(), newest: t.Prefix,
	}
	e.id.SecretEnds, e.id.IssuedAt = found.Secret.ExpiresAt, found.Secret.CreatedAt
	switch {
	case h.account.Disabled: // says more than that its tokens have ended
		e.refusal = e.refuse(ReasonDisabled)
	case revoked(t) || endedWithAll(t, h):
		e.refusal = e.refuse(ReasonRevoked)
	case badScope(t):
		e.refusal = e.refuse(ReasonUnknown)
	case Class(t.Class) == Refresh, Class(t.Class) == Registry: // gets other tokens, and opens nothing
		e.refusal = e.refuse(ReasonKind)
	}
	e.free = len(e.cidrs) == 0 && e.idleAfter == 0 && !e.predecessor
	return e
}

func revoked(t store.Token) bool { return !t.RevokedAt.IsZero() }

// endedWithAll reports whether all tokens of the account were ended after this
// one was made.
func endedWithAll(t store.Token, h *holder) bool { return t.Epoch < h.account.Epoch }

// lastSign is the last time that a token was used, or else got its secret.
func lastSign(t store.Token) time.Time {
	last := t.CreatedAt
	for _, at := range []time.Time{t.RotatedAt, t.LastUse.At} {
		if at.After(last) {
			last = at
		}
	}
	return last
}

// badScope reports whether the stored scope of a token cannot be read, so that
// nothing is known of what it may do.
func badScope(t store.Token) bool {
	_, err := scope.ParseSet(t.Scope)
	return err != nil
}

func identityOf(t store.Token, h *holder) *identity.Identity {
	id := identityOfAccount(h)
	id.Method = identity.Token
	id.TokenID, id.TokenName, id.Class, id.Labels = t.ID, t.Name, t.Class, t.Labels
	id.Epoch = t.Epoch
	id.CIDRs, id.ExpiresAt, id.IdleAfter = t.CIDRs, t.ExpiresAt, t.IdleAfter
	if len(t.Scope) > 0 {
		own, _ := scope.ParseSet(t.Scope) // newEntry refuses what cannot be read
		id.TokenScope = own.For(h.account.Name)
		id.Effective = scope.Intersect(id.TokenScope, id.Grants)
		id.EffectiveText = id.Effective.String()
	}
	return id
}

func identityOfAccount(h *holder) *identity.Identity {
	a := h.account
	return &identity.Identity{
		AccountID: a.ID, Name: a.Name, Source: a.Source, Kind: string(a.Kind), Email: a.Email,
		Groups: h.groups, Epoch: a.Epoch,
		Grants: h.grants, Effective: h.shown, EffectiveText: h.shownText,
	}
}

// judge decides on a known token at a given time.
func (s *Service) judge(ctx context.Context, e *entry, p Presented, now time.Time) (*identity.Identity, error) {
	if e.refusal != nil {
		return nil, e.refusal
	}
	return s.judgeLimits(ctx, e, p, now)
}

// judgeLimits decides by what the token says of itself.
func (s *Service) judgeLimits(ctx context.Context, e *entry, p Presented, now time.Time) (*identity.Identity, error) {
	if why := e.broken(p.Addr, now); why == ReasonIdle {
		return s.judgeIdle(ctx, e, p, now)
	} else if why != "" {
		return nil, e.refuse(why)
	}
	if !e.free && e.predecessor {
		if ended, err := s.endPredecessor(ctx, e, now); err != nil {
			return nil, err
		} else if !ended {
			return s.judgeAgain(ctx, e, p, now)
		}
	}
	s.touch(ctx, e, p, now)
	if s.allChecks.Load() {
		s.recordCheck(ctx, e, now)
	}
	return e.id, nil
}

// broken returns which of the token's limits the time and the address do not
// keep, "" if all are kept. What [Service.Explain] says of each is by the same
// functions.
func (e *entry) broken(addr netip.Addr, now time.Time) Reason {
	switch {
	case past(e.tokenEnds, now):
		return ReasonExpired
	case past(e.secretEnds, now):
		return ReasonRotated
	case e.free:
		return ""
	case e.elsewhere(addr):
		return ReasonAddress
	case e.idle(now):
		return ReasonIdle
	}
	return ""
}

// past reports whether an end has come; 0 is never.
func past(ends int64, now time.Time) bool { return ends != 0 && now.UnixNano() >= ends }

// elsewhere reports whether the token may not be used from addr.
func (e *entry) elsewhere(addr netip.Addr) bool {
	return len(e.cidrs) > 0 && !contained(addr, e.cidrs)
}

// judgeIdle decides on a token that seems to be unused for too long. Other
// nodes may have seen it since it was loaded, so the store is asked once more.
func (s *Service) judgeIdle(ctx context.Context, e *entry, p Presented, now time.Time) (*identity.Identity, error) {
	if e.loadedAt == now.UnixNano() {
		return nil, e.refuse(ReasonIdle)
	}
	return s.judgeAgain(ctx, e, p, now)
}

// judgeAgain decides by what the store says now.
func (s *Service) judgeAgain(ctx context.Context, e *entry, p Presented, now time.Time) (*identity.Identity, error) {
	again, err := s.load(ctx, e.digest, now)
	if err != nil {
		return nil, err
	}
	if e.offline() {
		return s.judgeOffline(ctx, again, p, now)
	}
	return s.judge(ctx, again, p, now)
}

// judgeStale decides from the cache although the change log cannot be
// followed, because the operator allows it for a while. The identity says so.
func (s *Service) judgeStale(ctx context.Context, e *entry, p Presented, now time.Time) (*identity.Identity, error) {
	if e.predecessor {
		return nil, fault.Unavailablef(nil, "a rotation cannot be completed while the store is down")
	}
	id, err := s.judge(ctx, e, p, now)
	if err != nil {
		return nil, err
	}
	marked := *id
	marked.Stale = true
	return &marked, nil
}

// touch notes the use, once a second for each token at most.
func (s *Service) touch(ctx context.Context, e *entry, p Presented, now time.Time) {
	second, last := now.Unix(), e.touched.Load()
	if last >= second || !e.touched.CompareAndSwap(last, second) {
		return
	}
	s.uses.record(e, second, p.Addr, audit.Clip(p.Agent), audit.Door(ctx))
}

// endPredecessor ends the old secrets of a rotation, now that the new one is
// used. From here on they are refused, whatever becomes of this process. It
// reports false when the token was rotated again since the entry was loaded:
// the entry's secret is an old one itself then, and ends nothing.
func (s *Service) endPredecessor(ctx context.Context, e *entry, now time.Time) (bool, error) {
	var ended bool
	change := store.Change{At: now.UTC(), Kind: store.ChangeToken, TokenID: e.id.TokenID}
	err := s.update(ctx, []store.Change{change}, func(tx store.Tx) error {
		t, err := tx.LockToken(e.id.TokenID)
		if err != nil {
			return err
		}
		if ended = t.Prefix == e.newest; !ended {
			return nil
		}
		if err := tx.RetireSecrets(e.id.TokenID, e.digest[:], time.Time{}, false); err != nil {
			return err
		}
		done := audit.Event(ctx, now, e.id, "token.rotated", audit.OK)
		done.Target = e.id.TokenID
		return tx.AppendEvent(done)
	})
	if errors.Is(err, store.ErrNotFound) {
		return false, nil // deleted a moment ago
	}
	return ended, fault.FromStore(err)
}

// idle reports whether the token has gone unused for too long, as far as this
// node knows.
func (e *entry) idle(now time.Time) bool {
	if e.idleAfter == 0 || now.Sub(time.Unix(0, e.lastSign)) <= e.idleAfter {
		return false
	}
	return now.Sub(time.Unix(e.touched.Load(), 0)) > e.idleAfter
}

func (e *entry) refuse(why Reason) *Refusal {
	return &Refusal{Reason: why, TokenID: e.id.TokenID, AccountID: e.id.AccountID, AccountName: e.id.Name}
}

// recordCheck writes the event of a token that was accepted, where the operator
// wants one for each.
func (s *Service) recordCheck(ctx context.Context, e *entry, now time.Time) {
	done := audit.Event(ctx, now, e.id, audit.ActionCheck, audit.OK)
	done.Detail = audit.Asked(ctx, "")
	s.audit.Record(done)
}

// recordRefusal writes the event of a refused token. Tokens that nothing is
// known of are only counted by address: anybody can send any number of them.
func (s *Service) recordRefusal(ctx context.Context, r *Refusal, now time.Time) {
	s.recordRefusalOf(ctx, audit.ActionCheck, r, now)
}

func (s *Service) recordRefusalOf(ctx context.Context, action string, r *Refusal, now time.Time) {
	key := audit.TallyKey{Action: action, Reason: string(r.Reason), Addr: audit.FromContext(ctx).Addr, Token: r.TokenID}
	event := func() store.Event {
		e := audit.Event(ctx, now, nil, action, audit.Refused)
		e.Reason, e.ActorID, e.ActorName, e.TokenID = string(r.Reason), r.AccountID, r.AccountName, r.TokenID
		e.Detail = audit.Asked(ctx, "")
		return e
	}
	if r.TokenID == "" {
		s.audit.Tally(key, event)
		return
	}
	s.audit.Limited(key, event)
}

// recordFailure counts the checks that could not be made.
func (s *Service) recordFailure(ctx context.Context, err error, now time.Time) {
	reason := string(fault.Of(err).Kind)
	key := audit.TallyKey{Action: audit.ActionCheck, Reason: reason, Addr: audit.FromContext(ctx).Addr}
	s.audit.Tally(key, func() store.Event {
		e := audit.Event(ctx, now, nil, audit.ActionCheck, audit.Failed)
		e.Reason, e.Detail = reason, audit.Asked(ctx, "")
		return e
	})
}

// contained reports whether addr lies in one of the networks (S84). An address
// that is not known lies in none.
func contained(addr netip.Addr, networks []netip.Prefix) bool {
	addr = addr.Unmap().WithZone("")
	for _, n := range networks {
		if n.Contains(addr) {
			return true
		}
	}
	return false
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}
