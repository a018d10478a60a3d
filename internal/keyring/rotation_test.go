package keyring_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

// relying is a service that verifies access tokens by itself, as such services
// do: it keeps the published keys for as long as it was told, and asks again
// for a key that it does not know, but not often. It uses nothing of ours.
type relying struct {
	fetch  func() ([]byte, error)
	maxAge time.Duration
	again  time.Duration // between two fetches for unknown keys; 0: it does not
	now    func() time.Time

	mu      sync.Mutex
	keys    map[string]*ecdsa.PublicKey
	fetched time.Time
	asked   time.Time
	fetches int
}

var (
	errNoKey     = errors.New("unknown key")
	errSignature = errors.New("wrong signature")
	errTime      = errors.New("expired")
)

func (r *relying) verify(token string) error {
	header, rest, _ := strings.Cut(token, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	var h struct{ Alg, Kid string }
	var c struct{ Exp int64 }
	if err := errors.Join(unpack(header, &h), unpack(payload, &c)); err != nil {
		return err
	}
	key, err := r.key(h.Kid)
	if err != nil {
		return err
	}
	raw, err := base64.RawURLEncoding.DecodeString(signature)
	sum := sha256.Sum256([]byte(header + "." + payload))
	if err != nil || h.Alg != "ES256" || len(raw) != 64 || !ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])) {
		return errSignature
	}
	if r.now().Unix() >= c.Exp {
		return errTime
	}
	return nil
}

func unpack(part string, v any) error {
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, v)
}

func (r *relying) key(id string) (*ecdsa.PublicKey, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if r.keys == nil || now.Sub(r.fetched) >= r.maxAge {
		if err := r.load(now); err != nil {
			return nil, err
		}
	}
	if k := r.keys[id]; k != nil {
		return k, nil
	}
	if r.again > 0 && now.Sub(r.asked) >= r.again {
		r.asked = now
		if err := r.load(now); err != nil {
			return nil, err
		}
	}
	if k := r.keys[id]; k != nil {
		return k, nil
	}
	return nil, errNoKey
}

func (r *relying) load(now time.Time) error {
	text, err := r.fetch()
	if err != nil {
		return err
	}
	var set struct {
		Keys []struct{ Kid, X, Y string }
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return err
	}
	keys := map[string]*ecdsa.PublicKey{}
	for _, k := range set.Keys {
		x, errX := base64.RawURLEncoding.DecodeString(k.X)
		y, errY := base64.RawURLEncoding.DecodeString(k.Y)
		if err := errors.Join(errX, errY); err != nil {
			return err
		}
		if keys[k.Kid], err = ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y)); err != nil {
			return err
		}
	}
	r.keys, r.fetched, r.fetches = keys, now, r.fetches+1
	return nil
}

// rotated is two nodes and two services that verify by themselves, with clients
// that get access tokens from one node and use them everywhere.
type rotated struct {
	*coretest.Core
	nodes    []*tokens.Service
	services []*relying

	done atomic.Int64 // tokens that were issued and used everywhere
	keys sync.Map     // ids of keys by which tokens were signed

	mu   sync.Mutex
	live []secret.Text // some that are in use
}

const (
	publishBefore = time.Minute
	maxAge        = 40 * time.Second
)

func newRotated(t *testing.T) *rotated {
	t.Helper()
	policy := keyring.Policy{PublishBefore: publishBefore, MaxAge: maxAge, Longest: 10 * time.Minute}
	change := func(o *tokens.Options) { o.Policy.MaxPerAccount, o.PollEvery = -1, 10*time.Millisecond }
	r := &rotated{Core: coretest.New(t, coretest.Options{Tokens: change, Signing: policy})}
	other, ring := r.SigningNode(t, change, policy)
	for _, s := range []*keyring.Service{r.Signing, ring} {
		if err := s.Start(bg); err != nil {
			t.Fatalf("Start() = %v", err)
		}
	}
	r.Ready(t, other)
	r.nodes = []*tokens.Service{r.Tokens, other}
	for i, again := range []time.Duration{0, 30 * time.Second} {
		from := []*keyring.Service{r.Signing, ring}[i]
		r.services = append(r.services, &relying{maxAge: maxAge, again: again, now: r.Clock.Now, fetch: func() ([]byte, error) {
			body, _, err := from.JWKS(bg)
			return body, err
		}})
	}
	return r
}

// client issues a token and uses it, and an older one, everywhere. It reports
// every refusal of a token that is still good behind it.
func (r *rotated) client(t *testing.T, i int, caller func() *tokens.Service) {
	p, err := caller().IssuePair(bg, r.Admin, tokens.PairRequest{Request: tokens.Request{Name: "under rotation"}})
	if err != nil {
		t.Errorf("IssuePair() = %v", err)
		return
	}
	var h struct{ Kid string }
	header, _, _ := strings.Cut(p.Access.Reveal(), ".")
	if err := unpack(header, &h); err != nil {
		t.Error(err)
	}
	r.keys.Store(h.Kid, true)
	r.mu.Lock()
	r.live = append(r.live, p.Access)
	older := r.live[len(r.live)*(i%4)/4]
	r.mu.Unlock()
	for _, text := range []secret.Text{p.Access, older} {
		if err := r.use(text); err != nil {
			t.Errorf("a good token is refused: %v", err)
		}
	}
	r.done.Add(1)
}

// use uses a token everywhere. That it has ended meanwhile is no error.
func (r *rotated) use(text secret.Text) error {
	var c struct{ Exp int64 }
	if err := unpack(strings.Split(text.Reveal(), ".")[1], &c); err != nil {
		return err
	}
	var errs []error
	for i, node := range r.nodes {
		if _, err := node.Check(bg, tokens.Presented{Token: text, Addr: netip.MustParseAddr("192.0.2.1")}); err != nil && r.Clock.Now().Unix() < c.Exp {
			errs = append(errs, fmt.Errorf("by node %d: %w", i, err))
		}
	}
	for i, s := range r.services {
		if err := s.verify(text.Reveal()); err != nil && r.Clock.Now().Unix() < c.Exp {
			errs = append(errs, fmt.Errorf("by service %d: %w", i, err))
		}
	}
	return errors.Join(errs...)
}

// step lets clients work for a while, and then lets time pass.
func (r *rotated) step(t *testing.T, by time.Duration) {
	t.Helper()
	want := r.done.Load() + 4
	for deadline := time.Now().Add(time.Minute); r.done.Load() < want && !t.Failed(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the clients do nothing")
		}
	}
	r.Clock.Advance(by)
	if err := r.Signing.Settle(bg); err != nil {
		t.Errorf("Settle() = %v", err)
	}
}

// Keys are rotated ten times while clients get and use tokens, and not one good
// token is refused: not by either node, and not by a service that verifies by
// the published keys and keeps them for as long as it was told, whether or not it
// asks again for those it does not know. Then a key is withdrawn, and what it has
// signed counts nowhere any more: at once here, within the bound on the other
// node, and when what they keep is too old with services (S58).
func TestRotationUnderLoad(t *testing.T) {
	r := newRotated(t)
	ctx, cancel := context.WithCancel(bg)
	var clients sync.WaitGroup
	for i := range 4 {
		clients.Go(func() {
			for n := i; ctx.Err() == nil && !t.Failed(); n++ {
				r.client(t, n, func() *tokens.Service { return r.nodes[n%2] })
			}
		})
	}
	for range 10 {
		next, err := r.Signing.Rotate(bg, r.Admin)
		if err != nil {
			t.Fatalf("Rotate() = %v", err)
		}
		for r.Clock.Now().Before(next.Record.ActiveAt) && !t.Failed() {
			r.step(t, 10*time.Second)
		}
		r.step(t, 5*time.Second)
	}
	for range 4 { // so that the last key has signed, too
		r.step(t, 0)
	}
	cancel()
	clients.Wait()
	signed := 0
	r.keys.Range(func(_, _ any) bool { signed++; return true })
	if signed != 11 {
		t.Errorf("tokens were signed by %d keys, want 11", signed)
	}
	for i, s := range r.services {
		if s.fetches < 10 {
			t.Errorf("service %d has read the keys %d times, want at least 10", i, s.fetches)
		}
	}
	t.Logf("%d tokens were issued and used", r.done.Load())
	if !t.Failed() {
		r.withdraw(t)
	}
}

func (r *rotated) withdraw(t *testing.T) {
	t.Helper()
	made, err := r.Tokens.IssuePair(bg, r.Admin, tokens.PairRequest{Request: tokens.Request{Name: "of the withdrawn key"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.use(made.Access); err != nil {
		t.Fatalf("before the key is withdrawn: %v", err)
	}
	signs := states(t, r.Core)[keyring.Active]
	if _, err := r.Signing.Revoke(bg, r.Admin, signs[0], "a test"); err != nil {
		t.Fatalf("Revoke() = %v", err)
	}
	refused := func(node *tokens.Service) bool {
		_, err := node.Check(bg, tokens.Presented{Token: made.Access})
		var why *tokens.Refusal
		return errors.As(err, &why)
	}
	if !refused(r.nodes[0]) {
		t.Error("the node that has withdrawn the key takes a token of it")
	}
	for deadline := time.Now().Add(time.Minute); !refused(r.nodes[1]); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the other node goes on to take a token of the withdrawn key")
		}
	}
	r.Clock.Advance(maxAge)
	for i, s := range r.services {
		if err := s.verify(made.Access.Reveal()); !errors.Is(err, errNoKey) {
			t.Errorf("service %d, after %s: verify() = %v, want %v", i, maxAge, err, errNoKey)
		}
	}
	for i, node := range r.nodes { // the next key is known everywhere already
		next, err := node.IssuePair(bg, r.Admin, tokens.PairRequest{Request: tokens.Request{Name: "of the next key"}})
		if err != nil {
			t.Fatalf("IssuePair() on node %d = %v", i, err)
		}
		if err := r.use(next.Access); err != nil {
			t.Errorf("a token of the next key, from node %d: %v", i, err)
		}
	}
}
