package oauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/accounts"
	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/credential"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/oauth"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/tokens"
	"github.com/latchkey-auth/latchkey/internal/web"
)

const inactive = "{\"active\":false}\n"

// site is the endpoint on a core of its own, with a service that may ask.
type site struct {
	*coretest.Core
	url     string
	service secret.Text
}

func newSite(t testing.TB) *site {
	t.Helper()
	c := coretest.New(t, coretest.Options{
		Signing: keyring.Policy{Longest: 24 * time.Hour},
		Tokens:  func(o *tokens.Options) { o.Policy.Audiences = []string{"elsewhere"} },
	})
	if err := c.Signing.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.Ready(t)
	s := &site{Core: c}
	robot := c.User(t, "service", "latchkey:check:read")
	s.service = s.issue(t, robot, tokens.Request{Scope: []string{"latchkey:check:read"}}).Secret
	s.url = serve(t, c, c.Tokens)
	return s
}

func serve(t testing.TB, c *coretest.Core, checks oauth.Tokens) string {
	t.Helper()
	srv := httptest.NewServer(web.Identify(nil, oauth.NewIntrospection(oauth.Options{
		Tokens: checks, Check: &credential.Checker{Tokens: c.Tokens, Passwords: c.Accounts},
		Log: c.Log, Issuer: coretest.Issuer, Realm: "test",
	})))
	t.Cleanup(srv.Close)
	return srv.URL + "/latchkey/oauth/introspect"
}

func (s *site) issue(t testing.TB, owner *identity.Identity, r tokens.Request) tokens.Issued {
	t.Helper()
	r.Name = "made for a test"
	made, err := s.Tokens.Issue(t.Context(), owner, r)
	if err != nil {
		t.Fatalf("Issue() = %v", err)
	}
	return made
}

func (s *site) pair(t testing.TB, owner *identity.Identity, r tokens.PairRequest) tokens.Pair {
	t.Helper()
	r.Name = "made for a test"
	made, err := s.Tokens.IssuePair(t.Context(), owner, r)
	if err != nil {
		t.Fatalf("IssuePair() = %v", err)
	}
	return made
}

// reply is an answer that was read to its end.
type reply struct {
	status int
	header http.Header
	body   string
}

// send sends a request; an empty Authorization is none.
func send(t testing.TB, method, target, authorization, kind, body string) reply {
	t.Helper()
	req, err := http.NewRequest(method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got := res.Header.Get("Cache-Control"); got != "no-store" { // S13
		t.Errorf("%s %s has Cache-Control %q, want no-store", method, target, got)
	}
	return reply{res.StatusCode, res.Header, string(text)}
}

const formType = "application/x-www-form-urlencoded"

// ask asks as the service does.
func (s *site) ask(t testing.TB, form url.Values) reply {
	t.Helper()
	return send(t, "POST", s.url, "Bearer "+s.service.Reveal(), formType, form.Encode())
}

// about returns what the service is told of a token that counts.
func (s *site) about(t testing.TB, form url.Values) map[string]any {
	t.Helper()
	r := s.ask(t, form)
	var told map[string]any
	if err := json.Unmarshal([]byte(r.body), &told); err != nil || r.status != 200 {
		t.Fatalf("introspection of %s = %d %s", form.Get("token"), r.status, r.body)
	}
	return told
}

func basic(name, password string) string {
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(name, password)
	return r.Header.Get("Authorization")
}

func TestOpaqueToken(t *testing.T) {
	s := newSite(t)
	alice := s.User(t, "alice", "path:/reports/*:read,write", "repository:a:pull")
	life := time.Hour
	made := s.issue(t, alice, tokens.Request{Scope: []string{"path:/reports/*:read", "repository:a:pull"}, ExpiresIn: &life})
	got := s.about(t, url.Values{"token": {made.Secret.Reveal()}})
	now := float64(s.Clock.Now().Unix())
	want := map[string]any{
		"active": true, "scope": "path:/reports/*:read repository:a:pull", "username": "alice", "token_type": "Bearer",
		"exp": now + 3600, "iat": now, "sub": alice.AccountID, "iss": coretest.Issuer, "jti": made.Token.ID,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("introspection differs (-want +got):\n%s", diff)
	}
}

func TestSignedToken(t *testing.T) {
	s := newSite(t)
	alice := s.User(t, "alice", "path:/reports/*:read")
	made := s.pair(t, alice, tokens.PairRequest{ClientID: "the app", Request: tokens.Request{Scope: []string{"path:/reports/7:read"}}})
	got := s.about(t, url.Values{"token": {made.Access.Reveal()}})
	id, _ := got["jti"].(string)
	want := map[string]any{
		"active": true, "scope": "path:/reports/7:read", "client_id": "the app", "username": "alice", "token_type": "Bearer",
		"exp": float64(made.AccessEnds.Unix()), "iat": float64(s.Clock.Now().Unix()),
		"sub": alice.AccountID, "iss": coretest.Issuer, "aud": []any{coretest.Issuer}, "jti": id,
	}
	if diff := cmp.Diff(want, got); diff != "" || id == "" || id == made.Family.ID {
		t.Errorf("introspection of a signed token has the id %q and differs (-want +got):\n%s", id, diff)
	}
}

// S42, S43: whatever is wrong with a token, whoever may ask is told that it does
// not count, and nothing else.
func TestInactive(t *testing.T) {
	s := newSite(t)
	alice, bob := s.User(t, "alice"), s.User(t, "bob")
	short := time.Minute
	expired := s.issue(t, alice, tokens.Request{ExpiresIn: &short})
	late := s.pair(t, alice, tokens.PairRequest{AccessFor: &short})
	s.Clock.Advance(time.Hour)
	revoked, bound := s.issue(t, alice, tokens.Request{}), s.issue(t, alice, tokens.Request{CIDRs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
	pair, gone := s.pair(t, alice, tokens.PairRequest{}), s.pair(t, alice, tokens.PairRequest{})
	foreign := s.pair(t, alice, tokens.PairRequest{Audience: []string{"elsewhere"}})
	disabled := s.issue(t, bob, tokens.Request{})
	yes := true
	_, err := s.Accounts.Update(t.Context(), s.Admin, bob.AccountID, accounts.Change{Disabled: &yes})
	err = errors.Join(err, s.Tokens.Revoke(t.Context(), s.Admin, revoked.Token.ID, ""), s.Tokens.Revoke(t.Context(), s.Admin, gone.Family.ID, ""))
	if err != nil {
		t.Fatal(err)
	}
	good := pair.Access.Reveal()
	for name, token := range map[string]string{
		"expired": expired.Secret.Reveal(), "revoked": revoked.Secret.Reveal(), "of a disabled account": disabled.Secret.Reveal(),
		"bound to another network": bound.Secret.Reveal(), "unknown": strings.Repeat("0", 40), "no token": "x", "a password": coretest.Password,
		"signed and expired": late.Access.Reveal(), "of an ended family": gone.Access.Reveal(), "for another audience": foreign.Access.Reveal(),
		"tampered with": good[:len(good)-4] + "AAAA", "too long": good + strings.Repeat("A", 10_000),
		"a refresh token": pair.Refresh.Reveal(), "a refresh token that ended": gone.Refresh.Reveal(),
	} {
		for _, hint := range []string{"", "access_token", "refresh_token"} {
			form := url.Values{"token": {token}}
			if hint != "" {
				form.Set("token_type_hint", hint)
			}
			if r := s.ask(t, form); r.status != 200 || r.body != inactive {
				t.Errorf("introspection of a token that is %s, with the hint %q = %d %s, want that it is not active and nothing else", name, hint, r.status, r.body)
			}
		}
	}
}

// S44
func TestWrongHint(t *testing.T) {
	s := newSite(t)
	made := s.pair(t, s.User(t, "alice"), tokens.PairRequest{})
	plain := s.about(t, url.Values{"token": {made.Access.Reveal()}})
	for _, hint := range []string{"access_token", "refresh_token", "no such kind"} {
		got := s.about(t, url.Values{"token": {made.Access.Reveal()}, "token_type_hint": {hint}})
		if diff := cmp.Diff(plain, got); diff != "" || got["active"] != true {
			t.Errorf("with the hint %q the answer differs (-without +with):\n%s", hint, diff)
		}
	}
}

// A token that is bound to a network counts from there alone, and it is the
// caller of the service that the audit log and "last used" tell of.
func TestPresenter(t *testing.T) {
	s := newSite(t)
	bound := s.issue(t, s.User(t, "alice"), tokens.Request{CIDRs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
	for addr, want := range map[string]bool{"192.0.2.1": true, "::ffff:192.0.2.1": true, "198.51.100.1": false} {
		r := s.ask(t, url.Values{"token": {bound.Secret.Reveal()}, "addr": {addr}, "agent": {"curl"}})
		if r.status != 200 || (r.body != inactive) != want {
			t.Errorf("introspection for the address %s = %d %s, want active: %v", addr, r.status, r.body, want)
		}
	}
	events := s.Events(t, "token.check")
	if len(events) != 1 || events[0].Addr != "198.51.100.1" || events[0].Reason != "address" {
		t.Errorf("the refused check left the events %+v, want one that names the address of the caller", events)
	}
	if shown, err := s.Tokens.Token(t.Context(), s.Admin, bound.Token.ID); err != nil || shown.LastUse.Addr != netip.MustParseAddr("192.0.2.1") || shown.LastUse.Agent != "curl" {
		t.Errorf("the last use = %+v, %v", shown.LastUse, err)
	}
}

// S15, S16, S41: nobody learns of a token without the right to ask, and the
// form is not looked at before that is known.
func TestCallers(t *testing.T) {
	s := newSite(t)
	alice := s.User(t, "alice")
	off := s.Account(t, accounts.NewAccount{Name: "off", Password: secret.New("a good long password")})
	yes := true
	if _, err := s.Accounts.Update(t.Context(), s.Admin, off.AccountID, accounts.Change{Disabled: &yes}); err != nil {
		t.Fatal(err)
	}
	good := s.issue(t, alice, tokens.Request{}).Secret.Reveal()
	form := url.Values{"token": {good}}.Encode()
	for name, ok := range map[string]string{
		"a token": "Bearer " + s.service.Reveal(), "a token as a password": basic("service", s.service.Reveal()), "a password": basic("admin", coretest.Password),
	} {
		if r := send(t, "POST", s.url, ok, formType, form); r.status != 200 || r.body == inactive {
			t.Errorf("asked with %s: %d %s, want an answer", name, r.status, r.body)
		}
	}
	var refusal string
	for name, credential := range map[string]string{
		"a wrong password": basic("admin", "x"), "an unknown account": basic("nobody", "a good long password"), "a disabled account": basic("off", "a good long password"),
	} {
		r := send(t, "POST", s.url, credential, formType, form)
		if r.status != 401 || r.header.Get("Www-Authenticate") == "" || refusal != "" && r.body != refusal {
			t.Errorf("asked with %s: %d %v %s, want 401 with a challenge and the body %q", name, r.status, r.header, r.body, refusal)
		}
		refusal = r.body
	}
	tests := []struct {
		name, authorization, body string
		status                    int
		code, challenge           string
	}{
		{"no credential", "", form, 401, "invalid_client", `Basic realm="test"`},
		{"no credential and no form", "", "", 401, "invalid_client", `Bearer realm="test"`},
		{"credentials in the form", "", form + "&client_id=service&client_secret=" + s.service.Reveal(), 401, "invalid_client", "Basic"},
		{"a bad token", "Bearer x", form, 401, "invalid_client", `error="invalid_token"`},
		{"a header that cannot be read", "Bearer", form, 400, "invalid_request", ""},
		{"a token without the right", "Bearer " + good, form, 403, "insufficient_scope", `scope="latchkey:check:read"`},
		{"a token without the right, about nothing", "Bearer " + good, "token=x", 403, "insufficient_scope", `scope="latchkey:check:read"`},
	}
	for _, test := range tests {
		r := send(t, "POST", s.url, test.authorization, formType, test.body)
		wantError(t, test.name, r, test.status, test.code)
		if got := strings.Join(r.header.Values("Www-Authenticate"), ", "); !strings.Contains(got, test.challenge) || test.challenge == "" && got != "" {
			t.Errorf("%s: challenged with %q, want %q", test.name, got, test.challenge)
		}
	}
}

func wantError(t *testing.T, name string, r reply, status int, code string) {
	t.Helper()
	var got struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if err := json.Unmarshal([]byte(r.body), &got); err != nil || r.status != status || got.Error != code || got.Description == "" {
		t.Errorf("%s: %d %s, want %d with the error %s", name, r.status, r.body, status, code)
	}
	for _, c := range got.Description {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			t.Errorf("%s: the description %q has a character that RFC 6749 does not let it have", name, got.Description)
		}
	}
}

// S12, S71
func TestForms(t *testing.T) {
	s := newSite(t)
	good := s.issue(t, s.User(t, "alice"), tokens.Request{}).Secret.Reveal()
	form := "token=" + good
	for name, kind := range map[string]string{"with a charset": formType + ";charset=UTF-8", "in capitals": "Application/X-WWW-Form-URLEncoded"} {
		if r := send(t, "POST", s.url, "Bearer "+s.service.Reveal(), kind, form+"&more=1&more2="); r.status != 200 || r.body == inactive {
			t.Errorf("a form %s and with unknown parameters = %d %s, want an answer", name, r.status, r.body)
		}
	}
	tests := []struct {
		name, method, query, kind, body string
		status                          int
	}{
		{"GET", "GET", "", "", "", 405},
		{"GET with the token", "GET", "?" + form, "", "", 405},
		{"PUT", "PUT", "", formType, form, 405},
		{"the token in the query", "POST", "?" + form, formType, "", 400},
		{"something as the token in the query", "POST", "?token=x", formType, form, 400},
		{"the token in the query by another name", "POST", "?x=" + good, formType, form, 400},
		{"no token", "POST", "", formType, "", 400},
		{"an empty token", "POST", "", formType, "token=", 400},
		{"two tokens", "POST", "", formType, form + "&" + form, 400},
		{"a token and an empty one", "POST", "", formType, form + "&token=", 400},
		{"two hints", "POST", "", formType, form + "&token_type_hint=a&token_type_hint=b", 400},
		{"JSON", "POST", "", "application/json", `{"token":"` + good + `"}`, 400},
		{"no type", "POST", "", "", form, 400},
		{"a type that cannot be read", "POST", "", formType + ";;=", form, 400},
		{"multipart", "POST", "", "multipart/form-data; boundary=x", "--x--", 400},
		{"an escape that is none", "POST", "", formType, "token=%zz", 400},
		{"bytes that are no text", "POST", "", formType, "token=%ff", 400},
		{"no address", "POST", "", formType, form + "&addr=nowhere", 400},
		{"too much", "POST", "", formType, form + "&x=" + strings.Repeat("x", web.MaxBody), 413},
	}
	for _, test := range tests {
		r := send(t, test.method, s.url+test.query, "Bearer "+s.service.Reveal(), test.kind, test.body)
		wantError(t, test.name, r, test.status, "invalid_request")
		if got := r.header.Get("Allow"); (got == "POST") != (test.status == 405) {
			t.Errorf("%s: allowed is %q", test.name, got)
		}
		if strings.Contains(r.body, good) {
			t.Errorf("%s: the answer repeats the token: %s", test.name, r.body)
		}
	}
}

// S20: a page elsewhere cannot ask with the credential that the browser adds.
func TestOtherOrigin(t *testing.T) {
	s := newSite(t)
	req := httptest.NewRequest("POST", s.url, strings.NewReader("token=x"))
	req.RequestURI = ""
	req.Header.Set("Authorization", "Bearer "+s.service.Reveal())
	req.Header.Set("Content-Type", formType)
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 403 {
		t.Errorf("a request of another origin's page = %d, want 403", res.StatusCode)
	}
}

// failing is a core that cannot say.
type failing struct{ err error }

func (f failing) CheckFor(context.Context, *identity.Identity, tokens.Presented, scope.Set) (tokens.Answer, error) {
	return tokens.Answer{}, f.err
}

// S89: what cannot be known is no answer about the token.
func TestCoreFails(t *testing.T) {
	s := newSite(t)
	tests := []struct {
		err    error
		status int
		code   string
	}{
		{fault.Unavailablef(nil, "the store does not answer"), 503, "temporarily_unavailable"},
		{fault.TooOften(3 * time.Second), 429, "temporarily_unavailable"},
		{errors.New("a bug"), 500, "server_error"},
	}
	for _, test := range tests {
		r := send(t, "POST", serve(t, s.Core, failing{test.err}), "Bearer "+s.service.Reveal(), formType, "token=x")
		wantError(t, test.err.Error(), r, test.status, test.code)
		if strings.Contains(r.body, "a bug") || strings.Contains(r.body, "active") {
			t.Errorf("when the core says %v the answer is %s", test.err, r.body)
		}
		if wait := r.header.Get("Retry-After"); test.status == 429 && wait != "3" {
			t.Errorf("Retry-After is %q, want 3", wait)
		}
	}
}
