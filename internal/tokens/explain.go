package tokens

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/explain"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// Explanations is the part of Latchkey's own API for asking why, about
// anybody's tokens. About one's own, the right to read them will do.
const Explanations = "explain"

// Subject is what an explanation is about: a token, by its id or its secret, or
// what an account's password opens. Exactly one of them is set.
type Subject struct {
	TokenID   string
	Secret    string
	AccountID string

	// Realm says that it is asked what a registry's realm makes of it, which
	// takes refresh tokens of registries' clients too.
	Realm bool

	// Addr is where it is used from. Where it is not valid, an address that the
	// token may be used from is supposed.
	Addr netip.Addr
}

// Explained is what a check makes of a [Subject].
type Explained struct {
	Token   *store.Token // nil: not known, or no token
	Account store.Account
	Steps   []explain.Step

	// Err is what a check gives: nil, or a [*Refusal].
	Err error

	// Identity is whom it stands for, whether or not the check gives it; nil if
	// nothing is known.
	Identity *identity.Identity
}

// errNoSubject is the one answer about what does not exist and what the caller
// may not know of (S82). It names nothing: what was asked for may be a secret.
var errNoSubject = fault.NotFoundf("there is no such token or account, or none that you may ask about")

// Explain tells what a check makes of a token or an account now, and why,
// without counting as a use. Whoever may not ask about it gets the answer of
// what does not exist.
func (s *Service) Explain(ctx context.Context, caller *identity.Identity, q Subject) (Explained, error) {
	if err := mayExplain(caller); err != nil {
		return Explained{}, s.refused(ctx, caller, "token.explain", "", err)
	}
	if q.AccountID != "" {
		return s.explainAccount(ctx, caller, q)
	}
	now := s.now()
	found, steps, err := s.locate(ctx, q)
	if err != nil {
		return Explained{}, err
	}
	if found == nil {
		return s.explainUnknown(caller, steps)
	}
	h, err := s.loadHolder(ctx, found.Token.AccountID)
	if err != nil {
		return Explained{}, orNoSubject(err)
	}
	if err := s.allowExplain(ctx, caller, h.account.ID, found.Token.ID); err != nil {
		return Explained{}, err
	}
	found.Token = s.withLatestUse(found.Token)
	if q.Realm && Class(found.Token.Class) == Registry {
		found.Token.Class = string(Access) // as which it is judged there
	}
	e := newEntry(digest{}, *found, h, now)
	out := Explained{Token: &found.Token, Account: h.account, Identity: e.id, Steps: steps}
	addr := q.Addr
	if !addr.IsValid() && len(e.cidrs) > 0 {
		addr = e.cidrs[0].Addr()
	}
	out.Steps = append(out.Steps, s.standingSteps(ctx, caller, e, found.Token)...)
	out.Steps = append(out.Steps, limitSteps(e, found.Token, addr, q.Addr.IsValid(), now)...)
	switch why := e.broken(addr, now); {
	case e.refusal != nil:
		out.Err = e.refusal
	case why != "":
		out.Err = e.refuse(why)
	}
	return out, nil
}

func mayExplain(caller *identity.Identity) error {
	if caller == nil {
		return need(nil, "", scope.Read)
	}
	if caller.May(Explanations, scope.Read) || caller.May(OwnTokens, scope.Read) {
		return nil
	}
	return fault.Needs(scope.TypeLatchkey + ":" + OwnTokens + ":" + scope.Read)
}

// MayExplain reports whether the caller may ask about everybody's.
func MayExplain(caller *identity.Identity) bool { return caller.May(Explanations, scope.Read) }

// allowExplain refuses what is not the caller's own, unless they may ask about
// all, with the answer of what does not exist.
func (s *Service) allowExplain(ctx context.Context, caller *identity.Identity, accountID, target string) error {
	if MayExplain(caller) || caller.AccountID == accountID {
		return nil
	}
	_ = s.refused(ctx, caller, "token.explain", target, fault.Needs(scope.TypeLatchkey+":"+Explanations+":"+scope.Read))
	return errNoSubject
}

// explainUnknown is about a token that is not there. Who may only ask about
// their own does not learn that.
func (s *Service) explainUnknown(caller *identity.Identity, steps []explain.Step) (Explained, error) {
	if !MayExplain(caller) {
		return Explained{}, errNoSubject
	}
	out := Explained{Steps: steps, Err: refusedUnknown}
	if failed, ok := explain.Failed(steps); ok && failed.Check == explain.Form {
		out.Err = refusedMalformed
	}
	return out, nil
}

func orNoSubject(err error) error {
	var gone *Refusal
	if errors.As(err, &gone) || errors.Is(err, store.ErrNotFound) || fault.Is(err, fault.NotFound) {
		return errNoSubject
	}
	return fault.FromStore(err)
}

func (s *Service) explainAccount(ctx context.Context, caller *identity.Identity, q Subject) (Explained, error) {
	if err := s.allowExplain(ctx, caller, q.AccountID, q.AccountID); err != nil {
		return Explained{}, err
	}
	h, err := s.loadHolder(ctx, q.AccountID)
	if err != nil {
		return Explained{}, orNoSubject(err)
	}
	id := identityOfAccount(h)
	id.Method = identity.Password
	out := Explained{Account: h.account, Identity: id, Steps: []explain.Step{ownerStep(h)}}
	if h.account.Disabled {
		out.Err = &Refusal{Reason: ReasonDisabled, AccountID: h.account.ID, AccountName: h.account.Name}
	}
	return out, nil
}

// locate finds a token without using it, nil if there is none.
func (s *Service) locate(ctx context.Context, q Subject) (*store.FoundToken, []explain.Step, error) {
	if q.Secret == "" {
		t, err := s.store.Token(ctx, q.TokenID)
		if errors.Is(err, store.ErrNotFound) {
			return nil, []explain.Step{notKnown()}, nil
		}
		if err != nil {
			return nil, nil, fault.FromStore(err)
		}
		if Class(t.Class) == Refresh {
			t.Class = string(Access) // what opens doors is its access tokens
		}
		return &store.FoundToken{Token: t}, nil, nil
	}
	if s.signer != nil && LooksSigned(q.Secret) {
		return s.locateSigned(ctx, q.Secret)
	}
	var room [2]digest
	candidates := digests(room[:0], q.Secret, s.keys)
	form := explain.Step{Check: explain.Form, Result: explain.When(len(candidates) > 0)}
	switch {
	case len(candidates) > 0:
		form.Text = "the token has the form of this server's"
	case LooksNative(q.Secret):
		form.Text = "the token is well-formed, but this server never made it: it is of another server, or made under a server secret that is gone"
	default:
		form.Text = "this is no token: it is mistyped, cut off, or something else"
	}
	steps := []explain.Step{form}
	if len(candidates) == 0 {
		return nil, steps, nil
	}
	found, err := s.recognise(ctx, q.Secret)
	if fault.Is(err, fault.NotFound) {
		return nil, append(steps, notKnown()), nil
	}
	if err != nil {
		return nil, nil, err
	}
	return &found, steps, nil
}

// locateSigned is locate for a signed token: what is found is its family, with
// the ends and the scope of both.
func (s *Service) locateSigned(ctx context.Context, text string) (*store.FoundToken, []explain.Step, error) {
	said, err := s.readSigned(ctx, text)
	var refusal *Refusal
	form := explain.Step{Check: explain.Form, Result: explain.Yes, Text: "the token was signed by this server"}
	if said.KeyID != "" {
		form.Text = "the token was signed by the imported key " + said.KeyID
	}
	if said.KeyID != "" && errors.As(err, &refusal) {
		return nil, []explain.Step{form, {
			Check: explain.Owner, Result: explain.No, Text: "nobody is known whom the token names: compare the source and the claim for the user of the imported key",
		}}, nil
	}
	if errors.As(err, &refusal) {
		form.Result, form.Text = explain.No, "this is no token that this server has signed, nor an issuer whose key was imported; or the key is withdrawn or has ended, or the token is for another service"
		if refusal.Reason == ReasonExpired {
			form.Text = "the token was signed by this server and has expired"
		}
		return nil, []explain.Step{form}, nil
	}
	if err != nil {
		return nil, nil, err
	}
	t, _, err := s.familyOf(ctx, said)
	if errors.As(err, &refusal) {
		return nil, []explain.Step{form, notKnown()}, nil
	}
	if err != nil {
		return nil, nil, err
	}
	access, ok := accessOf(t, said)
	if !ok {
		form.Result, form.Text = explain.No, "nothing is left of the token's scope since its family was narrowed"
		return nil, []explain.Step{form}, nil
	}
	if said.Kind == SignedRefresh {
		access.Class = string(Refresh)
	}
	return &store.FoundToken{Token: access}, []explain.Step{form}, nil
}

func notKnown() explain.Step {
	return explain.Step{
		Check: explain.Known, Result: explain.No,
		Text: "there is no such token: it was never issued, or it ended so long ago that it is forgotten",
	}
}

// standingSteps are about what [newEntry] looks at.
func (s *Service) standingSteps(ctx context.Context, caller *identity.Identity, e *entry, t store.Token) []explain.Step {
	steps := []explain.Step{
		{Check: explain.Known, Result: explain.Yes, Text: fmt.Sprintf("%s is the token %q of %s", t.ID, t.Name, e.holder.account.Name)},
		ownerStep(e.holder),
		s.revokedStep(ctx, caller, e, t),
	}
	switch Class(t.Class) {
	case Refresh:
		steps = append(steps, explain.Step{Check: explain.Form, Result: explain.No, Text: "a refresh token gets the next pair and opens no door: present the access token"})
	case Registry:
		steps = append(steps, explain.Step{Check: explain.Form, Result: explain.No, Text: "a registry client's refresh token gets tokens for registries and opens no other door"})
	}
	if badScope(t) {
		steps = append(steps, explain.Step{Check: explain.Scope, Result: explain.No, Text: "the stored scope cannot be read, so the token may do nothing"})
	}
	return steps
}

func ownerStep(h *holder) explain.Step {
	a := h.account
	if !a.Disabled {
		return explain.Step{Check: explain.Owner, Result: explain.Yes, Text: "the account " + a.Name + " is enabled"}
	}
	text := "the account " + a.Name + " is disabled"
	if a.DisabledReason != "" {
		text += ": " + a.DisabledReason
	}
	return explain.Step{Check: explain.Owner, Result: explain.No, Text: text, Fix: command(kindCommand(a), "enable", a.Name)}
}

func kindCommand(a store.Account) string {
	if a.Kind == store.Robot {
		return "robot"
	}
	return "user"
}

func (s *Service) revokedStep(ctx context.Context, caller *identity.Identity, e *entry, t store.Token) explain.Step {
	step := explain.Step{Check: explain.Revoked, Result: explain.Yes, Text: "the token was not revoked"}
	switch {
	case revoked(t):
		step.Text = "the token was revoked at " + moment(t.RevokedAt)
		if by := s.revoker(ctx, caller, t); by != "" {
			step.Text += " by " + by
		}
		if t.RevokeReason != "" {
			step.Text += ": " + t.RevokeReason
		}
	case endedWithAll(t, e.holder):
		step.Text = "all tokens of " + e.holder.account.Name + " that were made up to some moment were ended at once, and this one is one of them"
	default:
		return step
	}
	step.Result, step.Fix = explain.No, tokenCommand(e.id, "")
	return step
}

// revoker names who revoked a token, to those who may know of other accounts.
func (s *Service) revoker(ctx context.Context, caller *identity.Identity, t store.Token) string {
	switch {
	case t.RevokedBy == "":
		return ""
	case t.RevokedBy == t.AccountID:
		return "its owner"
	case !MayExplain(caller):
		return "an administrator"
	}
	h, err := s.store.Holder(ctx, t.RevokedBy)
	if err != nil {
		return "the account " + t.RevokedBy
	}
	return h.Account.Name
}

// limitSteps are about what [entry.broken] looks at, in its order.
func limitSteps(e *entry, t store.Token, addr netip.Addr, known bool, now time.Time) []explain.Step {
	steps := []explain.Step{expiryStep(e, t, now)}
	if e.secretEnds != 0 {
		steps = append(steps, secretStep(e, now))
	}
	if len(e.cidrs) > 0 {
		steps = append(steps, addressStep(e, addr, known))
	}
	if e.idleAfter > 0 {
		steps = append(steps, idleStep(e, now))
	}
	if e.predecessor {
		steps = append(steps, explain.Step{Check: explain.Secret, Result: explain.Note, Text: "with its first use the old secret of the rotation ends"})
	}
	return steps
}

func expiryStep(e *entry, t store.Token, now time.Time) explain.Step {
	step := explain.Step{Check: explain.Expiry, Result: explain.When(!past(e.tokenEnds, now))}
	switch {
	case e.tokenEnds == 0:
		step.Text = "the token does not expire"
	case step.Result == explain.Yes:
		step.Text = "the token is good until " + moment(t.ExpiresAt)
	default:
		step.Text, step.Fix = "the token expired at "+moment(t.ExpiresAt), tokenCommand(e.id, "")
	}
	return step
}

func secretStep(e *entry, now time.Time) explain.Step {
	ends := moment(time.Unix(0, e.secretEnds))
	if past(e.secretEnds, now) {
		return explain.Step{Check: explain.Secret, Result: explain.No, Text: "this is the token's old secret, which a rotation ended at " + ends + ": use the new one"}
	}
	return explain.Step{Check: explain.Secret, Result: explain.Yes, Text: "this is the token's old secret, which works until " + ends}
}

func addressStep(e *entry, addr netip.Addr, known bool) explain.Step {
	networks := make([]string, len(e.cidrs))
	for i, n := range e.cidrs {
		networks[i] = n.String()
	}
	list := strings.Join(networks, ", ")
	step := explain.Step{Check: explain.Address, Result: explain.When(!e.elsewhere(addr))}
	switch {
	case !known:
		step.Text = "the token may only be used from " + list + ", which is supposed here"
	case step.Result == explain.Yes:
		step.Text = fmt.Sprintf("%s is within %s, where the token may be used from", addr, list)
	default:
		step.Text = fmt.Sprintf("%s is not within %s, where the token may be used from", addr, list)
		step.Fix = tokenCommand(e.id, "") + " --cidr " + quote(addr.String())
	}
	return step
}

func idleStep(e *entry, now time.Time) explain.Step {
	last := moment(time.Unix(0, e.lastSign))
	if e.idle(now) {
		return explain.Step{
			Check: explain.Idle, Result: explain.No, Fix: tokenCommand(e.id, ""),
			Text: fmt.Sprintf("the token ended for being unused for longer than %s: the last sign of it was at %s", e.idleAfter, last),
		}
	}
	return explain.Step{Check: explain.Idle, Result: explain.Yes, Text: fmt.Sprintf("the token was used or made at %s, and ends when unused for %s", last, e.idleAfter)}
}

// tokenCommand is the command for another token with the same scope, and with
// one more rule unless that is "".
func tokenCommand(id *identity.Identity, rule string) string {
	name := id.TokenName
	if name == "" {
		name = "NAME"
	}
	rules := id.TokenScope.Strings()
	if rule != "" {
		rules = append(rules, rule)
	}
	args := []string{"token", "create", name, "--owner", id.Name}
	for _, r := range rules {
		args = append(args, "--scope", r)
	}
	return command(args...)
}

// command writes a command line of latchkey's.
func command(args ...string) string {
	quoted := []string{"latchkey"}
	for _, a := range args {
		quoted = append(quoted, quote(a))
	}
	return strings.Join(quoted, " ")
}

// quote writes an argument as a POSIX shell reads it.
func quote(arg string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:,@=+", r)
	}
	if arg != "" && strings.IndexFunc(arg, func(r rune) bool { return !plain(r) }) < 0 {
		return arg
	}
	return "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
}

func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }
