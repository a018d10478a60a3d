package tokens_test

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/accounts"
	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/jose"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

// longest is how long signed tokens may live in these tests.
const longest = 24 * hour

// newSigning returns a core that can sign.
func newSigning(t testing.TB, change func(*tokens.Options)) *coretest.Core {
	t.Helper()
	c := coretest.New(t, coretest.Options{Tokens: change, Signing: keyring.Policy{Longest: longest}})
	if err := c.Signing.Start(bg); err != nil {
		t.Fatalf("Start() = %v", err)
	}
	c.Ready(t)
	return c
}

// pair makes a pair that must be given.
func pair(t testing.TB, c *coretest.Core, caller *identity.Identity, r tokens.PairRequest) tokens.Pair {
	t.Helper()
	if r.Name == "" {
		r.Name = "made for a test"
	}
	p, err := c.Tokens.IssuePair(bg, caller, r)
	if err != nil {
		t.Fatalf("IssuePair(%s, %+v) = %v", caller.Name, r, err)
	}
	return p
}

// use uses a refresh token as the default client does.
func use(s *tokens.Service, text secret.Text) (tokens.Pair, error) {
	return s.RefreshPair(bg, tokens.RefreshRequest{Presented: tokens.Presented{Token: text, Addr: somewhere, Agent: "test"}})
}

// mustRefresh uses a refresh token that is good.
func mustRefresh(t testing.TB, s *tokens.Service, text secret.Text) tokens.Pair {
	t.Helper()
	p, err := use(s, text)
	if err != nil {
		t.Fatalf("RefreshPair() = %v, want a pair", err)
	}
	return p
}

// mustNotRefresh uses a refresh token that must be refused for this reason.
func mustNotRefresh(t testing.TB, s *tokens.Service, text secret.Text, want tokens.Reason) {
	t.Helper()
	p, err := use(s, text)
	if got := reason(err); got != want || p.Access.Reveal() != "" {
		t.Fatalf("RefreshPair() = %+v, %v, want the refusal %q", p, err, want)
	}
}

// An access token follows RFC 9068, opens doors as its owner, and a refresh
// token opens none.
func TestPair(t *testing.T) {
	c := newSigning(t, nil)
	ann := c.User(t, "ann", "path:/a/*:read")
	p := pair(t, c, ann, tokens.PairRequest{Request: tokens.Request{Scope: []string{"path:/a/b:read"}}})

	token, err := c.Signing.Verify(bg, p.Access.Reveal(), jose.AccessToken(coretest.Issuer, coretest.Issuer)) // S52
	if err != nil {
		t.Fatalf("Verify(access token) = %v", err)
	}
	now := c.Clock.Now()
	if sub := token.Claims.Text("sub"); sub != ann.AccountID {
		t.Errorf("sub = %q, want the account's id %q (S29)", sub, ann.AccountID)
	}
	if got := token.Claims.Text("scope"); got != "path:/a/b:read" {
		t.Errorf("scope = %q, want %q", got, "path:/a/b:read")
	}
	if want := now.Add(5 * time.Minute); !token.ExpiresAt.Equal(want) || !p.AccessEnds.Equal(want) {
		t.Errorf("exp = %v, AccessEnds = %v, want %v", token.ExpiresAt, p.AccessEnds, want)
	}

	id := mustPass(t, c.Tokens, p.Access)
	if id.AccountID != ann.AccountID || id.TokenID != p.Family.ID || id.Class != string(tokens.Access) {
		t.Errorf("Check() = %+v, want the account, the family and the class access", id)
	}
	if !id.Allows(pathRequest("GET", "/a/b")) || id.Allows(pathRequest("GET", "/a/c")) {
		t.Errorf("Check() gives %q, want the scope of the token", id.EffectiveText)
	}
	// What was changed above may come in through the log a moment later.
	eventually(t, "a check of a known token asks the store nothing", func() bool {
		c.Store.Forget()
		mustPass(t, c.Tokens, p.Access)
		return c.Store.Calls() == 0
	})
	mustRefuse(t, c.Tokens, p.Refresh, tokens.ReasonKind) // S38
	mustNotRefresh(t, c.Tokens, p.Access, tokens.ReasonKind)

	next := mustRefresh(t, c.Tokens, p.Refresh)
	if next.Access == p.Access || next.Refresh == p.Refresh || next.Family.ID != p.Family.ID {
		t.Errorf("RefreshPair() = %+v, want other tokens of the same family", next)
	}
	mustPass(t, c.Tokens, next.Access)
	mustPass(t, c.Tokens, p.Access)
	c.Clock.Advance(5*time.Minute + 6*time.Second)
	mustRefuse(t, c.Tokens, next.Access, tokens.ReasonExpired)
}

// Of many uses of one refresh token at once, one makes the next pair and the
// others get the same or nothing (S21).
func TestRefreshAtOnce(t *testing.T) {
	c := newSigning(t, nil)
	other := c.Idle(t, nil)
	if err := other.SignWith(c.Signing, tokens.AccessShape(coretest.Issuer)); err != nil {
		t.Fatal(err)
	}
	refreshAtOnce(t, c, other) // S28
}

// refreshAtOnce uses one refresh token 200 times at once, on two nodes.
func refreshAtOnce(t *testing.T, c *coretest.Core, other *tokens.Service) {
	t.Helper()
	p := pair(t, c, c.User(t, "ann"), tokens.PairRequest{})
	const tries = 200
	var got [tries]tokens.Pair
	var errs [tries]error
	var wg sync.WaitGroup
	for i := range tries {
		node := c.Tokens
		if i%2 == 1 {
			node = other
		}
		wg.Go(func() { got[i], errs[i] = use(node, p.Refresh) })
	}
	wg.Wait()
	successors := map[string]int{}
	first := 0
	for i := range tries {
		if errs[i] != nil {
			if reason(errs[i]) != tokens.ReasonReused {
				t.Errorf("RefreshPair() = %v, want a pair or the refusal %q", errs[i], tokens.ReasonReused)
			}
			continue
		}
		successors[got[i].Refresh.Reveal()+got[i].Access.Reveal()]++
		if !got[i].Again {
			first++
		}
	}
	if len(successors) != 1 || first != 1 {
		t.Fatalf("%d uses gave %d successors, %d of them first, want one", tries, len(successors), first)
	}
	if n := tries - countErrors(errs[:]); n != 21 { // S23: at most so many times
		t.Errorf("the successor was given %d times, want once and 20 times more", n)
	}
	if burnt := c.Events(t, "pair.burn"); len(burnt) > 0 {
		t.Errorf("the family was burnt: %+v, want it to live, since all came within the leeway", burnt)
	}
	for i := range got {
		if errs[i] == nil {
			mustRefresh(t, other, got[i].Refresh)
			break
		}
	}
}

func countErrors(errs []error) int {
	n := 0
	for _, err := range errs {
		if err != nil {
			n++
		}
	}
	return n
}

// reuses are what can become of a used refresh token that comes back.
var reuses = []struct {
	name   string
	policy tokens.Policy
	after  time.Duration
	again  bool
	burnt  bool
}{
	{"at once", tokens.Policy{}, 0, true, false},
	{"at the end of the leeway", tokens.Policy{}, 10 * time.Second, true, false},
	{"after the leeway", tokens.Policy{}, 10*time.Second + time.Microsecond, false, true},
	{"much later", tokens.Policy{}, 24 * hour, false, true},
	{"at once, without leeway", tokens.Policy{Leeway: -1}, 0, false, true},
	{"after the leeway, where that burns nothing", tokens.Policy{KeepReused: true}, hour, false, false},
	{"within a longer leeway", tokens.Policy{Leeway: time.Minute}, 59 * time.Second, true, false},
	{"after a longer leeway", tokens.Policy{Leeway: time.Minute}, 61 * time.Second, false, true},
}

// What becomes of a used refresh token that comes back: S22, S23.
func TestRefreshReuse(t *testing.T) {
	for i, tt := range reuses {
		t.Run(tt.name, func(t *testing.T) {
			c := newSigning(t, func(o *tokens.Options) { o.Policy = tt.policy })
			refreshReuse(t, c, c.Tokens, i)
		})
	}
}

// refreshReuse lets a used refresh token come back to a node that has the
// policy of one of reuses.
func refreshReuse(t *testing.T, c *coretest.Core, node *tokens.Service, i int) {
	t.Helper()
	tt := reuses[i]
	before := len(c.Events(t, "pair.burn"))
	p, err := node.IssuePair(bg, c.User(t, fmt.Sprintf("ann%d", i)), tokens.PairRequest{Request: tokens.Request{Name: "made for a test"}, AccessFor: of(hour)})
	if err != nil {
		t.Fatalf("IssuePair() = %v", err)
	}
	next := mustRefresh(t, node, p.Refresh)
	mustPass(t, node, next.Access)
	c.Clock.Advance(tt.after)
	again, err := use(node, p.Refresh)
	switch {
	case tt.again && (err != nil || again.Refresh != next.Refresh || again.Access != next.Access || !again.Again):
		t.Fatalf("RefreshPair(used) = %+v, %v, want the same pair %+v", again, err, next)
	case !tt.again && reason(err) != tokens.ReasonReused:
		t.Fatalf("RefreshPair(used) = %+v, %v, want the refusal %q", again, err, tokens.ReasonReused)
	}
	if burnt := len(c.Events(t, "pair.burn")) - before; (burnt == 1) != tt.burnt {
		t.Errorf("%d events of a burnt family, want one: %v", burnt, tt.burnt)
	}
	if !tt.burnt {
		mustRefresh(t, node, next.Refresh)
		return
	}
	mustNotRefresh(t, node, next.Refresh, tokens.ReasonRevoked)
	mustNotRefresh(t, node, p.Refresh, tokens.ReasonRevoked)
	if tt.after < hour {
		mustRefuse(t, node, next.Access, tokens.ReasonRevoked)
	}
}

// An answer that got lost can be asked for once more within the leeway, and
// gives the same pair; later the family ends, since nobody can tell a client
// that lost its answer from a thief.
func TestRefreshAnswerLost(t *testing.T) {
	c := newSigning(t, nil)
	refreshAnswerLost(t, c, "ann")
}

func refreshAnswerLost(t *testing.T, c *coretest.Core, name string) {
	t.Helper()
	for i, late := range []bool{false, true} {
		p := pair(t, c, c.User(t, fmt.Sprint(name, i)), tokens.PairRequest{})
		c.Store.Lose(store.ErrUnavailable, "Update")
		_, err := use(c.Tokens, p.Refresh)
		c.Store.Heal()
		wantFault(t, "RefreshPair(whose commit got no answer)", err, fault.Unavailable)
		if late {
			c.Clock.Advance(11 * time.Second)
			mustNotRefresh(t, c.Tokens, p.Refresh, tokens.ReasonReused)
			mustNotRefresh(t, c.Tokens, p.Refresh, tokens.ReasonRevoked)
			continue
		}
		first := mustRefresh(t, c.Tokens, p.Refresh)
		again := mustRefresh(t, c.Tokens, p.Refresh)
		if !first.Again || again.Refresh != first.Refresh || again.Access != first.Access {
			t.Errorf("RefreshPair() after a lost answer = %+v, then %+v, want one pair", first, again)
		}
		mustPass(t, c.Tokens, first.Access)
		mustRefresh(t, c.Tokens, first.Refresh)
	}
}

// Families have an absolute end that refreshing never moves, and end when
// nothing of them is used (S25).
func TestFamilyEnds(t *testing.T) {
	c := newSigning(t, nil)
	ann := c.User(t, "ann")
	p := pair(t, c, ann, tokens.PairRequest{Request: tokens.Request{ExpiresIn: of(10 * hour), IdleAfter: of(3 * hour)}})
	ends := p.Family.ExpiresAt
	for range 4 {
		c.Clock.Advance(2*hour + 20*time.Minute)
		p = mustRefresh(t, c.Tokens, p.Refresh)
		if !p.Family.ExpiresAt.Equal(ends) {
			t.Errorf("the family ends at %v after a refresh, want %v", p.Family.ExpiresAt, ends)
		}
	}
	c.Clock.Advance(37 * time.Minute) // 3 minutes are left
	p = mustRefresh(t, c.Tokens, p.Refresh)
	if !p.AccessEnds.Equal(ends) {
		t.Errorf("the last access token ends at %v, want with its family at %v", p.AccessEnds, ends)
	}
	c.Clock.Advance(3 * time.Minute)
	mustNotRefresh(t, c.Tokens, p.Refresh, tokens.ReasonExpired)
	mustRefuse(t, c.Tokens, p.Access, tokens.ReasonExpired)

	idle := pair(t, c, ann, tokens.PairRequest{Request: tokens.Request{IdleAfter: of(hour)}})
	c.Clock.Advance(hour + time.Second)
	mustNotRefresh(t, c.Tokens, idle.Refresh, tokens.ReasonIdle)
}

// The scope can shrink on a refresh and never grow; the family keeps its own
// (S26).
func TestRefreshScope(t *testing.T) {
	c := newSigning(t, nil)
	ann := c.User(t, "ann", "path:/*:read,write")
	p := pair(t, c, ann, tokens.PairRequest{Request: tokens.Request{Scope: []string{"path:/a/*:read"}}})
	narrow := func(p tokens.Pair, scope ...string) (tokens.Pair, error) {
		return c.Tokens.RefreshPair(bg, tokens.RefreshRequest{Presented: tokens.Presented{Token: p.Refresh}, Scope: scope})
	}
	for _, more := range []string{"path:/a/*:read,write", "path:/*:read", "no scope"} {
		_, err := narrow(p, more)
		wantFault(t, "RefreshPair(scope "+more+")", err, fault.Invalid)
	}
	less, err := narrow(p, "path:/a/b:read")
	if err != nil {
		t.Fatalf("RefreshPair(less) = %v", err)
	}
	if id := mustPass(t, c.Tokens, less.Access); id.EffectiveText != "path:/a/b:read" {
		t.Errorf("the narrowed token may %q, want %q", id.EffectiveText, "path:/a/b:read")
	}
	whole, err := narrow(less)
	if err != nil {
		t.Fatalf("RefreshPair() = %v", err)
	}
	if id := mustPass(t, c.Tokens, whole.Access); id.EffectiveText != "path:/a/*:read" {
		t.Errorf("the next token may %q, want what the family has", id.EffectiveText)
	}

	if _, err := c.Tokens.Update(bg, ann, p.Family.ID, tokens.Update{Scope: of([]string{"path:/a/b:read"})}); err != nil {
		t.Fatalf("Update() = %v", err)
	}
	if id := mustPass(t, c.Tokens, whole.Access); id.EffectiveText != "path:/a/b:read" {
		t.Errorf("the token may %q after its family was narrowed, want %q", id.EffectiveText, "path:/a/b:read")
	}
}

// A refresh token is its client's; another's use leaves the family as it is
// (S24).
func TestRefreshClient(t *testing.T) {
	c := newSigning(t, nil)
	p := pair(t, c, c.User(t, "ann"), tokens.PairRequest{ClientID: "app"})
	mustNotRefresh(t, c.Tokens, p.Refresh, tokens.ReasonClient)
	if _, err := c.Tokens.RefreshPair(bg, tokens.RefreshRequest{Presented: tokens.Presented{Token: p.Refresh}, ClientID: "app"}); err != nil {
		t.Errorf("RefreshPair(by its client) = %v", err)
	}
}

// What ends a family ends its access tokens at every door, on other nodes too
// (S27, S47).
func TestFamilyIsEnded(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(c *coretest.Core, who *identity.Identity, p tokens.Pair) error
		want tokens.Reason
	}{
		{"by its id", func(c *coretest.Core, who *identity.Identity, p tokens.Pair) error {
			return c.Tokens.Revoke(bg, who, p.Family.ID, "")
		}, tokens.ReasonRevoked},
		{"by its refresh token", func(c *coretest.Core, _ *identity.Identity, p tokens.Pair) error {
			return c.Tokens.RevokeSecret(bg, p.Refresh.Reveal())
		}, tokens.ReasonRevoked},
		{"by its access token", func(c *coretest.Core, _ *identity.Identity, p tokens.Pair) error {
			return c.Tokens.RevokeSecret(bg, p.Access.Reveal())
		}, tokens.ReasonRevoked},
		{"with all of the account", func(c *coretest.Core, who *identity.Identity, _ tokens.Pair) error {
			_, err := c.Tokens.RevokeAll(bg, who, who.AccountID, "")
			return err
		}, tokens.ReasonRevoked},
		{"with a new password", func(c *coretest.Core, who *identity.Identity, _ tokens.Pair) error {
			return c.Accounts.SetPassword(bg, c.Admin, who.AccountID, secret.New("another correct horse"), false)
		}, tokens.ReasonRevoked},
		{"with the account disabled", func(c *coretest.Core, who *identity.Identity, _ tokens.Pair) error {
			_, err := c.Accounts.Update(bg, c.Admin, who.AccountID, accounts.Change{Disabled: of(true)})
			return err
		}, tokens.ReasonDisabled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newSigning(t, nil)
			other, ring := c.SigningNode(t, func(o *tokens.Options) { o.PollEvery = time.Millisecond }, keyring.Policy{Longest: longest})
			if err := ring.Start(bg); err != nil {
				t.Fatal(err)
			}
			c.Ready(t, other)
			ann := c.User(t, "ann", "latchkey:*:read,write,delete")
			p := pair(t, c, ann, tokens.PairRequest{})
			mustPass(t, c.Tokens, p.Access)
			mustPass(t, other, p.Access)
			if err := tt.end(c, ann, p); err != nil {
				t.Fatalf("ending it = %v", err)
			}
			mustRefuse(t, c.Tokens, p.Access, tt.want)
			mustNotRefresh(t, c.Tokens, p.Refresh, tt.want)
			eventually(t, "the other node refuses the access token", func() bool {
				_, err := present(other, p.Access)
				return reason(err) == tt.want
			})
			mustNotRefresh(t, other, p.Refresh, tt.want)
		})
	}
}

// A withdrawn key leaves nothing behind in the cache (S58).
func TestKeyWithdrawn(t *testing.T) {
	c := newSigning(t, nil)
	p := pair(t, c, c.User(t, "ann"), tokens.PairRequest{})
	mustPass(t, c.Tokens, p.Access)
	keys, err := c.Signing.List(bg, c.Admin)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if k.State == keyring.Active {
			if _, err := c.Signing.Revoke(bg, c.Admin, k.Record.ID, ""); err != nil {
				t.Fatalf("Revoke(key) = %v", err)
			}
		}
	}
	mustRefuse(t, c.Tokens, p.Access, tokens.ReasonUnknown)
	next := mustRefresh(t, c.Tokens, p.Refresh)
	mustPass(t, c.Tokens, next.Access)
}

// What somebody may ask of a pair.
func TestPairBounds(t *testing.T) {
	c := newSigning(t, func(o *tokens.Options) { o.Policy.Audiences = []string{"https://pulp.example"} })
	ann := c.User(t, "ann", "path:/a/*:read")
	for _, tt := range []struct {
		call string
		r    tokens.PairRequest
		kind fault.Kind
	}{
		{"a long access token", tokens.PairRequest{AccessFor: of(2 * hour)}, fault.Invalid},
		{"an access token of no life", tokens.PairRequest{AccessFor: of(time.Duration(0))}, fault.Invalid},
		{"a long family", tokens.PairRequest{Request: tokens.Request{ExpiresIn: of(400 * 24 * hour)}}, fault.Invalid},
		{"a family without an end", tokens.PairRequest{Request: tokens.Request{ExpiresIn: of(time.Duration(0))}}, fault.Invalid},
		{"a foreign audience", tokens.PairRequest{Audience: []string{"https://evil.example"}}, fault.Invalid},
		{"an unprintable client", tokens.PairRequest{ClientID: "a\x00"}, fault.Invalid},
	} {
		tt.r.Name = "x"
		_, err := c.Tokens.IssuePair(bg, ann, tt.r)
		wantFault(t, "IssuePair("+tt.call+")", err, tt.kind)
	}
	elsewhere := pair(t, c, ann, tokens.PairRequest{Audience: []string{"https://pulp.example"}})
	mustRefuse(t, c.Tokens, elsewhere.Access, tokens.ReasonMalformed) // it is not for our doors
	both := pair(t, c, ann, tokens.PairRequest{Audience: []string{"https://pulp.example", coretest.Issuer}})
	mustPass(t, c.Tokens, both.Access)

	narrow := issue(t, c, ann, tokens.Request{Scope: []string{"latchkey:tokens:write", "path:/a/b:read"}})
	id := mustPass(t, c.Tokens, narrow.Secret)
	_, err := c.Tokens.IssuePair(bg, id, tokens.PairRequest{Request: tokens.Request{Name: "wider", Scope: []string{"path:/a/*:read"}}}) // S78
	wantFault(t, "IssuePair(wider than the token that asks)", err, fault.Forbidden)

	near := pair(t, c, ann, tokens.PairRequest{Request: tokens.Request{CIDRs: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}}})
	mustRefuse(t, c.Tokens, near.Access, tokens.ReasonAddress)
	mustNotRefresh(t, c.Tokens, near.Refresh, tokens.ReasonAddress)
}

// Junk that looks like a signed token is refused and asks the store nothing
// (S55, S56).
func TestSignedJunk(t *testing.T) {
	c := newSigning(t, nil)
	good := pair(t, c, c.User(t, "ann"), tokens.PairRequest{}).Access.Reveal()
	c.Clock.Advance(0)
	header, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	for _, text := range []string{
		header + "." + payload + "." + strings.Repeat("A", len(signature)),
		header + "." + payload + ".", good + "=", good + ".", "eyJ" + strings.Repeat("A", 9000) + "..",
		"eyJhbGciOiJub25lIn0." + payload + ".", header + ".." + signature,
	} {
		c.Store.Forget()
		mustRefuse(t, c.Tokens, secret.New(text), tokens.ReasonMalformed)
		if n := c.Store.Calls("Token", "TokenByDigest", "Holder"); n != 0 {
			t.Errorf("Check(%.20s…) asked the store %d times, want 0", text, n)
		}
	}
	mustPass(t, c.Tokens, secret.New(good))
}

// Families are listed with the rest, with their last use.
func TestFamilyIsListed(t *testing.T) {
	c := newSigning(t, nil)
	ann := c.User(t, "ann")
	p := pair(t, c, ann, tokens.PairRequest{})
	c.Clock.Advance(hour)
	mustRefresh(t, c.Tokens, p.Refresh)
	list, err := listed(c, ann, store.TokenQuery{AccountID: ann.AccountID, Class: "refresh", Limit: 10})
	if err != nil || len(list) != 1 || list[0].ID != p.Family.ID {
		t.Fatalf("List() = %+v, %v, want the family", list, err)
	}
	if at := list[0].LastUse.At; !at.Equal(c.Clock.Now()) {
		t.Errorf("last used at %v, want %v", at, c.Clock.Now())
	}
	_, err = c.Tokens.Rotate(bg, ann, p.Family.ID, tokens.Overlap{})
	wantFault(t, "Rotate(a family)", err, fault.Conflict)
}

// eventually waits until something is so.
func eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}
