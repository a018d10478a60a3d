package tokens_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/accounts"
	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/jose"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

// terms are those of a registry in these tests.
var terms = tokens.RegistryTerms{
	Issuer: "https://latchkey.example/token/", Service: "registry.example:5000", Life: 5 * time.Minute, Form: keyring.Form{Libtrust: true},
}

// registryAccess is "access" as a verifier reads it.
type registryAccess struct {
	Type    string
	Name    string
	Actions []string
}

// askRegistry gets a token for what a client asks for, in one text.
func askRegistry(t testing.TB, c *coretest.Core, who *identity.Identity, scopes string) tokens.RegistryToken {
	t.Helper()
	resources, err := scope.ParseResources([]string{scopes})
	if err != nil {
		t.Fatalf("ParseResources(%q) = %v", scopes, err)
	}
	token, err := c.Tokens.IssueRegistry(bg, who, tokens.RegistryRequest{Terms: terms, Resources: resources, Client: "test"})
	if err != nil {
		t.Fatalf("IssueRegistry(%q) = %v", scopes, err)
	}
	return token
}

// readRegistry verifies a token as a registry does and returns its claims.
func readRegistry(t testing.TB, c *coretest.Core, token tokens.RegistryToken) (jose.Claims, []registryAccess) {
	t.Helper()
	verified, err := c.Signing.Verify(bg, token.Token.Reveal(), jose.Profile{Type: "JWT", Issuer: terms.Issuer, Audience: terms.Service, Required: []string{"iat", "nbf", "jti", "access"}})
	if err != nil {
		t.Fatalf("Verify() = %v", err)
	}
	text, err := json.Marshal(verified.Claims["access"])
	if err != nil {
		t.Fatal(err)
	}
	var access []registryAccess
	if err := json.Unmarshal(text, &access); err != nil {
		t.Fatalf("access is %s: %v", text, err)
	}
	return verified.Claims, access
}

func grantedTexts(token tokens.RegistryToken) string {
	var texts []string
	for _, r := range token.Access {
		texts = append(texts, r.String())
	}
	return strings.Join(texts, " ")
}

// S94, S96: one set of claims that all verifiers take.
func TestRegistryClaims(t *testing.T) {
	c := newSigning(t, nil)
	ann := c.User(t, "ann", "repository:team/*:pull,push")
	token := askRegistry(t, c, ann, "repository:team/app:pull,push registry:catalog:*")
	claims, access := readRegistry(t, c, token)
	if diff := cmp.Diff([]registryAccess{{"repository", "team/app", []string{"pull", "push"}}}, access); diff != "" {
		t.Errorf("access, -want +got:\n%s", diff)
	}
	now := c.Clock.Now()
	if aud, text := claims["aud"].(string); !text || aud != terms.Service {
		t.Errorf("aud = %v, want the text %q", claims["aud"], terms.Service)
	}
	for name, want := range map[string]time.Time{"exp": now.Add(5 * time.Minute), "nbf": now.Add(-30 * time.Second), "iat": now.Add(-30 * time.Second)} { // S97
		if got, err := claims.Date(name); err != nil || !got.Equal(want) {
			t.Errorf("%s = %v, %v, want %v", name, got, err, want)
		}
	}
	if got := claims.Text("sub"); got != "ann" {
		t.Errorf("sub = %q, want the account's name", got)
	}
	if again, _ := readRegistry(t, c, askRegistry(t, c, ann, "")); again.Text("jti") == claims.Text("jti") || len(claims.Text("jti")) != 32 { // S97
		t.Errorf("jti = %q and %q, want 128 random bits", claims.Text("jti"), again.Text("jti"))
	}
	if !token.IssuedAt.Equal(now) || !token.ExpiresAt.Equal(now.Add(5*time.Minute)) {
		t.Errorf("from %v to %v, want five minutes from %v", token.IssuedAt, token.ExpiresAt, now)
	}
	bare := askRegistry(t, c, ann, "")
	if _, payload, _ := strings.Cut(bare.Token.Reveal(), "."); payload != "" {
		claims, access := readRegistry(t, c, bare)
		if list, ok := claims["access"].([]any); !ok || len(list) != 0 || len(access) != 0 {
			t.Errorf("access without a scope = %v, want an empty list", claims["access"])
		}
	}
	mustRefuse(t, c.Tokens, token.Token, tokens.ReasonMalformed) // it opens no door of ours
}

// S94: a token has what is asked for and allowed.
func TestRegistryIntersection(t *testing.T) {
	c := newSigning(t, nil)
	grants := []string{"repository:team/*:pull,push", "repository:team/keep/*:delete", "repository:h.example:5000/x/*:pull", "registry:catalog:*", "repository:all/*:*", "path:/*:*"}
	who := map[string]*identity.Identity{
		"ann": c.User(t, "ann", grants...), "bob": c.User(t, "bob", "repository:*:pull"), "all": c.Admin, "none": c.User(t, "none"),
	}
	for _, tt := range []struct{ who, asked, want string }{
		{"ann", "repository:team/app:pull,push", "repository:team/app:pull,push"},
		{"ann", "repository:team/app:push,pull", "repository:team/app:push,pull"},
		{"ann", "repository:team/app:pull,delete", "repository:team/app:pull"},
		{"ann", "repository:team/app:delete", ""},
		{"ann", "repository:team/app:*", "repository:team/app:pull,push"}, // Pulp compares actions literally
		{"ann", "repository:team/keep/a:*", "repository:team/keep/a:pull,push,delete"},
		{"ann", "repository:all/a:*", "repository:all/a:pull,push,delete"},
		{"ann", "repository:all/a:dance", ""},
		{"ann", "repository:all/a:pull,dance", "repository:all/a:pull"},
		{"ann", "repository:other/app:pull", ""},
		{"ann", "repository:team:pull", ""},
		{"ann", "repository:teams/app:pull", ""},
		{"ann", "repository:team/a:pull repository:other/a:pull repository:team/b:push", "repository:team/a:pull repository:team/b:push"},
		{"ann", "repository:h.example:5000/x/y:pull,push", "repository:h.example:5000/x/y:pull"},
		{"ann", "repository(plugin):team/app:pull", "repository:team/app:pull"},
		{"ann", "registry:catalog:*", "registry:catalog:*"},
		{"ann", "registry:catalog:pull", ""},
		{"ann", "registry:other:*", ""},
		{"ann", "thing:team/app:pull", ""},
		{"ann", "path:/a:read", ""},
		{"ann", "latchkey:tokens:write", ""},
		{"ann", "repository:team/../other/a:pull", ""},
		{"ann", "repository:team/*:pull", ""},
		{"ann", "repository:team/App:pull", ""},
		{"ann", "repository:team/app:", ""},
		{"bob", "registry:catalog:*", ""}, // all repositories are not the catalog
		{"bob", "repository:a:*", "repository:a:pull"},
		{"bob", "repository:A/../a:pull", ""},
		{"all", "repository:x:pull,push,delete,dance registry:catalog:*", "repository:x:pull,push,delete registry:catalog:*"},
		{"all", "thing:x:pull", ""},
		{"none", "repository:x:pull,push registry:catalog:*", ""},
	} {
		if got := grantedTexts(askRegistry(t, c, who[tt.who], tt.asked)); got != tt.want {
			t.Errorf("%s asks for %q and gets %q, want %q", tt.who, tt.asked, got, tt.want)
		}
	}
}

// S94: a token that is presented narrows what its owner may do.
func TestRegistryNarrowedByToken(t *testing.T) {
	c := newSigning(t, nil)
	ann := c.User(t, "ann", "repository:team/*:pull,push")
	narrow := mustPass(t, c.Tokens, issue(t, c, ann, tokens.Request{Scope: []string{"repository:team/a:pull", "repository:other/*:push"}}).Secret)
	if got, want := grantedTexts(askRegistry(t, c, narrow, "repository:team/a:pull,push repository:team/b:pull repository:other/x:push")), "repository:team/a:pull"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	elsewhere := mustPass(t, c.Tokens, issue(t, c, ann, tokens.Request{Scope: []string{"path:/*:read"}}).Secret)
	if got := grantedTexts(askRegistry(t, c, elsewhere, "repository:team/a:pull")); got != "" {
		t.Errorf("a token for paths gets %q, want nothing", got)
	}
}

// A grant to a group gives each member a place of their own, and nobody that of
// another, and a token can be made for one's own place.
func TestRegistryOwnPlace(t *testing.T) {
	c := newSigning(t, nil)
	if _, err := c.Accounts.AddGrant(bg, c.Admin, "", store.GroupEveryone, "repository:${account}/*:pull,push"); err != nil {
		t.Fatalf("AddGrant() = %v", err)
	}
	ann, odd := c.User(t, "ann"), c.User(t, "Ann.Other@example.org")
	for _, tt := range []struct {
		who         *identity.Identity
		asked, want string
	}{
		{ann, "repository:ann/app:pull,push,delete", "repository:ann/app:pull,push"},
		{ann, "repository:bob/app:pull", ""},
		{ann, "repository:annex/app:pull", ""},
		{ann, "repository:${account}/app:pull", ""},
		{odd, "repository:ann/app:pull", ""},
		{odd, "repository:Ann.Other@example.org/app:pull", ""},
	} {
		if got := grantedTexts(askRegistry(t, c, tt.who, tt.asked)); got != tt.want {
			t.Errorf("%s asks for %q and gets %q, want %q", tt.who.Name, tt.asked, got, tt.want)
		}
	}
	own := mustPass(t, c.Tokens, issue(t, c, ann, tokens.Request{Scope: []string{"repository:${account}/*:pull"}}).Secret)
	if got, want := grantedTexts(askRegistry(t, c, own, "repository:ann/app:pull,push")), "repository:ann/app:pull"; got != want {
		t.Errorf("a token for one's own place gets %q, want %q", got, want)
	}
	_, err := c.Tokens.Issue(bg, odd, tokens.Request{Name: "x", Scope: []string{"repository:${account}/*:pull"}})
	wantFault(t, "Issue() where the name has no place", err, fault.Invalid)
}

// S96: nobody gets to pull what is granted to nobody in particular, and no more
// than that whatever was granted.
func TestRegistryNobody(t *testing.T) {
	c := newSigning(t, nil)
	rules, err := scope.ParseSet([]string{"repository:public/*:*", "registry:catalog:*", "repository:x:push"})
	if err != nil {
		t.Fatal(err)
	}
	token := askRegistry(t, c, &identity.Identity{Grants: rules}, "repository:public/a:pull,push,delete repository:x:push repository:x:pull registry:catalog:* repository:private:pull repository:public/b:*")
	if got, want := grantedTexts(token), "repository:public/a:pull repository:public/b:pull"; got != want {
		t.Errorf("nobody gets %q, want %q", got, want)
	}
	claims, _ := readRegistry(t, c, token)
	if sub, there := claims["sub"].(string); !there || sub != "" {
		t.Errorf("sub = %v, want the empty text", claims["sub"])
	}
	if _, err := c.Tokens.IssueRegistry(bg, nil, tokens.RegistryRequest{Terms: terms}); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("IssueRegistry(nil) = %v, want a fault of kind unauthenticated", err)
	}
}

// S97: a token ends no later than what it was given for.
func TestRegistryEndsWithItsParent(t *testing.T) {
	c := newSigning(t, nil)
	ann := c.User(t, "ann", "repository:a:pull")
	short := mustPass(t, c.Tokens, issue(t, c, ann, tokens.Request{ExpiresIn: of(2 * time.Minute)}).Secret)
	if got, want := askRegistry(t, c, short, "").ExpiresAt, c.Clock.Now().Add(2*time.Minute); !got.Equal(want) {
		t.Errorf("it ends at %v, want %v", got, want)
	}
	if got, want := askRegistry(t, c, ann, "").ExpiresAt, c.Clock.Now().Add(5*time.Minute); !got.Equal(want) {
		t.Errorf("by password it ends at %v, want %v", got, want)
	}
}

// offline makes a client's refresh token, that must be given.
func offline(t testing.TB, c *coretest.Core, who *identity.Identity) tokens.Issued {
	t.Helper()
	issued, err := c.Tokens.IssueOffline(bg, who, "docker", map[string]string{"registry": "registry.example"})
	if err != nil {
		t.Fatalf("IssueOffline() = %v", err)
	}
	return issued
}

func presentOffline(s *tokens.Service, text secret.Text) (*identity.Identity, error) {
	return s.CheckOffline(bg, tokens.Presented{Token: text, Addr: somewhere, Agent: "test"})
}

// S98: a client's refresh token is listed under the client's name, opens no
// door, stands for its owner at a realm, and ends like any other.
func TestOffline(t *testing.T) {
	c := newSigning(t, nil)
	ann := c.User(t, "ann", "repository:a:pull")
	issued := offline(t, c, ann)
	if !strings.HasPrefix(issued.Secret.Reveal(), "lki_") || issued.Token.ExpiresAt.IsZero() {
		t.Errorf("IssueOffline() = %q until %v, want a secret with its own prefix and an end", issued.Token.Prefix, issued.Token.ExpiresAt)
	}
	list, err := listed(c, ann, store.TokenQuery{AccountID: ann.AccountID, Limit: 10})
	if err != nil || len(list) != 1 || list[0].Name != "docker" || list[0].Class != string(tokens.Registry) {
		t.Fatalf("List() = %+v, %v, want the one called docker", list, err)
	}
	for range 2 { // from the store, and from the cache
		mustRefuse(t, c.Tokens, issued.Secret, tokens.ReasonKind)
		who, err := presentOffline(c.Tokens, issued.Secret)
		if err != nil || who.Name != "ann" || who.TokenID != issued.Token.ID {
			t.Fatalf("CheckOffline() = %+v, %v, want ann", who, err)
		}
	}
	if _, err := use(c.Tokens, issued.Secret); reason(err) != tokens.ReasonKind {
		t.Errorf("RefreshPair() = %v, want the refusal %q", err, tokens.ReasonKind)
	}
	if err := c.Tokens.Revoke(bg, ann, issued.Token.ID, ""); err != nil {
		t.Fatalf("Revoke() = %v", err)
	}
	if who, err := presentOffline(c.Tokens, issued.Secret); reason(err) != tokens.ReasonRevoked || who != nil {
		t.Errorf("CheckOffline() of a revoked one = %+v, %v, want the refusal %q", who, err, tokens.ReasonRevoked)
	}
}

// S97, S98: whatever ends a token ends a client's refresh token.
func TestOfflineEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		end  func(t *testing.T, c *coretest.Core, ann *identity.Identity, issued tokens.Issued)
		want tokens.Reason
	}{
		"expired": {func(_ *testing.T, c *coretest.Core, _ *identity.Identity, _ tokens.Issued) {
			c.Clock.Advance(91 * 24 * hour)
		}, tokens.ReasonExpired},
		"idle": {func(_ *testing.T, c *coretest.Core, _ *identity.Identity, _ tokens.Issued) {
			c.Clock.Advance(31 * 24 * hour)
		}, tokens.ReasonIdle},
		"all ended": {func(t *testing.T, c *coretest.Core, ann *identity.Identity, _ tokens.Issued) {
			if _, err := c.Tokens.RevokeAll(bg, c.Admin, ann.AccountID, ""); err != nil {
				t.Fatal(err)
			}
		}, tokens.ReasonRevoked},
		"disabled": {func(t *testing.T, c *coretest.Core, ann *identity.Identity, _ tokens.Issued) {
			if _, err := c.Accounts.Update(bg, c.Admin, ann.AccountID, accounts.Change{Disabled: of(true)}); err != nil {
				t.Fatal(err)
			}
		}, tokens.ReasonDisabled},
		"password changed": {func(t *testing.T, c *coretest.Core, ann *identity.Identity, _ tokens.Issued) {
			if err := c.Accounts.SetPassword(bg, c.Admin, ann.AccountID, secret.New("another correct horse battery"), false); err != nil {
				t.Fatal(err)
			}
		}, tokens.ReasonRevoked},
		"narrowed to elsewhere": {func(t *testing.T, c *coretest.Core, ann *identity.Identity, issued tokens.Issued) {
			if _, err := c.Tokens.Update(bg, ann, issued.Token.ID, tokens.Update{CIDRs: of(prefixes("198.51.100.0/24"))}); err != nil {
				t.Fatal(err)
			}
		}, tokens.ReasonAddress},
	} {
		t.Run(name, func(t *testing.T) {
			c := newSigning(t, nil)
			ann := c.User(t, "ann", "repository:a:pull")
			issued := offline(t, c, ann)
			if _, err := presentOffline(c.Tokens, issued.Secret); err != nil {
				t.Fatalf("CheckOffline() = %v", err)
			}
			tt.end(t, c, ann, issued)
			if who, err := presentOffline(c.Tokens, issued.Secret); reason(err) != tt.want || who != nil {
				t.Errorf("CheckOffline() = %+v, %v, want the refusal %q", who, err, tt.want)
			}
		})
	}
}

// S98: a rotation of such a token ends the old secret with the first use of the
// new one, as of any other.
func TestOfflineRotated(t *testing.T) {
	c := newSigning(t, nil)
	ann := c.User(t, "ann", "repository:a:pull")
	old := offline(t, c, ann)
	next, err := c.Tokens.Rotate(bg, ann, old.Token.ID, tokens.Overlap{UntilUsed: true})
	if err != nil {
		t.Fatalf("Rotate() = %v", err)
	}
	if _, err := presentOffline(c.Tokens, old.Secret); err != nil {
		t.Errorf("CheckOffline(old) = %v, want it to count until the new one is used", err)
	}
	for range 2 {
		if _, err := presentOffline(c.Tokens, next.Secret); err != nil {
			t.Fatalf("CheckOffline(new) = %v", err)
		}
	}
	if _, err := presentOffline(c.Tokens, old.Secret); reason(err) != tokens.ReasonUnknown {
		t.Errorf("CheckOffline(old) = %v, want the refusal %q", err, tokens.ReasonUnknown)
	}
}

// A realm takes any token that opens doors, and nothing that does not.
func TestOfflineTakesTokens(t *testing.T) {
	c := newSigning(t, nil)
	ann := c.User(t, "ann", "repository:a:pull")
	personal := issue(t, c, ann, tokens.Request{})
	p := pair(t, c, ann, tokens.PairRequest{})
	for name, text := range map[string]secret.Text{"personal": personal.Secret, "access": p.Access} {
		if who, err := presentOffline(c.Tokens, text); err != nil || who.Name != "ann" {
			t.Errorf("CheckOffline(%s) = %+v, %v, want ann", name, who, err)
		}
	}
	for name, tt := range map[string]struct {
		text string
		want tokens.Reason
	}{
		"a refresh token of pairs": {p.Refresh.Reveal(), tokens.ReasonKind},
		"nothing":                  {"", tokens.ReasonMalformed},
		"junk":                     {"lki_junk", tokens.ReasonMalformed},
		"a mistyped one":           {offline(t, c, ann).Secret.Reveal()[:41] + "~", tokens.ReasonMalformed},
	} {
		if who, err := presentOffline(c.Tokens, secret.New(tt.text)); reason(err) != tt.want || who != nil {
			t.Errorf("CheckOffline(%s) = %+v, %v, want the refusal %q", name, who, err, tt.want)
		}
	}
	c.Store.Fail(errors.New("away"))
	defer c.Store.Heal()
	if who, err := c.Idle(t, nil).CheckOffline(context.Background(), tokens.Presented{Token: offline0(t), Addr: somewhere}); err == nil || who != nil {
		t.Errorf("CheckOffline() without a store = %+v, want an error", who)
	}
}

// offline0 is a token of another server.
func offline0(t testing.TB) secret.Text {
	t.Helper()
	c := newSigning(t, nil)
	return offline(t, c, c.User(t, "ann")).Secret
}

// Each token and each refusal leaves an event, with what was asked for and what
// was given, and never the token.
func TestRegistryEvents(t *testing.T) {
	c := newSigning(t, nil)
	ann := c.User(t, "ann", "repository:team/*:pull")
	given := askRegistry(t, c, ann, "repository:team/app:pull,push")
	askRegistry(t, c, ann, "repository:other/app:pull")
	events := c.Events(t, "registry.token")
	if len(events) != 2 {
		t.Fatalf("%d events, want 2", len(events))
	}
	type shown struct{ Outcome, Reason, Actor, Target, Scope, Denied, Missing, Client string }
	var got []shown
	for _, e := range events {
		got = append(got, shown{e.Outcome, e.Reason, e.ActorName, e.Target, e.Detail["scope"], e.Detail["denied"], e.Detail["missing"], e.Detail["client"]})
		if strings.Contains(strings.Join([]string{e.Detail["scope"], e.Detail["jti"]}, " "), given.Token.Reveal()) {
			t.Error("the token is in its event")
		}
		if e.Detail["jti"] == "" {
			t.Error("there is no jti in the event")
		}
	}
	want := []shown{
		{"refused", "forbidden", "ann", terms.Service, "", "repository:other/app:pull", "repository:other/app:pull", "test"},
		{"ok", "", "ann", terms.Service, "repository:team/app:pull", "repository:team/app:push", "", "test"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events, -want +got:\n%s", diff)
	}
}
