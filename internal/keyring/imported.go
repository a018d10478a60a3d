package keyring

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/jose"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// Bounds on keys of other issuers.
const (
	// MaxImported is how many keys of other issuers count at the same time: a
	// token that names no key is tried with each.
	MaxImported = 8

	// ImportFor is how long an imported key counts when nothing else is said,
	// and MaxImportFor the longest that can be.
	ImportFor    = 30 * 24 * time.Hour
	MaxImportFor = 366 * 24 * time.Hour

	maxClaimName = 100 // bytes
)

// importedLeeway is how far the clock of another issuer may differ.
const importedLeeway = 5 * time.Second

// Rules say which tokens of an imported key count, and for whom. They are
// settled when it is imported. The claims are by their names in the settings of
// djangorestframework-simplejwt.
type Rules struct {
	// Source is where the accounts are from that the tokens stand for, and
	// UserIs what the claim for the user holds: "subject", the source's own id
	// for them, "name", their login name there, or "id", the account's id here.
	Source string `json:"source"`
	UserIs string `json:"user_is"`

	UserClaim  string `json:"user_id_claim"`         // USER_ID_CLAIM
	TypeClaim  string `json:"token_type_claim"`      // TOKEN_TYPE_CLAIM
	IDClaim    string `json:"jti_claim"`             // JTI_CLAIM
	RenewClaim string `json:"sliding_refresh_claim"` // SLIDING_TOKEN_REFRESH_EXP_CLAIM

	// Issuer and Audience are what "iss" must be and "aud" must hold; where one
	// is "", the tokens must not have the claim.
	Issuer   string `json:"issuer,omitempty"`
	Audience string `json:"audience,omitempty"`

	// Scope limits what the tokens open; empty: all that their account has.
	Scope []string `json:"scope,omitempty"`

	// Longest ends tokens so long after they were issued, whatever they say; 0:
	// what they say counts.
	Longest time.Duration `json:"longest,omitempty"`
}

// What the claim for the user of another issuer's tokens can hold.
const (
	UserSubject = "subject"
	UserName    = "name"
	UserID      = "id"
)

func (r Rules) withDefaults() Rules {
	for _, d := range []struct {
		value     *string
		otherwise string
	}{
		{&r.UserIs, UserSubject}, {&r.UserClaim, "user_id"}, {&r.TypeClaim, "token_type"}, {&r.IDClaim, "jti"}, {&r.RenewClaim, "refresh_exp"},
	} {
		if *d.value == "" {
			*d.value = d.otherwise
		}
	}
	return r
}

// check refuses rules that cannot be.
func (r Rules) check() error {
	if r.Source == "" {
		return fault.Invalidf("source", "is needed: the password source whose accounts the tokens stand for")
	}
	if !slices.Contains([]string{UserSubject, UserName, UserID}, r.UserIs) {
		return fault.Invalidf("user_id", "must be %q, %q or %q", UserSubject, UserName, UserID)
	}
	taken := []string{"exp", "iat", "nbf", "iss", "aud"}
	for _, c := range []struct{ field, name string }{
		{"user_id_claim", r.UserClaim}, {"token_type_claim", r.TypeClaim}, {"jti_claim", r.IDClaim}, {"sliding_refresh_claim", r.RenewClaim},
	} {
		if len(c.name) > maxClaimName || !audit.Printable(c.name) || slices.Contains(taken, c.name) {
			return fault.Invalidf(c.field, "must be the name of a claim that nothing else has")
		}
		taken = append(taken, c.name)
	}
	for field, text := range map[string]string{"issuer": r.Issuer, "audience": r.Audience, "source": r.Source} {
		if len(text) > maxReason || !audit.Printable(text) {
			return fault.Invalidf(field, "must be at most %d bytes that can be printed", maxReason)
		}
	}
	if r.Longest < 0 {
		return fault.Invalidf("max_lifetime", "must not be negative")
	}
	if _, err := scope.ParseSet(r.Scope); err != nil {
		return fault.Invalidf("scope", "%v", err)
	}
	return nil
}

// profile is what the tokens must be like.
func (r Rules) profile() jose.Profile {
	return jose.Profile{
		Type: "JWT", Issuer: r.Issuer, Audience: r.Audience, Leeway: importedLeeway,
		Required: []string{"iat", r.UserClaim, r.TypeClaim, r.IDClaim},
	}
}

// Import is a key of another issuer, whose tokens are to count until it ends.
type Import struct {
	// Algorithm is the one that its tokens are signed by.
	Algorithm string

	// Key is the shared secret of HS256, HS384 and HS512, byte for byte; else a
	// key in PEM, of which the public part is kept.
	Key []byte

	// Weak takes a shared secret that is shorter than its algorithm wants.
	Weak bool

	Until time.Time // when it ends; zero: after [ImportFor]
	Rules
}

// imported is a key of another issuer that can be used.
type imported struct {
	record store.SigningKey // without what is sealed
	key    *jose.Key
	rules  Rules
}

// Foreign is a token that an imported key has signed.
type Foreign struct {
	KeyID string
	Tag   [32]byte // of the key: see [jose.Key.Tag]
	Rules Rules
	Token *jose.Token

	// Ends is when the token counts no more: as it says itself, or earlier by
	// the rules or the end of the key.
	Ends time.Time
}

// VerifyImported checks a token of another issuer. Only tokens that name no key
// are looked at, since those of this server do, and each imported key is good
// for its one algorithm (S50). The errors are as of [Service.Verify].
func (s *Service) VerifyImported(ctx context.Context, token string) (*Foreign, error) {
	have, err := s.latest(ctx)
	if err != nil {
		return nil, err
	}
	if len(have.imported) == 0 {
		return nil, jose.ErrUnknownKey
	}
	now := s.now()
	var keys []*jose.Key
	for _, i := range have.imported {
		if StateOf(i.record, now) == Imported {
			keys = append(keys, i.key)
		}
	}
	key, err := jose.SignerOf(token, "JWT", keys)
	if err != nil {
		return nil, err
	}
	i := have.imported[slices.IndexFunc(have.imported, func(i imported) bool { return i.key == key })]
	t, err := i.rules.profile().Verify(token, func(string) *jose.Key { return key }, now)
	if err != nil {
		return nil, err
	}
	t.ExpiresAt = t.ExpiresAt.Add(importedLeeway)
	f := &Foreign{KeyID: i.record.ID, Tag: key.Tag(), Rules: i.rules, Token: t, Ends: t.ExpiresAt}
	if most := t.IssuedAt.Add(i.rules.Longest); i.rules.Longest > 0 && most.Before(f.Ends) {
		f.Ends = most
	}
	if i.record.RetireAt.Before(f.Ends) {
		f.Ends = i.record.RetireAt
	}
	if !now.Before(f.Ends) {
		return nil, jose.ErrExpired
	}
	return f, nil
}

// Import takes over a key of another issuer: tokens that it has signed count
// until the key ends. It never signs, and is never published.
func (s *Service) Import(ctx context.Context, caller *identity.Identity, in Import) (Listed, error) {
	const action = "key.import"
	k, key, err := s.prepare(caller, in)
	if err == nil {
		err = s.change(ctx, func(tx store.Tx, b *book) error {
			e := audit.Event(ctx, b.now, caller, action, audit.OK)
			e.Target, e.Detail = k.ID, map[string]string{
				"algorithm": k.Algorithm, "until": k.RetireAt.Format(time.RFC3339), "source": audit.Clip(in.Source),
			}
			if in.Weak {
				e.Detail["weak"] = "accepted"
			}
			return tx.AppendEvent(e)
		}, func(b *book) error { return s.adopt(b, k, key) })
	}
	if err != nil {
		return Listed{}, s.refused(ctx, caller, action, "", err)
	}
	return s.listed(ctx, k.ID)
}

// prepare makes the record of a key that is to be imported. Whoever may import
// one can make tokens for everybody that its rules reach, and so needs the
// right over everybody's tokens too (S78).
func (s *Service) prepare(caller *identity.Identity, in Import) (store.SigningKey, *jose.Key, error) {
	if err := need(caller, scope.Write); err != nil {
		return store.SigningKey{}, nil, err
	}
	if err := mayVouch(caller, in.Scope); err != nil {
		return store.SigningKey{}, nil, err
	}
	now := s.now().UTC()
	rules := in.Rules.withDefaults()
	if err := rules.check(); err != nil {
		return store.SigningKey{}, nil, err
	}
	if in.Until.IsZero() {
		in.Until = now.Add(ImportFor)
	}
	if !in.Until.After(now) || in.Until.After(now.Add(MaxImportFor)) {
		return store.SigningKey{}, nil, fault.Invalidf("until", "must lie in the future, within %d days", int(MaxImportFor.Hours()/24))
	}
	key, err := readImport(in)
	if err != nil {
		return store.SigningKey{}, nil, err
	}
	text, err := json.Marshal(rules)
	if err != nil {
		return store.SigningKey{}, nil, fmt.Errorf("write down the rules of an imported key: %w", err)
	}
	k := store.SigningKey{
		ID: importedID(key), Algorithm: string(key.Algorithm()), Public: key.Public(),
		CreatedAt: now, ActiveAt: now, RetireAt: in.Until.UTC().Truncate(time.Microsecond), Imported: string(text),
	}
	k.Sealed = s.secrets.Seal(importedOf(k), sealedPart(key))
	return k, key, nil
}

// everybodysTokens is the part of Latchkey's own API for the tokens of all
// accounts; see the core's AllTokens.
const everybodysTokens = "all-tokens"

// mayVouch refuses a caller who could make a token that can do more than they
// can.
func mayVouch(caller *identity.Identity, limit []string) error {
	if !caller.May(everybodysTokens, scope.Write) {
		return fault.Needs(scope.TypeLatchkey + ":" + everybodysTokens + ":" + scope.Write)
	}
	if len(limit) == 0 {
		limit = []string{"*:*:*"}
	}
	rules, err := scope.ParseSet(limit)
	if err != nil {
		return fault.Invalidf("scope", "%v", err)
	}
	if caller.TokenScope != nil && !caller.TokenScope.Covers(rules) {
		return fault.Forbiddenf("a token cannot import a key for more than it may do itself: yours has the scope %q", caller.TokenScope.String())
	}
	return nil
}

// readImport reads the key. What is wrong with it is said without repeating it.
func readImport(in Import) (*jose.Key, error) {
	alg := jose.Algorithm(in.Algorithm)
	if alg.Shared() {
		var b [12]byte
		_, _ = rand.Read(b[:]) // never fails
		key, err := jose.NewShared(alg, "hs_"+base64.RawURLEncoding.EncodeToString(b[:]), in.Key, in.Weak)
		if err != nil {
			return nil, fault.Invalidf("key", "%v%s", err, weakAdvice(in))
		}
		return key, nil
	}
	if !alg.Known() {
		return nil, fault.Invalidf("algorithm", "is not one of HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 and EdDSA (Ed25519)")
	}
	key, err := jose.ParsePEM(alg, in.Key)
	if err != nil {
		return nil, fault.Invalidf("key", "%v", err)
	}
	return key.PublicOnly(), nil
}

func weakAdvice(in Import) string {
	if in.Weak {
		return ": whoever has one token could guess it, so its tokens cannot be taken"
	}
	return ": whoever has one token may be able to guess it. If it is random all the same, allow that: allow_weak, --allow-weak-secret"
}

// adopt puts a key among the others, if it can be.
func (s *Service) adopt(b *book, k store.SigningKey, key *jose.Key) error {
	if slices.ContainsFunc(b.keys, func(o store.SigningKey) bool { return len(k.Public) > 0 && bytes.Equal(o.Public, k.Public) }) {
		return fault.Conflictf("this is one of the server's own keys")
	}
	count := 0
	for _, o := range b.foreign {
		if StateOf(o, b.now) == Imported {
			count++
		}
		known, _, err := s.unsealImported(o)
		if err != nil || !known.Same(key) {
			continue
		}
		if !o.WithdrawnAt.IsZero() {
			return fault.Conflictf("this key was imported before, as %s, and revoked", o.ID)
		}
		return fault.Conflictf("this key was imported already, as %s: revoke that first if its rules have to be others", o.ID)
	}
	if count >= MaxImported {
		return fault.Conflictf("there are %d imported keys already, which is as many as can be", count)
	}
	b.foreign = append(b.foreign, k)
	return b.settle()
}

// errNotImported says that a record is of no imported key.
var errNotImported = errors.New("it is no imported key")

// importedOf is what the sealed part of an imported key is bound to: its rules
// too, so that nobody who can only write to the database can make them wider.
func importedOf(k store.SigningKey) string {
	return fmt.Sprintf("imported key %s %s until %d: %s", k.ID, k.Algorithm, k.RetireAt.UnixMicro(), k.Imported)
}

// importedID is the id by which an imported key is listed. It is none that a key
// of our own can have, and none that command lines take for a flag.
func importedID(k *jose.Key) string {
	if k.Algorithm().Shared() {
		return k.ID()
	}
	return "pk_" + k.ID()
}

func sealedPart(k *jose.Key) []byte {
	if k.Algorithm().Shared() {
		return k.Secret()
	}
	return k.Public()
}

// unsealImported returns the key and the rules of a record.
func (s *Service) unsealImported(k store.SigningKey) (*jose.Key, Rules, error) {
	if k.Imported == "" {
		return nil, Rules{}, errNotImported
	}
	plain, err := s.secrets.Open(importedOf(k), k.Sealed)
	if err != nil {
		return nil, Rules{}, fmt.Errorf("imported key %s: %w", k.ID, errSealed)
	}
	defer clear(plain)
	var rules Rules
	if err := json.Unmarshal([]byte(k.Imported), &rules); err != nil {
		return nil, Rules{}, fmt.Errorf("read the rules of the imported key %s: %w", k.ID, err)
	}
	var key *jose.Key
	if alg := jose.Algorithm(k.Algorithm); alg.Shared() {
		key, err = jose.NewShared(alg, k.ID, plain, true)
	} else {
		key, err = jose.ParsePublic(alg, plain)
	}
	if err == nil && (importedID(key) != k.ID || !bytes.Equal(key.Public(), k.Public)) {
		err = fmt.Errorf("imported key %s: %w: its parts are of different keys", k.ID, jose.ErrWeakKey)
	}
	return key, rules, err
}
