package tokens

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// Bounds on what a token carries.
const (
	maxName       = 128 // characters
	maxLabels     = 32
	maxLabelText  = 256 // bytes of a key or a value
	maxCIDRs      = 64
	maxLifeInDays = 100 * 366
)

// Request is what somebody asks of a new token. Only a name is needed.
type Request struct {
	Name      string
	AccountID string // who gets it; "": the caller

	// ExpiresIn is its life; nil: the default of the class; 0: without end.
	// ExpiresAt says the same as a time and is used when not zero.
	ExpiresIn *time.Duration
	ExpiresAt time.Time

	IdleAfter *time.Duration // nil: the default of the class; 0: never
	Scope     []string       // empty: all that the owner has
	Labels    map[string]string
	CIDRs     []netip.Prefix
}

// Issued is a token with its secret.
type Issued struct {
	Token  store.Token
	Secret secret.Text
	Owner  string // name of the account, where it was looked at on the way; or ""
}

// Issue makes a token. The class is that of its owner's kind: robots get robot
// tokens. When it returns, the token is stored for good.
func (s *Service) Issue(ctx context.Context, caller *identity.Identity, r Request) (Issued, error) {
	issued, err := s.issue(ctx, caller, r)
	if err != nil {
		return Issued{}, s.refused(ctx, caller, "token.issue", r.AccountID, err)
	}
	s.counts.token(issuedOne, issued.Token.Class, 1)
	return issued, nil
}

func (s *Service) issue(ctx context.Context, caller *identity.Identity, r Request) (Issued, error) {
	now := s.now().UTC()
	if r.AccountID == "" && caller != nil {
		r.AccountID = caller.AccountID
	}
	if err := need(caller, r.AccountID, scope.Write); err != nil {
		return Issued{}, err
	}
	owner, err := s.owner(ctx, r.AccountID)
	if err != nil {
		return Issued{}, err
	}
	t, err := s.draft(caller, owner, r, s.Policy().Classes[classOf(owner)], now)
	if err != nil {
		return Issued{}, err
	}
	issued, err := s.insertNative(ctx, caller, t, now)
	issued.Owner = owner.account.Name
	return issued, err
}

// insertNative gives a token its secret and stores it.
func (s *Service) insertNative(ctx context.Context, caller *identity.Identity, t store.Token, now time.Time) (Issued, error) {
	text, sum := generate(Class(t.Class), Native, s.keys.Current())
	t.Prefix = shown(text, Native)
	first := store.Secret{Digest: sum[:], TokenID: t.ID, KeyID: s.keys.Current().ID(), CreatedAt: now}
	if err := s.add(ctx, caller, t, first); err != nil {
		return Issued{}, fault.FromStore(err)
	}
	return Issued{Token: t, Secret: text}, nil
}

// owner finds the account that a token is for.
func (s *Service) owner(ctx context.Context, accountID string) (*holder, error) {
	h, err := s.holder(ctx, accountID)
	var gone *Refusal
	if errors.As(err, &gone) {
		return nil, errNoAccount
	}
	return h, err
}

// classOf returns the class of an account's tokens.
func classOf(owner *holder) Class {
	if owner.account.Kind == store.Robot {
		return Robot
	}
	return Personal
}

// draft makes the token that is asked for, after all checks that need no
// transaction.
func (s *Service) draft(caller *identity.Identity, owner *holder, r Request, life Life, now time.Time) (store.Token, error) {
	if err := checkTexts(r.Name, r.Labels, r.CIDRs); err != nil {
		return store.Token{}, err
	}
	rules, err := parseScopeFor(owner.account.Name, r.Scope)
	if err != nil {
		return store.Token{}, err
	}
	same := caller.Method == identity.Token && caller.AccountID == owner.account.ID
	if same && rules == nil {
		rules = caller.TokenScope // what a token does not narrow further stays as narrow
	}
	if same && len(r.CIDRs) == 0 {
		r.CIDRs = caller.CIDRs
	}
	ends, err := s.lifeEnd(caller, life, r, now)
	if err != nil {
		return store.Token{}, err
	}
	idle, err := idleAfter(caller, life, r)
	if err != nil {
		return store.Token{}, err
	}
	if err := within(caller, limits{scope: rules, cidrs: r.CIDRs, ends: ends, idle: idle}, owner); err != nil {
		return store.Token{}, err
	}
	return store.Token{
		ID: newTokenID(now), AccountID: owner.account.ID, Class: string(classOf(owner)), Name: r.Name,
		Scope: rules.Strings(), Labels: r.Labels, CIDRs: r.CIDRs,
		Epoch: s.epochFor(caller, owner), ParentID: caller.TokenID,
		CreatedAt: now, ExpiresAt: ends, IdleAfter: idle,
	}, nil
}

// epochFor returns the epoch that a new token belongs to: that of the
// credential that asked for it, if it is its owner's. So a password that was
// changed while it asks leaves nothing behind; see stands for tokens.
func (s *Service) epochFor(caller *identity.Identity, owner *holder) int64 {
	if caller.AccountID == owner.account.ID {
		return caller.Epoch
	}
	return owner.account.Epoch
}

// errMaybeFull says that an account has so many tokens, ended ones included,
// that the live ones have to be counted. It is told to no one.
var errMaybeFull = errors.New("the live tokens of the account have to be counted")

// add writes the token, if its account still may have one more.
func (s *Service) add(ctx context.Context, caller *identity.Identity, t store.Token, first store.Secret) error {
	if foreignCaller(caller) {
		return s.store.Update(ctx, func(tx store.Tx) error { return s.insert(ctx, tx, caller, t, first) })
	}
	err := s.store.Issue(ctx, store.Issue{
		Token: t, Secret: first, By: asker(caller),
		Admit: func(a store.Admission) (store.Event, error) {
			if err := s.admits(a, t); err != nil {
				return store.Event{}, err
			}
			return issuedEvent(ctx, caller, t, a.Owner), nil
		},
	})
	switch {
	case errors.Is(err, errMaybeFull):
		return s.store.Update(ctx, func(tx store.Tx) error { return s.insert(ctx, tx, caller, t, first) })
	case errors.Is(err, store.ErrNotFound):
		return errNoAccount
	}
	return err
}

// insert is add within a transaction that may do other things besides.
func (s *Service) insert(ctx context.Context, tx store.Tx, caller *identity.Identity, t store.Token, first store.Secret) error {
	a, err := s.admit(tx, caller, t)
	if err != nil {
		return err
	}
	if err := tx.InsertToken(t, first); err != nil {
		return err
	}
	return tx.AppendEvent(issuedEvent(ctx, caller, t, a.Owner))
}

// issuedEvent is the event of a token that was issued.
func issuedEvent(ctx context.Context, caller *identity.Identity, t store.Token, owner string) store.Event {
	e := audit.Event(ctx, t.CreatedAt, caller, "token.issue", audit.OK)
	e.Target, e.Detail = t.ID, issuedDetail(t, owner)
	return e
}

// asker is the token by which a caller asks, "" where it is none, or is known to
// the store only once it is revoked; see stands.
func asker(caller *identity.Identity) string {
	if caller.Method != identity.Token || foreignCaller(caller) {
		return ""
	}
	return caller.TokenID
}

var errNoAccount = fault.NotFoundf("there is no such account")

// admit locks the account that a new token is for, and the token that asks for
// it, and refuses what admits does.
func (s *Service) admit(tx store.Tx, caller *identity.Identity, t store.Token) (store.Admission, error) {
	a, err := store.AdmissionIn(tx, t.AccountID, asker(caller))
	if errors.Is(err, store.ErrNotFound) {
		return a, errNoAccount
	}
	if err != nil {
		return a, err
	}
	if foreignCaller(caller) {
		if err := stands(tx, caller); err != nil {
			return a, err
		}
	}
	if err := s.admits(a, t); !errors.Is(err, errMaybeFull) {
		return a, err
	}
	most := s.mostTokens(a)
	n, err := tx.CountLive(t.AccountID, t.CreatedAt, most)
	if err == nil && n >= most {
		err = fault.Limitf("the account has %d live tokens, which is as many as it may have: revoke one first", n)
	}
	return a, err
}

// admits refuses a token where the account must not get it (any more), or the
// caller must not hand it out. The error is errMaybeFull when that depends on
// how many live tokens the account has: to count them takes the longer the more
// there are, and few accounts have even so many that have ended.
func (s *Service) admits(a store.Admission, t store.Token) error {
	most := s.mostTokens(a)
	switch {
	case a.Disabled:
		return fault.Conflictf("the account is disabled")
	case a.Epoch > t.Epoch, a.ByGone:
		return errRevoked
	case most > 0 && a.Unrevoked >= most:
		return errMaybeFull
	}
	return nil
}

// mostTokens is how many live tokens an account may have; 0 or less: any number.
func (s *Service) mostTokens(a store.Admission) int {
	if a.MaxTokens > 0 {
		return a.MaxTokens
	}
	return s.Policy().MaxPerAccount
}

// issuedDetail says in an event what was given away.
func issuedDetail(t store.Token, owner string) map[string]string {
	detail := map[string]string{"class": t.Class, "name": audit.Clip(t.Name), "owner": owner}
	if len(t.Scope) > 0 {
		detail["scope"] = strings.Join(t.Scope, " ")
	}
	if !t.ExpiresAt.IsZero() {
		detail["expires"] = t.ExpiresAt.UTC().Format(time.RFC3339)
	}
	return detail
}

var errRevoked = fault.Unauthenticatedf("the credential was revoked")

// stands refuses a caller whose token was revoked since it was checked, so that
// no secret is handed out on its strength any more.
func stands(tx store.Tx, caller *identity.Identity) error {
	if caller.Method != identity.Token {
		return nil
	}
	t, err := tx.LockToken(caller.TokenID)
	if errors.Is(err, store.ErrNotFound) && foreignCaller(caller) {
		return nil // it has no record as long as nobody revokes it
	}
	if errors.Is(err, store.ErrNotFound) || err == nil && !t.RevokedAt.IsZero() {
		return errRevoked
	}
	return err
}

// lifeEnd decides when the token ends.
func (s *Service) lifeEnd(caller *identity.Identity, life Life, r Request, now time.Time) (time.Time, error) {
	var ends time.Time
	field := "expires_in"
	switch {
	case !r.ExpiresAt.IsZero():
		field = "expires_at"
		ends = r.ExpiresAt.UTC()
		if !ends.After(now) {
			return time.Time{}, fault.Invalidf(field, "must lie in the future")
		}
	case r.ExpiresIn == nil:
		if life.Default > 0 {
			ends = now.Add(life.Default)
		}
		if !caller.ExpiresAt.IsZero() && (ends.IsZero() || ends.After(caller.ExpiresAt)) {
			ends = caller.ExpiresAt
		}
		return ends, nil
	case *r.ExpiresIn < 0:
		return time.Time{}, fault.Invalidf(field, "must not be negative")
	case *r.ExpiresIn > 0:
		ends = now.Add(*r.ExpiresIn)
	}
	if life.Max > 0 && (ends.IsZero() || ends.After(now.Add(life.Max))) {
		return time.Time{}, fault.Invalidf(field, "is longer than the %s that tokens of this class may live", life.Max)
	}
	if ends.After(now.Add(maxLifeInDays * day)) {
		return time.Time{}, fault.Invalidf(field, "is too far away")
	}
	return ends, nil
}

func idleAfter(caller *identity.Identity, life Life, r Request) (time.Duration, error) {
	if r.IdleAfter != nil {
		if *r.IdleAfter < 0 || *r.IdleAfter > maxLifeInDays*day {
			return 0, fault.Invalidf("idle_timeout", "must be a number of seconds that makes sense")
		}
		return *r.IdleAfter, nil
	}
	if caller.IdleAfter != 0 && (life.Idle == 0 || life.Idle > caller.IdleAfter) {
		return caller.IdleAfter, nil
	}
	return life.Idle, nil
}

// parseScope reads the rules of a token; none at all are nil.
func parseScope(texts []string) (scope.Set, error) {
	if len(texts) == 0 {
		return nil, nil
	}
	rules, err := scope.ParseSet(texts)
	if err != nil {
		return nil, fault.Invalidf("scope", "%v", err)
	}
	if text := rules.String(); secret.Scrub(text) != text {
		return nil, fault.Invalidf("scope", "must not have a token in it")
	}
	return rules, nil
}

// parseScopeFor is parseScope with the name of the token's owner where the rules
// have a place for it.
func parseScopeFor(account string, texts []string) (scope.Set, error) {
	rules, err := parseScope(texts)
	if err != nil || rules == nil {
		return nil, err
	}
	named := rules.For(account)
	if len(named) < len(rules) {
		return nil, fault.Invalidf("scope", "has %s, but the name %q cannot be a part of a repository's name", scope.AccountVariable, account)
	}
	return named, nil
}

func checkTexts(name string, labels map[string]string, cidrs []netip.Prefix) error {
	if strings.TrimSpace(name) == "" {
		return fault.Invalidf("name", "is needed, to recognise the token by")
	}
	if utf8.RuneCountInString(name) > maxName || !audit.Printable(name) {
		return fault.Invalidf("name", "must be at most %d characters that can be printed, and no token", maxName)
	}
	if len(labels) > maxLabels {
		return fault.Invalidf("labels", "are more than %d", maxLabels)
	}
	for key, value := range labels {
		if key == "" || len(key) > maxLabelText || len(value) > maxLabelText || !audit.Printable(key) || !audit.Printable(value) || strings.Contains(key, "=") {
			return fault.Invalidf("labels", "have keys of 1 to %d bytes without \"=\" and values of at most %d, both of characters that can be printed, and no token", maxLabelText, maxLabelText)
		}
	}
	if len(cidrs) > maxCIDRs {
		return fault.Invalidf("cidrs", "are more than %d", maxCIDRs)
	}
	for _, n := range cidrs {
		if !n.IsValid() || n.Addr().Is4In6() { // peers are never IPv4 in IPv6 (S84)
			return fault.Invalidf("cidrs", "are networks such as 192.0.2.0/24 and 2001:db8::/32, those of IPv4 written as IPv4")
		}
	}
	return nil
}
