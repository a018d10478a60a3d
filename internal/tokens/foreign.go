package tokens

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/jose"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// Tokens of another issuer, whose key was imported, are not in the store: what
// they say and their signature is all that there is, until one of them is
// revoked, or a refresh token is used. Then it has a record, under an id that
// follows from the key and the token's own id. So a check needs no more than
// to look whether there is one, and all that ends a token of ours ends these.

// Directory tells which account a token of another issuer stands for;
// [accounts.Service] is one. The error is [store.ErrNotFound] when there is
// none.
type Directory interface {
	AccountOf(ctx context.Context, source, userIs, value string) (store.Account, error)
}

// TakeImported lets tokens of other issuers count whose keys were imported. It
// is called once, before the core serves.
func (s *Service) TakeImported(d Directory) { s.directory = d }

// Begin says what family a refresh token of another issuer begins.
type Begin struct {
	// Life is how long the family lives at least, from when the token was
	// issued. It lives as long as the token in any case.
	Life  time.Duration
	Terms Terms
}

// maxForeignID is how many bytes the id of a token of another issuer may have:
// as many as the tables of simplejwt keep.
const maxForeignID = 255

// readForeign reads a token of another issuer; false when it is none. The error
// is a [*Refusal] when the token does not count; it comes with what the token
// says when it is good but for that nobody is known whom it names.
func (s *Service) readForeign(ctx context.Context, text string) (said Signed, foreign bool, err error) {
	if s.directory == nil {
		return Signed{}, false, nil
	}
	f, err := s.signer.VerifyImported(ctx, text)
	switch {
	case errors.Is(err, jose.ErrUnknownKey), errors.Is(err, jose.ErrMalformed): // it may be ours
		return Signed{}, false, nil
	case errors.Is(err, jose.ErrExpired):
		return Signed{}, true, &Refusal{Reason: ReasonExpired}
	case errors.Is(err, jose.ErrSignature):
		return Signed{}, true, refusedUnknown
	case errors.Is(err, jose.ErrClaims):
		return Signed{}, true, refusedMalformed
	case err != nil:
		return Signed{}, true, err
	}
	said, user, ok := foreignSays(f)
	if !ok {
		return Signed{}, true, refusedMalformed
	}
	account, err := s.directory.AccountOf(ctx, f.Rules.Source, f.Rules.UserIs, user)
	if errors.Is(err, store.ErrNotFound) {
		return said, true, refusedUnknown
	}
	if err != nil {
		return Signed{}, true, err
	}
	said.AccountID = account.ID
	return said, true, nil
}

// foreignSays puts into the core's words what a token of another issuer says,
// and tells whom it names.
func foreignSays(f *keyring.Foreign) (said Signed, user string, ok bool) {
	c, r := f.Token.Claims, f.Rules
	id, user := c.Text(r.IDClaim), userOf(c[r.UserClaim])
	if id == "" || len(id) > maxForeignID || user == "" {
		return Signed{}, "", false
	}
	said = Signed{
		Kind: SignedKind(c.Text(r.TypeClaim)), ID: foreignID(f.Tag, id), KeyID: f.KeyID, Scope: r.Scope,
		IssuedAt: f.Token.IssuedAt, ExpiresAt: f.Ends, forgetAt: f.Token.ExpiresAt,
	}
	said.FamilyID = said.ID
	switch said.Kind {
	case SignedAccess, SignedRefresh:
		return said, user, true
	case SignedSliding:
		until, err := c.Date(r.RenewClaim)
		if err != nil || until.IsZero() {
			return Signed{}, "", false
		}
		said.RefreshUntil = until
		if until.After(said.forgetAt) {
			said.forgetAt = until
		}
		if most := said.IssuedAt.Add(r.Longest); r.Longest > 0 && most.Before(until) {
			said.RefreshUntil = most
		}
		return said, user, true
	}
	return Signed{}, "", false
}

// userOf reads the claim for the user: a text, or a whole number, as simplejwt
// wrote it before 5.5.1; "" for anything else.
func userOf(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		if text := v.String(); strings.Trim(text, "0123456789") == "" {
			return text
		}
	}
	return ""
}

// foreignID is the id under which a token of another issuer is known here. It
// stays the same if the key is imported again.
func foreignID(tag [sha256.Size]byte, id string) string {
	sum := sha256.Sum256(append(tag[:], id...))
	return store.ImportedPrefix + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:20]))
}

// foreignName is what lists show such tokens as.
const foreignName = "imported token"

// foreignFamily returns what stands for the family of a token of another
// issuer: its record, or what would be in it. One that was issued before all
// tokens of its account were ended, has ended with them.
func (s *Service) foreignFamily(ctx context.Context, said Signed) (store.Token, *holder, error) {
	h, err := s.holder(ctx, said.AccountID)
	if err != nil {
		return store.Token{}, nil, err
	}
	t, err := s.store.Token(ctx, said.FamilyID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		t = foreignToken(said, h)
	case err != nil:
		return store.Token{}, nil, fault.FromStore(err)
	case t.AccountID != said.AccountID:
		return store.Token{}, nil, refusedUnknown
	default:
		t = s.withLatestUse(t)
	}
	if said.IssuedAt.Before(h.account.EpochAt) {
		t.Epoch = h.account.Epoch - 1
	}
	return t, h, nil
}

// foreignToken is the record of a token of another issuer.
func foreignToken(said Signed, h *holder) store.Token {
	t := store.Token{
		ID: said.ID, AccountID: said.AccountID, Class: string(Refresh), Name: foreignName, Prefix: said.ID[:shownHexLength],
		Scope: said.Scope, Epoch: h.account.Epoch, CreatedAt: said.IssuedAt, ExpiresAt: said.forgetAt,
	}
	if said.Kind == SignedAccess {
		t.Class = string(Access)
	}
	return t
}

// foreignCaller reports whether somebody asks by a token of another issuer.
func foreignCaller(caller *identity.Identity) bool {
	return caller.Method == identity.Token && strings.HasPrefix(caller.TokenID, store.ImportedPrefix)
}

// foreignOf is what is known of a token of another issuer that was accepted.
func foreignOf(id *identity.Identity) store.Token {
	return store.Token{
		ID: id.TokenID, AccountID: id.AccountID, Class: id.Class, Name: id.TokenName, Prefix: id.TokenID[:shownHexLength],
		Scope: id.TokenScope.Strings(), Epoch: id.Epoch, CreatedAt: id.IssuedAt, ExpiresAt: id.ExpiresAt,
	}
}

// foreignSecret is by what the record of a token of another issuer is found
// when it is used for refreshing.
func (s *Service) foreignSecret(tokenID string, now time.Time) store.Secret {
	key := s.keys.Current()
	sum := key.Digest(refreshDigest(tokenID))
	return store.Secret{Digest: sum[:], TokenID: tokenID, KeyID: key.ID(), CreatedAt: now}
}

// adopt begins a family with a refresh or sliding token of another issuer. Who
// comes second finds the family that the first has begun.
func (s *Service) adopt(ctx context.Context, said Signed, r RefreshRequest) error {
	now := s.now().UTC()
	t, h, err := s.foreignFamily(ctx, said)
	if err != nil {
		return err
	}
	if r.Begin == nil || r.Begin.Terms.Sliding != (said.Kind == SignedSliding) {
		return &Refusal{Reason: ReasonKind, TokenID: said.ID, AccountID: said.AccountID, AccountName: h.account.Name}
	}
	if e := newEntry(digest{}, store.FoundToken{Token: withClass(t, Access)}, h, now); e.refusal != nil {
		return e.refusal
	}
	if ends := said.IssuedAt.Add(r.Begin.Life); !r.Begin.Terms.KeepRefresh && ends.After(t.ExpiresAt) {
		t.ExpiresAt = ends
	}
	written, err := json.Marshal(r.Begin.Terms)
	if err != nil {
		return fmt.Errorf("write the terms of a family: %w", err)
	}
	err = s.store.Update(ctx, func(tx store.Tx) error {
		account, err := tx.LockAccount(t.AccountID)
		if errors.Is(err, store.ErrNotFound) {
			return refusedUnknown
		}
		if err != nil {
			return err
		}
		if account.Disabled || account.Epoch != t.Epoch {
			return &Refusal{Reason: ReasonRevoked, TokenID: t.ID, AccountID: t.AccountID, AccountName: account.Name}
		}
		if err := tx.InsertToken(t, s.foreignSecret(t.ID, now)); err != nil {
			return err
		}
		if err := tx.InsertFamily(store.Family{TokenID: t.ID, Terms: string(written)}); err != nil {
			return err
		}
		e := audit.Event(ctx, now, nil, "pair.import", audit.OK)
		e.Target, e.TokenID, e.ActorID, e.ActorName = t.ID, t.ID, t.AccountID, account.Name
		e.Detail = map[string]string{"key": said.KeyID, "client": audit.Clip(r.Begin.Terms.ClientID)}
		return tx.AppendEvent(e)
	})
	var refusal *Refusal
	switch {
	case errors.Is(err, store.ErrConflict): // somebody else was first
		return nil
	case errors.As(err, &refusal):
		return refusal
	}
	return fault.FromStore(err)
}

func withClass(t store.Token, c Class) store.Token {
	t.Class = string(c)
	return t
}

// lockForeign is LockToken for a token that may be of another issuer: what has
// no record yet gets one.
func (s *Service) lockForeign(tx store.Tx, t store.Token, now time.Time) (store.Token, error) {
	locked, err := tx.LockToken(t.ID)
	if !errors.Is(err, store.ErrNotFound) || !strings.HasPrefix(t.ID, store.ImportedPrefix) {
		return locked, err
	}
	if _, err := tx.LockAccount(t.AccountID); err != nil {
		return store.Token{}, err
	}
	if err := tx.InsertToken(t, s.foreignSecret(t.ID, now)); err != nil && !errors.Is(err, store.ErrConflict) {
		return store.Token{}, err
	}
	return tx.LockToken(t.ID)
}
