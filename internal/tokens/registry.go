package tokens

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/secret"
)

// RegistryTerms are what a realm has as settings for the tokens of one
// registry.
type RegistryTerms struct {
	Issuer  string        // "iss"; registries compare it byte by byte
	Service string        // "aud", by which the registry calls itself
	Life    time.Duration // from now on; at least a second
	Form    keyring.Form  // how the token names its key
}

// RegistryRequest is what a registry's client asks for.
type RegistryRequest struct {
	Terms     RegistryTerms
	Resources []scope.Resource // none: just who it is
	Client    string           // by which name the client calls itself; may be empty

	// Subject is by which name the registry is told of the caller; "": their own.
	// It changes nothing about what they may do, and events name the caller.
	Subject string
}

// RegistryToken is a signed token for a registry. It is not stored: it lives
// too briefly for anybody to end it.
type RegistryToken struct {
	Token secret.Text

	// Access is what was asked for and is allowed. Resources of which nothing is
	// allowed are not in it.
	Access []scope.Resource

	IssuedAt, ExpiresAt time.Time
}

// backdated is by how much a registry's token is older than it is: Pulp takes
// none whose times lie ahead of its clock, by however little
// (pulp_container/app/token_verification.py).
const backdated = 30 * time.Second

// registryClaims are those of the distribution specification of tokens, in the
// form that all its verifiers take: one audience as a text, which
// docker-registry 2 needs, and "access" in any case, which Pulp does.
type registryClaims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"` // a name; "" for nobody
	Audience  string   `json:"aud"`
	Expires   int64    `json:"exp"`
	NotBefore int64    `json:"nbf"`
	Issued    int64    `json:"iat"`
	ID        string   `json:"jti"`
	Access    []access `json:"access"`
}

type access struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

// registryTokenType is the "typ" of the tokens: none of our doors takes one of
// this type without claims that these do not have.
const registryTokenType = "JWT"

// IssueRegistry gives a token for a registry that says which of the resources
// asked for the caller may use, and how (S94). What is not allowed is left out
// and is no error. A caller without an account is nobody, who may pull what the
// caller's grants say and do nothing else (S96).
func (s *Service) IssueRegistry(ctx context.Context, caller *identity.Identity, r RegistryRequest) (RegistryToken, error) {
	now := s.now().UTC()
	if caller == nil {
		return RegistryToken{}, s.refused(ctx, nil, registryAction, audit.Clip(r.Terms.Service), fault.Unauthenticatedf("a credential is needed"))
	}
	t := RegistryToken{IssuedAt: now.Truncate(time.Second)}
	var denied []string
	for _, asked := range r.Resources {
		allowed, missing := RegistryAccess(caller, asked)
		if len(allowed.Actions) > 0 {
			t.Access = append(t.Access, allowed)
		}
		if len(missing.Actions) > 0 {
			denied = append(denied, missing.String())
		}
	}
	t.ExpiresAt = registryEnd(caller, t.IssuedAt, r.Terms.Life)
	claims := registryClaims{
		Issuer: r.Terms.Issuer, Subject: cmp.Or(r.Subject, caller.Name), Audience: r.Terms.Service, ID: newSignedID(),
		Expires: t.ExpiresAt.Unix(), NotBefore: t.IssuedAt.Add(-backdated).Unix(), Issued: t.IssuedAt.Add(-backdated).Unix(),
		Access: make([]access, len(t.Access)),
	}
	for i, a := range t.Access {
		claims.Access[i] = access{a.Type, a.Name, a.Actions}
	}
	form := r.Terms.Form
	form.Type = registryTokenType
	if s.signer == nil {
		return RegistryToken{}, fault.Conflictf("this server signs no tokens")
	}
	text, err := s.signer.Sign(ctx, form, claims, t.ExpiresAt)
	if err != nil {
		return RegistryToken{}, s.refused(ctx, caller, registryAction, audit.Clip(r.Terms.Service), err)
	}
	t.Token = secret.New(text)
	s.recordRegistry(ctx, caller, r, t, claims.ID, denied, now)
	return t, nil
}

const registryAction = "registry.token"

// registryEnd returns when a registry's token ends: not after what it was
// given for.
func registryEnd(caller *identity.Identity, base time.Time, life time.Duration) time.Time {
	ends := base.Add(max(life, time.Second))
	for _, at := range []time.Time{caller.ExpiresAt, caller.SecretEnds} {
		ends = earlier(ends, at)
	}
	if !ends.After(base) {
		return base.Add(time.Second)
	}
	return ends
}

// repositoryActions are what "*" means for a repository. Registries compare
// actions with theirs one by one, Pulp literally.
var repositoryActions = []string{scope.Pull, scope.Push, scope.Delete}

// RegistryAccess splits what is asked for of a resource into what the caller
// may do there and what not. Neither has actions that no registry knows.
func RegistryAccess(caller *identity.Identity, asked scope.Resource) (allowed, denied scope.Resource) {
	allowed, denied = asked, asked
	allowed.Actions, denied.Actions = nil, nil
	for _, action := range meant(asked) {
		if mayAtRegistry(caller, asked, action) {
			allowed.Actions = append(allowed.Actions, action)
		} else {
			denied.Actions = append(denied.Actions, action)
		}
	}
	return allowed, denied
}

// meant returns the actions that are asked for, with "*" written out where it
// stands for several.
func meant(asked scope.Resource) []string {
	if asked.Type == scope.TypeRepository && slices.Contains(asked.Actions, scope.Anything) {
		return repositoryActions
	}
	return asked.Actions
}

// mayAtRegistry decides on one action. What the grammar does not know nobody
// may, whatever their rules are (S94).
func mayAtRegistry(caller *identity.Identity, asked scope.Resource, action string) bool {
	q := scope.Request{Type: asked.Type, Name: asked.Name, Action: action}
	switch {
	case asked.Odd:
		return false
	case asked.Type == scope.TypeRepository && slices.Contains(repositoryActions, action):
		return (caller.AccountID != "" || action == scope.Pull) && caller.Allows(q)
	case asked.Type == scope.TypeRegistry && asked.Name == scope.Catalog && action == scope.Anything:
		return caller.AccountID != "" && caller.Allows(q)
	}
	return false
}

// recordRegistry writes the event of a token, and of a refusal where nothing is
// left of what was asked for.
func (s *Service) recordRegistry(ctx context.Context, caller *identity.Identity, r RegistryRequest, t RegistryToken, id string, denied []string, now time.Time) {
	outcome, missing := audit.OK, ""
	if len(t.Access) == 0 && len(denied) > 0 {
		outcome, missing = audit.Refused, denied[0]
	}
	event := audit.Event(ctx, now, caller, registryAction, outcome)
	event.Target = audit.Clip(r.Terms.Service)
	event.Detail = audit.Asked(ctx, missing)
	if event.Detail == nil {
		event.Detail = map[string]string{}
	}
	event.Detail["jti"] = id
	if r.Client != "" {
		event.Detail["client"] = audit.Clip(r.Client)
	}
	if r.Subject != "" && r.Subject != caller.Name {
		event.Detail["subject"] = audit.Clip(r.Subject)
	}
	if len(denied) > 0 {
		event.Detail["denied"] = audit.Clip(strings.Join(denied, " "))
	}
	if len(t.Access) > 0 {
		texts := make([]string, len(t.Access))
		for i, a := range t.Access {
			texts[i] = a.String()
		}
		event.Detail["scope"] = scopeText(texts)
	}
	if outcome == audit.Refused {
		event.Reason = string(fault.Forbidden)
	}
	s.audit.Record(event)
}

// RefuseRegistry writes the event of a request that got no token for another
// reason than its credential, and returns the error.
func (s *Service) RefuseRegistry(ctx context.Context, caller *identity.Identity, service string, err error) error {
	return s.refused(ctx, caller, registryAction, audit.Clip(service), err)
}

// IssueOffline makes a refresh token for a registry's client, named after it,
// which gets tokens for registries in the place of the password, and opens no
// door. It ends like any other token.
func (s *Service) IssueOffline(ctx context.Context, caller *identity.Identity, name string, labels map[string]string) (Issued, error) {
	issued, err := s.issueOffline(ctx, caller, name, labels)
	if err != nil {
		return Issued{}, s.refused(ctx, caller, "token.issue", "", err)
	}
	s.counts.token(issuedOne, issued.Token.Class, 1)
	return issued, nil
}

func (s *Service) issueOffline(ctx context.Context, caller *identity.Identity, name string, labels map[string]string) (Issued, error) {
	now := s.now().UTC()
	if caller == nil {
		return Issued{}, need(nil, "", scope.Write)
	}
	if err := need(caller, caller.AccountID, scope.Write); err != nil {
		return Issued{}, err
	}
	owner, err := s.owner(ctx, caller.AccountID)
	if err != nil {
		return Issued{}, err
	}
	t, err := s.draft(caller, owner, Request{Name: name, Labels: labels}, s.Policy().Classes[Registry], now)
	if err != nil {
		return Issued{}, err
	}
	t.Class = string(Registry)
	return s.insertNative(ctx, caller, t, now)
}

// CheckOffline tells whom a registry client's refresh token stands for. Any
// token that opens doors will do, too: it can be ended just as well. The error
// is as of [Service.Check].
func (s *Service) CheckOffline(ctx context.Context, p Presented) (*identity.Identity, error) {
	if ClassOf(p.Token.Reveal()) != Registry {
		return s.Check(ctx, p)
	}
	now := s.now()
	var room [2]digest
	var id *identity.Identity
	var err error = refusedMalformed
	for _, d := range digests(room[:0], p.Token.Reveal(), s.keys) {
		id, err = s.checkOffline(ctx, d, p, now)
		if !errors.Is(err, refusedUnknown) {
			break
		}
	}
	return id, s.concluded(ctx, fromStore, err, now)
}

// checkOffline is [Service.checkDigest] for such tokens.
func (s *Service) checkOffline(ctx context.Context, d digest, p Presented, now time.Time) (*identity.Identity, error) {
	var e *entry
	if s.fresh() {
		if e = s.cache.get(d); e == nil && s.unknowns.has(d, now) {
			return nil, refusedUnknown
		}
	}
	if e == nil {
		var err error
		if e, err = s.load(ctx, d, now); err != nil {
			return nil, err
		}
	}
	return s.judgeOffline(ctx, e, p, now)
}

// judgeOffline is [Service.judge] where it does not matter that a registry
// client's refresh token opens no door.
func (s *Service) judgeOffline(ctx context.Context, e *entry, p Presented, now time.Time) (*identity.Identity, error) {
	if !e.offline() {
		return s.judge(ctx, e, p, now)
	}
	return s.judgeLimits(ctx, e, p, now)
}

// offline reports whether all that stands against a token at a door is that it
// is for a registry's realm.
func (e *entry) offline() bool {
	return e.refusal != nil && e.refusal.Reason == ReasonKind && e.id.Class == string(Registry)
}
