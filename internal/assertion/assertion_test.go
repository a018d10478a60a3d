package assertion

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/jose"
	"github.com/latchkey-auth/latchkey/internal/keyring"
)

const (
	issuer = "https://tokens.example"
	files  = "https://files.example"
	shop   = "https://shop.example"
)

// counting signs with nothing, and counts.
type counting struct {
	generation atomic.Uint64
	signed     atomic.Int64
	fail       atomic.Bool
	wait       chan struct{} // nil: not at all
	expires    time.Time     // of the last one
}

func (s *counting) Generation() uint64 { return s.generation.Load() }

func (s *counting) Sign(ctx context.Context, f keyring.Form, claims any, expires time.Time) (string, error) {
	n := s.signed.Add(1)
	if s.wait != nil {
		<-s.wait
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if s.fail.Load() {
		return "", errors.New("planted")
	}
	s.expires = expires
	body, err := json.Marshal(claims)
	return fmt.Sprintf("%d.%s.%s", n, f.Type, base64.RawURLEncoding.EncodeToString(body)), err
}

func newAsserter(t testing.TB, s Signer, clock *coretest.Clock) *Asserter {
	t.Helper()
	a, err := New(Options{Signer: s, Issuer: issuer, Now: clock.Now})
	if err != nil {
		t.Fatalf("New() = %v", err)
	}
	return a
}

func alice() *identity.Identity {
	return &identity.Identity{Method: identity.Token, AccountID: "acc_alice", Name: "alice", TokenID: "tok_1", EffectiveText: "path:/a/*:read"}
}

func assert(t testing.TB, a *Asserter, id *identity.Identity, audience string) string {
	t.Helper()
	text, err := a.Assert(t.Context(), id, audience)
	if err != nil || text == "" {
		t.Fatalf("Assert(%s) = %q, %v, want an assertion", audience, text, err)
	}
	return text
}

// S92: signed by a real key, for one audience, for at most a minute, and of a
// kind that passes for nothing else.
func TestAssertion(t *testing.T) {
	c := coretest.New(t, coretest.Options{})
	c.Ready(t)
	if err := c.Signing.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	a := newAsserter(t, c.Signing, c.Clock)
	text := assert(t, a, alice(), files)
	profile := jose.Profile{Type: Type, Issuer: issuer, Audience: files, Required: []string{"sub", "iat", "nbf", "jti"}}
	got, err := c.Signing.Verify(t.Context(), text, profile)
	if err != nil {
		t.Fatalf("Verify() = %v, want no error", err)
	}
	if life := got.ExpiresAt.Sub(got.IssuedAt); life != time.Minute || !got.NotBefore.Equal(got.IssuedAt) || got.IssuedAt.After(c.Clock.Now()) {
		t.Errorf("it lives from %s (%s) to %s, want a minute", got.IssuedAt, got.NotBefore, got.ExpiresAt)
	}
	want := map[string]any{"iss": issuer, "aud": files, "sub": "acc_alice", "name": "alice", "token_id": "tok_1", "scope": "path:/a/*:read"}
	for _, name := range []string{"iat", "nbf", "exp", "jti"} {
		want[name] = got.Claims[name]
	}
	if diff := cmp.Diff(want, map[string]any(got.Claims)); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	for name, wrong := range map[string]jose.Profile{
		"another service":    {Type: Type, Issuer: issuer, Audience: shop},
		"an access token":    jose.AccessToken(issuer, files),
		"a token of any use": {Type: "JWT", Issuer: issuer, Audience: files},
	} {
		if _, err := c.Signing.Verify(t.Context(), text, wrong); err == nil {
			t.Errorf("it passes for %s", name)
		}
	}
	c.Clock.Advance(time.Minute)
	if _, err := c.Signing.Verify(t.Context(), text, profile); !errors.Is(err, jose.ErrExpired) {
		t.Errorf("Verify() a minute later = %v, want %v", err, jose.ErrExpired)
	}
}

// The same is handed out again for some seconds, to the same for the same alone.
func TestReuse(t *testing.T) {
	s, clock := &counting{}, coretest.NewClock()
	a := newAsserter(t, s, clock)
	one, other := alice(), alice()
	first := assert(t, a, one, files)
	clock.Advance(reuse - 1)
	if again := assert(t, a, one, files); again != first {
		t.Error("within some seconds another one is made")
	}
	if assert(t, a, one, shop) == first {
		t.Error("two services get the same")
	}
	if assert(t, a, other, files) == first { // as after a change of the token
		t.Error("another identity gets the same, though all in it is equal")
	}
	clock.Advance(1)
	if assert(t, a, one, files) == first {
		t.Error("it is handed out for too long")
	}
	clock.Advance(-time.Hour)
	before := s.signed.Load()
	if assert(t, a, one, files); s.signed.Load() == before {
		t.Error("one from the future is handed out")
	}
	now := assert(t, a, one, files)
	s.generation.Add(1) // a key was withdrawn
	if assert(t, a, one, files) == now {
		t.Error("one that a withdrawn key may have signed is handed out")
	}
}

// It ends with the token at the latest.
func TestEndsWithTheToken(t *testing.T) {
	s, clock := &counting{}, coretest.NewClock()
	a := newAsserter(t, s, clock)
	id := alice()
	id.ExpiresAt = clock.Now().Add(10*time.Second + 500*time.Millisecond)
	assert(t, a, id, files)
	if want := clock.Now().Add(10 * time.Second); !s.expires.Equal(want) {
		t.Errorf("it ends at %s, want %s, within the life of the token", s.expires, want)
	}
	id = alice()
	id.ExpiresAt = clock.Now().Add(time.Hour)
	assert(t, a, id, files)
	if want := clock.Now().Add(Life - backdate); !s.expires.Equal(want) {
		t.Errorf("it ends at %s, want %s", s.expires, want)
	}
}

// A scope that is too long is not said at all, and an empty one is.
func TestScopeClaim(t *testing.T) {
	s, clock := &counting{}, coretest.NewClock()
	a := newAsserter(t, s, clock)
	for scope, want := range map[string]bool{"": true, "path:/*:read": true, strings.Repeat("x", maxScope): true, strings.Repeat("x", maxScope+1): false} {
		id := alice()
		id.EffectiveText = scope
		body, err := base64.RawURLEncoding.DecodeString(strings.Split(assert(t, a, id, files), ".")[2])
		if err != nil {
			t.Fatal(err)
		}
		var claims map[string]any
		if err := json.Unmarshal(body, &claims); err != nil {
			t.Fatal(err)
		}
		if got, there := claims["scope"]; there != want || there && got != scope {
			t.Errorf("a scope of %d bytes is said: %v, want %v", len(scope), there, want)
		}
	}
}

func TestRefused(t *testing.T) {
	s, clock := &counting{}, coretest.NewClock()
	a := newAsserter(t, s, clock)
	for name, c := range map[string]struct {
		id       *identity.Identity
		audience string
	}{"nobody": {nil, files}, "nobody known": {&identity.Identity{}, files}, "for nobody": {alice(), ""}} {
		if text, err := a.Assert(t.Context(), c.id, c.audience); err == nil || text != "" {
			t.Errorf("%s: Assert() = %q, %v, want an error", name, text, err)
		}
	}
	id := alice()
	s.fail.Store(true)
	for range 2 {
		if text, err := a.Assert(t.Context(), id, files); err == nil || text != "" {
			t.Errorf("Assert() that cannot be signed = %q, %v, want an error", text, err)
		}
	}
	s.fail.Store(false) // a failure is not remembered
	assert(t, a, id, files)
	for _, o := range []Options{{}, {Signer: s}, {Issuer: issuer}} {
		if _, err := New(o); err == nil {
			t.Errorf("New(%+v) = nil error, want one", o)
		}
	}
}

// Of many who ask at once one is kept waiting for the signature, not all of
// them, and the one whose client goes away spoils it for nobody.
func TestOneSignatureForAll(t *testing.T) {
	s, clock := &counting{wait: make(chan struct{})}, coretest.NewClock()
	a := newAsserter(t, s, clock)
	id := alice()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if _, err := a.Assert(gone, id, files); err != nil {
				t.Errorf("Assert() = %v, want no error", err)
			}
		})
	}
	close(s.wait)
	wg.Wait()
	if n := s.signed.Load(); n != 1 {
		t.Errorf("100 at once made %d signatures, want 1", n)
	}
}

// Whoever panics while signing leaves no empty assertion behind.
func TestPanic(t *testing.T) {
	clock := coretest.NewClock()
	var c cache
	c.init()
	k := key{alice(), files}
	func() {
		defer func() { _ = recover() }()
		_, _ = c.get(k, 0, clock.Now(), func() (string, error) { panic("planted") })
	}()
	if text, err := c.get(k, 0, clock.Now(), func() (string, error) { return "x", nil }); err == nil {
		t.Errorf("get() after a panic = %q, want an error once", text)
	}
	if text, err := c.get(k, 0, clock.Now(), func() (string, error) { return "x", nil }); err != nil || text != "x" {
		t.Errorf("get() later = %q, %v, want x", text, err)
	}
}

// The memory is bounded however many come.
func TestBounded(t *testing.T) {
	s, clock := &counting{}, coretest.NewClock()
	a := newAsserter(t, s, clock)
	for i := range 5 * shards * most {
		assert(t, a, alice(), files)
		if i%1000 == 0 {
			clock.Advance(time.Millisecond)
		}
	}
	n := 0
	for i := range a.cache.shards {
		n += len(a.cache.shards[i].young) + len(a.cache.shards[i].old)
	}
	if n > 2*shards*most {
		t.Errorf("%d assertions are kept, want %d at most", n, 2*shards*most)
	}
	// Those of passwords are made for one request, and not kept.
	password := alice()
	password.Method, password.TokenID = identity.Password, ""
	before := s.signed.Load()
	assert(t, a, password, files)
	assert(t, a, password, files)
	if s.signed.Load() != before+2 {
		t.Error("the assertion of a password login is kept")
	}
}

// What is handed out again costs no allocation.
func TestHitAllocatesNothing(t *testing.T) {
	s, clock := &counting{}, coretest.NewClock()
	a := newAsserter(t, s, clock)
	id, ctx := alice(), t.Context()
	assert(t, a, id, files)
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := a.Assert(ctx, id, files); err != nil {
			t.Error(err)
		}
	}); n > 0 {
		t.Errorf("Assert() of a known one makes %v allocations, want none", n)
	}
}
