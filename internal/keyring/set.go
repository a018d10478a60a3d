package keyring

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/jose"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// set is all keys as they were loaded. It does not change.
type set struct {
	generation uint64
	loadedAt   time.Time
	keys       []held
	byID       map[string]*held // by both of their ids
	imported   []imported       // keys of other issuers, which are none of the others
	document   atomic.Pointer[document]
}

// held is a key that can be used.
type held struct {
	record store.SigningKey // without what is sealed
	key    *jose.Key
}

// errNoSigner says that no key has a private part that this server can open.
var errNoSigner = errors.New("there is no key to sign with")

// latest returns the set for verifying and publishing: one that is no older
// than the bound, unless the operator allows that (S58).
func (s *Service) latest(ctx context.Context) (*set, error) {
	have := s.held.Load()
	current := have != nil && have.generation == s.generation.Load()
	if current && s.follower.Ready() {
		return have, nil
	}
	loaded, err := s.load(ctx)
	if err != nil && current && fault.Is(err, fault.Unavailable) && s.follower.MayBeStale() {
		return have, nil
	}
	return loaded, err
}

// known returns the set for signing: what is held as long as nothing says that
// it has changed. To sign by a key that was withdrawn elsewhere a moment ago
// does no harm, since nobody takes it.
func (s *Service) known(ctx context.Context) (*set, error) {
	if have := s.held.Load(); have != nil && have.generation == s.generation.Load() {
		return have, nil
	}
	return s.load(ctx)
}

// load reads all keys. Others who ask meanwhile wait for the outcome.
func (s *Service) load(ctx context.Context) (*set, error) {
	asked := time.Now()
	s.loading.Lock()
	defer s.loading.Unlock()
	generation := s.generation.Load()
	if have := s.held.Load(); have != nil && have.generation == generation && have.loadedAt.After(asked) {
		return have, nil
	}
	loadedAt := time.Now()
	records, err := s.store.SigningKeys(ctx)
	if err != nil {
		return nil, fault.FromStore(err)
	}
	fresh := &set{generation: generation, loadedAt: loadedAt, byID: map[string]*held{}}
	for _, k := range records {
		if k.Imported != "" {
			s.loadImported(fresh, k)
			continue
		}
		key, err := s.unseal(k)
		if err != nil {
			// Without it fewer tokens count, not more.
			s.log.Error("a signing key cannot be used", "key", k.ID, "err", err)
			continue
		}
		k.Sealed = nil
		fresh.keys = append(fresh.keys, held{k, key})
	}
	for i := range fresh.keys {
		h := &fresh.keys[i]
		fresh.byID[h.key.ID()], fresh.byID[h.key.LibtrustID()] = h, h
	}
	s.held.Store(fresh)
	return fresh, nil
}

func (s *Service) loadImported(fresh *set, k store.SigningKey) {
	key, rules, err := s.unsealImported(k)
	if err != nil {
		s.log.Error("an imported key cannot be used", "key", k.ID, "err", err)
		return
	}
	k.Sealed = nil
	fresh.imported = append(fresh.imported, imported{k, key, rules})
}

// counts reports whether what the key has signed counts.
func (h *held) counts(now time.Time) bool {
	switch StateOf(h.record, now) {
	case Published, Active, Retired:
		return true
	}
	return false
}

// signer returns the key that signs at a time. Where the clock of this server
// is a little behind the one that made the last change, that is the next key.
func (s *set) signer(now time.Time) (*held, error) {
	var best, next *held
	for i := range s.keys {
		h := &s.keys[i]
		if !h.key.Signs() {
			continue
		}
		switch StateOf(h.record, now) {
		case Active:
			if best == nil || h.record.ActiveAt.After(best.record.ActiveAt) {
				best = h
			}
		case Published:
			if next == nil || sooner(h.record.ActiveAt, next.record.ActiveAt) {
				next = h
			}
		}
	}
	switch {
	case best != nil:
		return best, nil
	case next != nil:
		return next, nil
	}
	return nil, errNoSigner
}

// own lists the keys that verifiers need: the one that signs, the next, and
// those that have signed what may still count.
func (s *set) own(now time.Time) []*held {
	var list []*held
	for i := range s.keys {
		if h := &s.keys[i]; h.counts(now) {
			list = append(list, h)
		}
	}
	order := map[State]int{Active: 0, Published: 1, Retired: 2}
	slices.SortStableFunc(list, func(a, b *held) int {
		return order[StateOf(a.record, now)] - order[StateOf(b.record, now)]
	})
	return list
}

// Form is how a token is signed.
type Form struct {
	Type string // as in [jose.Header]

	// Libtrust names the key by the id that docker-registry 2 knows it by,
	// instead of the thumbprint. Verifiers that read our JWKS know both.
	Libtrust bool

	// Certificate sends the key's certificate along (x5c).
	Certificate bool
}

// Sign makes a token that expires at the given time. Claims are anything that
// encodes to a JSON object; "exp" must be in them already.
func (s *Service) Sign(ctx context.Context, f Form, claims any, expires time.Time) (string, error) {
	now := s.now()
	if expires.After(now.Add(s.policy.Longest)) {
		return "", fmt.Errorf("a token that lives until %s would outlive its key", expires)
	}
	have, err := s.known(ctx)
	if err != nil {
		return "", err
	}
	h, err := have.signer(now)
	if err != nil {
		return "", fault.Unavailablef(err, "nothing can be signed now")
	}
	header := jose.Header{Type: f.Type}
	if f.Libtrust {
		header.KeyID = h.key.LibtrustID()
	}
	if f.Certificate {
		header.Chain = [][]byte{h.record.Certificate}
	}
	return h.key.Sign(header, claims)
}

// refreshEvery is how often an unknown key id makes the keys be loaded again,
// at most (S56).
const refreshEvery = time.Second

// Verify checks a token that this server has signed. The error is one of those
// of package jose when the token does not count, and a fault of kind
// Unavailable when that cannot be known now.
func (s *Service) Verify(ctx context.Context, token string, p jose.Profile) (*jose.Token, error) {
	have, err := s.latest(ctx)
	if err != nil {
		return nil, err
	}
	t, err := p.Verify(token, have.find(s.now()), s.now())
	if !errors.Is(err, jose.ErrUnknownKey) || time.Since(have.loadedAt) < refreshEvery {
		return t, err
	}
	// It may be a key that another node has made in an emergency.
	if have, err = s.load(ctx); err != nil {
		return nil, err
	}
	return p.Verify(token, have.find(s.now()), s.now())
}

// find returns the look-up of own keys at a time.
func (s *set) find(now time.Time) jose.Keys {
	return func(id string) *jose.Key {
		if h := s.byID[id]; h != nil && h.counts(now) {
			return h.key
		}
		return nil
	}
}
