package keyring_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/jose"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/pgtest"
	"github.com/latchkey-auth/latchkey/internal/serverkey"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/store/postgres"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

var bg = context.Background()

// started returns a core whose ring has its first keys.
func started(t testing.TB, o coretest.Options) *coretest.Core {
	t.Helper()
	c := coretest.New(t, o)
	c.Ready(t)
	if err := c.Signing.Start(bg); err != nil {
		t.Fatalf("Start() = %v", err)
	}
	return c
}

var profile = jose.Profile{Type: "test+jwt", Issuer: "us", Audience: "them"}

func sign(t testing.TB, c *coretest.Core, ring *keyring.Service) string {
	t.Helper()
	expires := c.Clock.Now().Add(time.Minute)
	token, err := ring.Sign(bg, keyring.Form{Type: "test+jwt"}, map[string]any{"iss": "us", "aud": "them", "exp": expires.Unix()}, expires)
	if err != nil {
		t.Fatalf("Sign() = %v", err)
	}
	return token
}

// states returns the ids of keys by their state.
func states(t testing.TB, c *coretest.Core) map[keyring.State][]string {
	t.Helper()
	list, err := c.Signing.List(bg, c.Admin)
	if err != nil {
		t.Fatalf("List() = %v", err)
	}
	got := map[keyring.State][]string{}
	for _, k := range list {
		got[k.State] = append(got[k.State], k.Record.ID)
	}
	return got
}

// published returns the set as verifiers get it.
func published(t testing.TB, ring *keyring.Service) map[string]jose.JWK {
	t.Helper()
	body, etag, err := ring.JWKS(bg)
	if err != nil || etag == "" {
		t.Fatalf("JWKS() = %s, %q, %v", body, etag, err)
	}
	var out jose.JWKS
	if err := json.Unmarshal(body, &out); err != nil {
		t.Fatal(err)
	}
	keys := map[string]jose.JWK{}
	for _, k := range out.Keys {
		keys[k.ID] = k
	}
	if len(keys) != len(out.Keys) {
		t.Errorf("two keys have one id: %s", body)
	}
	return keys
}

// S73: the first start makes keys of its own.
func TestStart(t *testing.T) {
	for _, alg := range []jose.Algorithm{"", jose.EdDSA, jose.PS256} {
		c := started(t, coretest.Options{Signing: keyring.Policy{Algorithm: alg}})
		if alg == "" {
			alg = jose.ES256
		}
		got := states(t, c)
		if len(got[keyring.Active]) != 1 || len(got[keyring.Published]) != 1 || len(got) != 2 {
			t.Errorf("after the first start the keys are %v, want one that signs and the next", got)
		}
		keys := published(t, c.Signing)
		if len(keys) != 4 || keys[got[keyring.Active][0]].Algorithm != string(alg) {
			t.Errorf("published are %v, want two keys for %s under two ids each", keys, alg)
		}
		if _, err := c.Signing.Verify(bg, sign(t, c, c.Signing), profile); err != nil {
			t.Errorf("%s: Verify() = %v, want no error", alg, err)
		}
		if err := c.Signing.Start(bg); err != nil {
			t.Errorf("Start() again = %v", err)
		}
		if again := published(t, c.Signing); len(again) != 4 {
			t.Errorf("after the second start %d ids are published, want the same 4", len(again))
		}
	}
}

// Both keys of the first start are as old; the one that signs comes first.
func TestListOrder(t *testing.T) {
	for range 10 {
		c := started(t, coretest.Options{})
		list, err := c.Signing.List(bg, c.Admin)
		if err != nil || len(list) != 2 || list[0].State != keyring.Active {
			t.Fatalf("List() = %+v, %v, want the one that signs and the next", list, err)
		}
	}
}

// S49: what is published has public members only.
func TestNothingPrivateIsPublished(t *testing.T) {
	c := started(t, coretest.Options{Signing: keyring.Policy{Algorithm: jose.RS256}})
	body, _, err := c.Signing.JWKS(bg)
	if err != nil {
		t.Fatal(err)
	}
	var out struct{ Keys []map[string]string }
	if err := json.Unmarshal(body, &out); err != nil {
		t.Fatal(err)
	}
	for _, k := range out.Keys {
		for name := range k {
			if !slices.Contains([]string{"kty", "use", "alg", "kid", "n", "e"}, name) {
				t.Errorf("a published key has the member %q", name)
			}
		}
	}
}

// S58: a withdrawn key counts no more once the call has returned; elsewhere
// once the change has arrived. A key of an emergency is taken at once.
func TestRevoke(t *testing.T) {
	c := started(t, coretest.Options{})
	token := sign(t, c, c.Signing)
	follower, second := c.SigningNode(t, func(o *tokens.Options) { o.PollEvery = time.Millisecond }, keyring.Policy{})
	c.Ready(t, follower)
	if _, err := second.Verify(bg, token, profile); err != nil {
		t.Fatalf("another node: Verify() = %v, want no error", err)
	}
	generation := c.Signing.Generation()
	before := states(t, c)
	signing, next := before[keyring.Active][0], before[keyring.Published][0]
	got, err := c.Signing.Revoke(bg, c.Admin, signing, "leaked")
	if err != nil || got.State != keyring.Withdrawn || got.Record.WithdrawReason != "leaked" {
		t.Fatalf("Revoke() = %+v, %v, want a withdrawn key", got, err)
	}
	if _, err := c.Signing.Verify(bg, token, profile); !errors.Is(err, jose.ErrUnknownKey) {
		t.Errorf("Verify() of what it has signed = %v, want %v", err, jose.ErrUnknownKey)
	}
	if c.Signing.Generation() == generation {
		t.Error("the generation is the same after a revocation")
	}
	if _, there := published(t, c.Signing)[signing]; there {
		t.Error("a withdrawn key is published")
	}
	if after := states(t, c); after[keyring.Active][0] != next || len(after[keyring.Published]) != 1 {
		t.Errorf("the keys after a revocation are %v, want %s to sign and another one to be published", after, next)
	}
	fresh := sign(t, c, c.Signing)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		_, old := second.Verify(bg, token, profile)
		_, new := second.Verify(bg, fresh, profile)
		if errors.Is(old, jose.ErrUnknownKey) && new == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("another node says %v of the old token and %v of the new one", old, new)
		}
	}
	for id, kind := range map[string]fault.Kind{signing: fault.Conflict, "none": fault.NotFound, "": fault.NotFound} {
		if _, err := c.Signing.Revoke(bg, c.Admin, id, ""); !fault.Is(err, kind) {
			t.Errorf("Revoke(%q) = %v, want %s", id, err, kind)
		}
	}
}

// S58: what was signed before a rotation counts as long as it lives.
func TestRotation(t *testing.T) {
	c := started(t, coretest.Options{Signing: keyring.Policy{RotateEvery: 24 * time.Hour, PublishBefore: time.Hour}})
	next := states(t, c)[keyring.Published][0]
	got, err := c.Signing.Rotate(bg, c.Admin)
	if err != nil || got.Record.ID != next || !got.Record.ActiveAt.Equal(c.Clock.Now().Add(time.Hour)) {
		t.Fatalf("Rotate() = %+v, %v, want %s to follow in an hour", got, err, next)
	}
	c.Clock.Advance(59 * time.Minute)
	var tokens []string
	for range 60 { // five minutes: over the turn, and beyond the end of the old key
		tokens = append(tokens, sign(t, c, c.Signing))
		for _, token := range tokens[max(0, len(tokens)-12):] { // those of the last minute
			if _, err := c.Signing.Verify(bg, token, profile); err != nil {
				t.Fatalf("Verify() = %v, want no error", err)
			}
		}
		c.Clock.Advance(5 * time.Second)
		if err := c.Signing.Settle(bg); err != nil {
			t.Fatal(err)
		}
	}
	if got := states(t, c); got[keyring.Active][0] != next {
		t.Errorf("the keys are %v, want %s to sign", got, next)
	}
}

// A token must not outlive its key.
func TestLongest(t *testing.T) {
	c := started(t, coretest.Options{Signing: keyring.Policy{Longest: time.Hour}})
	at := c.Clock.Now()
	if _, err := c.Signing.Sign(bg, keyring.Form{Type: "t"}, map[string]any{}, at.Add(time.Hour)); err != nil {
		t.Errorf("Sign() for an hour = %v, want no error", err)
	}
	if _, err := c.Signing.Sign(bg, keyring.Form{Type: "t"}, map[string]any{}, at.Add(time.Hour+1)); err == nil {
		t.Error("Sign() for longer = nil error, want one")
	}
}

// Both names of a key lead to it.
func TestForms(t *testing.T) {
	c := started(t, coretest.Options{})
	expires := c.Clock.Now().Add(time.Minute)
	keys := published(t, c.Signing)
	for _, form := range []keyring.Form{{Type: "test+jwt"}, {Type: "test+jwt", Libtrust: true}, {Type: "test+jwt", Certificate: true}} {
		token, err := c.Signing.Sign(bg, form, map[string]any{"iss": "us", "aud": "them", "exp": expires.Unix()}, expires)
		if err != nil {
			t.Fatalf("Sign(%+v) = %v", form, err)
		}
		got, err := c.Signing.Verify(bg, token, profile)
		if err != nil {
			t.Fatalf("Verify(%+v) = %v", form, err)
		}
		id := got.Key.ID()
		if form.Libtrust {
			id = got.Key.LibtrustID()
		}
		if _, there := keys[id]; !there {
			t.Errorf("%+v: the key %s is not published", form, id)
		}
	}
}

// S56: however many unknown key ids come, the keys are loaded once a second at
// most.
func TestUnknownKeysCostLittle(t *testing.T) {
	c := started(t, coretest.Options{})
	token := sign(t, c, c.Signing)
	if _, err := c.Signing.Verify(bg, token, profile); err != nil {
		t.Fatal(err)
	}
	other, err := jose.Generate(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := other.Sign(jose.Header{Type: "test+jwt"}, map[string]any{"iss": "us", "aud": "them", "exp": c.Clock.Now().Unix() + 60})
	if err != nil {
		t.Fatal(err)
	}
	c.Store.Forget()
	began := time.Now()
	for range 500 {
		if _, err := c.Signing.Verify(bg, foreign, profile); !errors.Is(err, jose.ErrUnknownKey) {
			t.Fatalf("Verify() = %v, want %v", err, jose.ErrUnknownKey)
		}
	}
	if n, most := c.Store.Calls("SigningKeys"), 1+int(time.Since(began)/time.Second); n > most {
		t.Errorf("500 unknown keys made the store be asked %d times, want %d at most", n, most)
	}
}

// A node that does not follow the change log asks the store, and refuses when
// that does not answer.
func TestStoreDown(t *testing.T) {
	c := started(t, coretest.Options{})
	token := sign(t, c, c.Signing)
	down := fmt.Errorf("planted: %w", store.ErrUnavailable)
	c.Store.Fail(down)
	if _, err := c.Signing.Verify(bg, token, profile); err != nil {
		t.Errorf("Verify() by keys that are up to date = %v, want no error", err)
	}
	sign(t, c, c.Signing)
	c.Signing.Changed()
	if _, err := c.Signing.Verify(bg, token, profile); !fault.Is(err, fault.Unavailable) {
		t.Errorf("Verify() by keys that have changed = %v, want Unavailable", err)
	}
	if _, _, err := c.Signing.JWKS(bg); !fault.Is(err, fault.Unavailable) {
		t.Errorf("JWKS() of keys that have changed = %v, want Unavailable", err)
	}
	if _, err := c.Signing.Sign(bg, keyring.Form{Type: "t"}, map[string]any{}, c.Clock.Now()); !fault.Is(err, fault.Unavailable) {
		t.Errorf("Sign() by keys that have changed = %v, want Unavailable", err)
	}
	if _, err := c.Signing.Rotate(bg, c.Admin); !fault.Is(err, fault.Unavailable) {
		t.Errorf("Rotate() = %v, want Unavailable", err)
	}
	c.Store.Heal()
	if _, err := c.Signing.Verify(bg, token, profile); err != nil {
		t.Errorf("Verify() afterwards = %v, want no error", err)
	}
}

// A revocation whose outcome is not known is in force if it took place.
func TestRevokeLost(t *testing.T) {
	c := started(t, coretest.Options{})
	token := sign(t, c, c.Signing)
	signing := states(t, c)[keyring.Active][0]
	c.Store.Lose(fmt.Errorf("planted: %w", store.ErrUnavailable), "Update")
	if _, err := c.Signing.Revoke(bg, c.Admin, signing, ""); !fault.Is(err, fault.Unavailable) {
		t.Errorf("Revoke() = %v, want Unavailable", err)
	}
	c.Store.Heal()
	if _, err := c.Signing.Verify(bg, token, profile); !errors.Is(err, jose.ErrUnknownKey) {
		t.Errorf("Verify() = %v, want %v", err, jose.ErrUnknownKey)
	}
}

// S69, S76: nothing in the store is a private key, and nobody who can only
// write there makes a key of their own count.
func TestSealed(t *testing.T) {
	c := started(t, coretest.Options{Signing: keyring.Policy{Algorithm: jose.EdDSA}})
	records, err := c.Store.Store.SigningKeys(bg)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range records {
		if _, err := jose.ParsePrivate(jose.EdDSA, k.Sealed); err == nil || len(k.Sealed) == 0 {
			t.Errorf("the key %s is stored in the clear, or not at all", k.ID)
		}
	}
	intruder, err := jose.Generate(jose.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	der, err := intruder.Private()
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := serverkey.Generate()
	if err != nil {
		t.Fatal(err)
	}
	ring, err := serverkey.NewRing(foreign)
	if err != nil {
		t.Fatal(err)
	}
	for name, sealed := range map[string][]byte{
		"nothing": nil, "the key in the clear": der, "sealed by another": ring.Seal("signing key "+intruder.ID(), der),
		"what is sealed of another": records[0].Sealed, "sealed for something else": c.Keys.Seal("cursor", der),
	} {
		k := store.SigningKey{ID: intruder.ID(), Algorithm: "EdDSA", Public: intruder.Public(), Sealed: sealed, CreatedAt: c.Clock.Now(), ActiveAt: c.Clock.Now()}
		err := c.Store.Store.Update(bg, func(tx store.Tx) error {
			if err := tx.InsertSigningKey(k); err != nil {
				return err
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		c.Signing.Changed()
		token, err := intruder.Sign(jose.Header{Type: "test+jwt"}, map[string]any{"iss": "us", "aud": "them", "exp": c.Clock.Now().Unix() + 60})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Signing.Verify(bg, token, profile); !errors.Is(err, jose.ErrUnknownKey) {
			t.Errorf("%s: Verify() by a planted key = %v, want %v", name, err, jose.ErrUnknownKey)
		}
		if _, there := published(t, c.Signing)[intruder.ID()]; there {
			t.Errorf("%s: a planted key is published", name)
		}
		if _, err := c.Signing.Verify(bg, sign(t, c, c.Signing), profile); err != nil {
			t.Errorf("%s: the real keys: %v", name, err)
		}
		if err := c.Store.Store.Update(bg, func(tx store.Tx) error { return tx.DeleteSigningKey(k.ID) }); err != nil {
			t.Fatal(err)
		}
	}
}

// S70: what is sealed under an older server secret is sealed anew at the next
// start, so that the old secret can go.
func TestServerSecretRotated(t *testing.T) {
	old, err := serverkey.Generate()
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := serverkey.Generate()
	if err != nil {
		t.Fatal(err)
	}
	ring := func(keys ...*serverkey.Key) *serverkey.Ring {
		r, err := serverkey.NewRing(keys...)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	c := started(t, coretest.Options{Keys: ring(old)})
	token := sign(t, c, c.Signing)
	node := func(r *serverkey.Ring) (*keyring.Service, error) {
		s, err := keyring.New(keyring.Options{Store: c.Store, Secrets: r, Follower: c.Tokens, Audit: c.Audit, Log: c.Log, Now: c.Clock.Now})
		if err != nil {
			t.Fatal(err)
		}
		return s, s.Start(bg)
	}
	if _, err := node(ring(fresh)); err == nil || !strings.Contains(err.Error(), "not sealed under a server secret that is here") {
		t.Errorf("Start() with another secret = %v, want one that says so", err)
	}
	for _, r := range []*serverkey.Ring{ring(fresh, old), ring(fresh)} {
		s, err := node(r)
		if err != nil {
			t.Fatalf("Start() = %v", err)
		}
		if _, err := s.Verify(bg, token, profile); err != nil {
			t.Errorf("Verify() = %v, want no error", err)
		}
		sign(t, c, s)
	}
}

// S77: every operation needs its scope, and is in the audit log either way.
func TestRights(t *testing.T) {
	c := started(t, coretest.Options{})
	for _, op := range []struct {
		action, needs string
		do            func(who string) error
	}{
		{"key.list", "latchkey:keys:read", func(who string) error {
			_, err := c.Signing.List(bg, c.Identity(t, who))
			return err
		}},
		{"key.rotate", "latchkey:keys:write", func(who string) error {
			_, err := c.Signing.Rotate(bg, c.Identity(t, who))
			return err
		}},
		{"key.revoke", "latchkey:keys:delete", func(who string) error {
			_, err := c.Signing.Revoke(bg, c.Identity(t, who), states(t, c)[keyring.Active][0], "test")
			return err
		}},
	} {
		kind, _ := strings.CutPrefix(op.action, "key.")
		without := c.User(t, "without-"+kind, "path:/x:read")
		if err := op.do(without.AccountID); !fault.Is(err, fault.Forbidden) || fault.Of(err).Missing != op.needs {
			t.Errorf("%s without a right = %v, want to need %s", op.action, err, op.needs)
		}
		if events := c.Events(t, op.action); len(events) != 1 || events[0].Outcome != audit.Refused || events[0].ActorName != without.Name {
			t.Errorf("%s refused is recorded as %+v", op.action, events)
		}
		c.Clock.Advance(time.Second)
		with := c.User(t, "with-"+kind, op.needs)
		if err := op.do(with.AccountID); err != nil {
			t.Errorf("%s with %s = %v, want no error", op.action, op.needs, err)
		}
		if events := c.Events(t, op.action); op.action != "key.list" && (len(events) != 2 || events[0].Outcome != audit.OK || events[0].Target == "") {
			t.Errorf("%s is recorded as %+v", op.action, events)
		}
	}
	if _, err := c.Signing.Rotate(bg, nil); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("Rotate() by nobody = %v, want Unauthenticated", err)
	}
	if _, err := c.Signing.Revoke(bg, c.Admin, states(t, c)[keyring.Active][0], strings.Repeat("x", 501)); !fault.Is(err, fault.Invalid) {
		t.Errorf("Revoke() with a long reason = %v, want Invalid", err)
	}
}

func TestPolicy(t *testing.T) {
	c := coretest.New(t, coretest.Options{})
	for _, p := range []keyring.Policy{{Algorithm: "HS256"}, {Algorithm: "none"}, {PublishBefore: time.Minute, MaxAge: time.Minute}} {
		o := keyring.Options{Store: c.Store, Secrets: c.Keys, Follower: c.Tokens, Audit: c.Audit, Log: c.Log, Policy: p}
		if _, err := keyring.New(o); err == nil {
			t.Errorf("New(%+v) = nil error, want one", p)
		}
	}
	if _, err := keyring.New(keyring.Options{}); err == nil {
		t.Error("New() without anything = nil error, want one")
	}
}

// following is a node that is always up to date.
type following struct{}

func (following) Ready() bool        { return true }
func (following) MayBeStale() bool   { return false }
func (following) Apply(store.Change) {}

// S58: of many nodes that start, settle and rotate at once, one makes the key.
func TestNodesAgree(t *testing.T) {
	db, err := postgres.Open(bg, postgres.Options{DSN: pgtest.New(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	secrets, clock, log := coretest.NewKeys(t), coretest.NewClock(), slog.New(slog.DiscardHandler)
	var nodes []*keyring.Service
	for range 8 {
		s, err := keyring.New(keyring.Options{
			Store: db, Secrets: secrets, Follower: following{}, Audit: audit.NewLog(db, log), Log: log, Now: clock.Now,
			Policy: keyring.Policy{RotateEvery: 24 * time.Hour},
		})
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, s)
	}
	all := func(what string, do func(*keyring.Service) error, want int) {
		t.Helper()
		var wg sync.WaitGroup
		for _, s := range nodes {
			wg.Go(func() {
				if err := do(s); err != nil {
					t.Errorf("%s = %v", what, err)
				}
			})
		}
		wg.Wait()
		keys, err := db.SigningKeys(bg)
		if err != nil || len(keys) != want {
			t.Errorf("after %s on 8 nodes there are %d keys (%v), want %d", what, len(keys), err, want)
		}
	}
	all("Start()", func(s *keyring.Service) error { return s.Start(bg) }, 2)
	for day := range 3 {
		clock.Advance(24 * time.Hour)
		all(fmt.Sprintf("Settle() on day %d", day+1), func(s *keyring.Service) error { return s.Settle(bg) }, 3)
		clock.Advance(10 * time.Minute)
		all("Settle() later", func(s *keyring.Service) error { return s.Settle(bg) }, 2)
		clock.Advance(-10 * time.Minute)
	}
}
