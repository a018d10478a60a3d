package registry_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/accounts"
	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/credential"
	"github.com/latchkey-auth/latchkey/internal/dialect/registry"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/jose"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

const (
	annPassword = "ann planted a staple"
	service     = "registry.example:5000"
	issuer      = "https://latchkey.example/token/"
)

// site is a realm on the real core, with the user ann, who may push below
// team/, and a robot, which may pull there.
type site struct {
	*coretest.Core
	*registry.Handler
	ann   *identity.Identity
	robot tokens.Issued
}

func newSite(t testing.TB, change func(*registry.Options)) *site {
	t.Helper()
	s := &site{Core: coretest.New(t, coretest.Options{Signing: keyring.Policy{Longest: time.Hour}})}
	s.Ready(t)
	s.ann = s.Account(t, accounts.NewAccount{Name: "ann", Password: secret.New(annPassword), Grants: []string{"repository:team/*:pull,push"}})
	robot := s.Account(t, accounts.NewAccount{Name: "ci", Kind: store.Robot, Grants: []string{"repository:team/*:pull"}})
	var err error
	if s.robot, err = s.Tokens.Issue(t.Context(), s.Admin, tokens.Request{Name: "ci", AccountID: robot.AccountID}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Accounts.AddGrant(t.Context(), s.Admin, "", store.GroupAnonymous, "repository:public/*:pull,push"); err != nil {
		t.Fatal(err)
	}
	o := registry.Options{
		Check: &credential.Checker{Tokens: s.Tokens, Passwords: s.Accounts}, Tokens: s.Tokens, Log: s.Log, Issuer: issuer, Now: s.Clock.Now,
		Services: []registry.Service{{Name: service}, {Name: "third", Key: registry.Thumbprint}, {Name: "chain", Key: registry.Certificate}},
		Anonymous: func(ctx context.Context) (scope.Set, error) {
			return tokens.GroupGrants(ctx, s.Store, store.GroupAnonymous)
		},
	}
	if change != nil {
		change(&o)
	}
	if s.Handler, err = registry.New(o); err != nil {
		t.Fatalf("New() = %v", err)
	}
	if err := s.Signing.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// answer is what clients read, into the types that Go's clients have.
type answer struct {
	Token        string    `json:"token"`
	AccessToken  string    `json:"access_token"`
	ExpiresIn    int       `json:"expires_in"`
	IssuedAt     time.Time `json:"issued_at"`
	Scope        string    `json:"scope"`
	RefreshToken string    `json:"refresh_token"`

	Errors []struct {
		Code, Message string
	} `json:"errors"`
	Error       string `json:"error"`
	Description string `json:"error_description"`

	status int
	header http.Header
}

// do sends a request as it came over the wire.
func (s *site) do(t testing.TB, r *http.Request) answer {
	t.Helper()
	r = r.WithContext(audit.NewContext(r.Context(), audit.Request{Addr: netip.MustParseAddr("192.0.2.7"), Agent: "test", Method: r.Method, Path: r.URL.Path}))
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	res := w.Result()
	if kind := res.Header.Get("Content-Type"); kind != "application/json" || res.Header.Get("Cache-Control") != "no-store" || res.StatusCode/100 == 3 {
		t.Errorf("%s %s: %d of %q, want JSON that is not kept", r.Method, r.URL, res.StatusCode, kind)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: res.StatusCode, header: res.Header}
	if err := json.Unmarshal(body, &a); err != nil {
		t.Fatalf("%s %s answers %s: %v", r.Method, r.URL, body, err)
	}
	if ok := a.status == http.StatusOK; ok == (len(a.Errors) > 0) || ok != (a.Token != "") || a.Token != a.AccessToken {
		t.Errorf("%s %s answers %d %s, want a token twice, or errors", r.Method, r.URL, a.status, body)
	}
	return a
}

// get asks by the first specification, with Basic unless user is "-".
func (s *site) get(t testing.TB, query, user, password string) answer {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/token/?"+query, nil)
	if user != "-" {
		r.SetBasicAuth(user, password)
	}
	return s.do(t, r)
}

// post asks by the second one.
func (s *site) post(t testing.TB, body string) answer {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/token", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	return s.do(t, r)
}

// granted returns whose token it is, and what it allows, in short.
func (s *site) granted(t testing.TB, a answer) string {
	t.Helper()
	if a.status != http.StatusOK {
		t.Fatalf("the answer is %d %+v, want a token", a.status, a.Errors)
	}
	verified, err := s.Signing.Verify(t.Context(), a.Token, jose.Profile{Type: "JWT", Issuer: issuer, Audience: service, Required: []string{"access"}})
	if err != nil {
		t.Fatalf("Verify() = %v", err)
	}
	text, _ := json.Marshal(verified.Claims["access"])
	var access []struct {
		Type, Name string
		Actions    []string
	}
	if err := json.Unmarshal(text, &access); err != nil {
		t.Fatal(err)
	}
	words := []string{verified.Claims.Text("sub") + ":"}
	for _, x := range access {
		words = append(words, x.Name+"="+strings.Join(x.Actions, ","))
	}
	return strings.Join(words, " ")
}

// want compares who a token is for and what it allows.
func (s *site) want(t testing.TB, what string, a answer, want string) {
	t.Helper()
	if got := s.granted(t, a); got != want {
		t.Errorf("%s: the token says %q, want %q", what, got, want)
	}
}

// The answer to a GET, member by member, in the types that clients have.
func TestGet(t *testing.T) {
	s := newSite(t, nil)
	a := s.get(t, "service="+service+"&scope=repository:team/app:pull,push&account=ann", "ann", annPassword)
	s.want(t, "ann", a, "ann: team/app=pull,push")
	if !a.IssuedAt.Equal(s.Clock.Now()) || a.ExpiresIn != 300 || a.Scope != "" || a.RefreshToken != "" {
		t.Errorf("the answer is %+v, want issued_at now, expires_in 300, and no refresh token", a)
	}
}

// S95: scopes in one parameter and in several.
func TestScopes(t *testing.T) {
	s := newSite(t, nil)
	for query, want := range map[string]string{
		"": "ann:",
		"&scope=repository:team/a:pull&scope=repository:team/b:push":      "ann: team/a=pull team/b=push",
		"&scope=repository:team/a:pull+repository:team/b:push":            "ann: team/a=pull team/b=push",
		"&scope=repository%3Ateam%2Fa%3Apull%20repository%3Ateam%2Fb%3A*": "ann: team/a=pull team/b=pull,push",
		"&scope=&scope=repository:other/a:pull":                           "ann:",
		"&scope=repository(plugin):team/a:pull":                           "ann: team/a=pull",
	} {
		s.want(t, query, s.get(t, "service="+service+query, "ann", annPassword), want)
	}
	if a := s.get(t, "service="+service+"&scope=junk", "ann", annPassword); a.status != http.StatusBadRequest || !strings.Contains(a.Errors[0].Message, "junk") {
		t.Errorf("a scope that is none: %d %+v, want 400 that names it", a.status, a.Errors)
	}
}

// Any of our tokens can stand where the password does, with any user name, and
// in a header of its own.
func TestCredentials(t *testing.T) {
	s := newSite(t, nil)
	const query = "service=" + service + "&scope=repository:team/a:pull,push"
	p, err := s.Tokens.IssuePair(t.Context(), s.ann, tokens.PairRequest{Request: tokens.Request{Name: "x"}})
	if err != nil {
		t.Fatal(err)
	}
	robot := s.robot.Secret.Reveal()
	s.want(t, "a robot by its name", s.get(t, query+"&account=ci", "ci", robot), "ci: team/a=pull")
	s.want(t, "a robot by any name", s.get(t, query+"&account=anything", "anything", robot), "ci: team/a=pull")
	s.want(t, "a signed token", s.get(t, query, "ann", p.Access.Reveal()), "ann: team/a=pull,push")
	s.want(t, "a password in a form", s.post(t, "grant_type=password&client_id=x&username=ann&password="+strings.ReplaceAll(annPassword, " ", "+")+"&"+query), "ann: team/a=pull,push")
	s.want(t, "a token in a form", s.post(t, "grant_type=password&client_id=x&username=any&password="+robot+"&"+query), "ci: team/a=pull")
	bearer := httptest.NewRequest(http.MethodGet, "/token/?"+query, nil)
	bearer.Header.Set("Authorization", "Bearer "+robot)
	s.want(t, "Bearer", s.do(t, bearer), "ci: team/a=pull")

	for name, a := range map[string]answer{
		"a wrong password":                   s.get(t, query, "ann", "wrong"),
		"nobody's name":                      s.get(t, query, "nobody", annPassword),
		"an empty password":                  s.get(t, query, "ann", ""),
		"a refresh token of pairs":           s.get(t, query, "ann", p.Refresh.Reveal()),
		"a mistyped token":                   s.get(t, query, "ci", robot[:41]+"~"),
		"a wrong password in a form":         s.post(t, "grant_type=password&username=ann&password=wrong&"+query),
		"a refresh token that is a password": s.post(t, "grant_type=refresh_token&refresh_token="+strings.ReplaceAll(annPassword, " ", "+")+"&"+query),
	} {
		if a.status != http.StatusUnauthorized || a.Errors[0].Code != "UNAUTHORIZED" || a.header.Get("WWW-Authenticate") != `Basic realm="latchkey"` {
			t.Errorf("%s: %d %+v with %q, want 401 with a challenge", name, a.status, a.Errors, a.header.Get("WWW-Authenticate"))
		}
	}
}

// S98: the account that a client names is that of the credential.
func TestAccountMustMatch(t *testing.T) {
	s := newSite(t, nil)
	robot := s.robot.Secret.Reveal()
	for _, tt := range []struct {
		account, user, password string
		want                    int
	}{
		{"ann", "ann", annPassword, 200},
		{"", "ann", annPassword, 200},
		{"bob", "ann", annPassword, 401},
		{"ci", "any", robot, 200},
		{"any", "any", robot, 200},
		{"ann", "any", robot, 401},
		{"ann", "-", "", 401},
	} {
		if a := s.get(t, "service="+service+"&account="+tt.account, tt.user, tt.password); a.status != tt.want {
			t.Errorf("account=%s with the credential of %s: %d %+v, want %d", tt.account, tt.user, a.status, a.Errors, tt.want)
		}
	}
	if a := s.post(t, "grant_type=refresh_token&account=ann&refresh_token="+robot+"&service="+service); a.status != http.StatusUnauthorized {
		t.Errorf("account=ann with the refresh token of ci: %d, want 401", a.status)
	}
}

// S96: only registries that are known get tokens, and a token is for the one
// that was asked for.
func TestService(t *testing.T) {
	s := newSite(t, nil)
	for query, want := range map[string]int{
		"": 400, "service=": 400, "service=other": 400, "service=registry.example": 400, "service=REGISTRY.example:5000": 400,
		"service=" + service + "&service=third": 400, "service=third": 200, "service=" + service: 200,
	} {
		if a := s.get(t, query, "ann", annPassword); a.status != want {
			t.Errorf("%q: %d %+v, want %d", query, a.status, a.Errors, want)
		}
	}
	a := s.get(t, "service=third", "ann", annPassword)
	if _, err := s.Signing.Verify(t.Context(), a.Token, jose.Profile{Type: "JWT", Issuer: issuer, Audience: "third"}); err != nil {
		t.Errorf("Verify() = %v, want the audience that was asked for", err)
	}
	if a := s.get(t, "service=other", "-", ""); a.status == http.StatusOK {
		t.Error("nobody gets a token for a registry that is not known")
	}
}

// A token names its key in the way that its registry finds it.
func TestKeyHints(t *testing.T) {
	s := newSite(t, nil)
	for name, want := range map[string]struct{ libtrust, chain bool }{service: {true, false}, "third": {false, false}, "chain": {false, true}} {
		a := s.get(t, "service="+name, "ann", annPassword)
		text, _, _ := strings.Cut(a.Token, ".")
		raw, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		var header struct {
			Kid string   `json:"kid"`
			X5c []string `json:"x5c"`
			Typ string   `json:"typ"`
			Alg string   `json:"alg"`
		}
		if err := json.Unmarshal(raw, &header); err != nil {
			t.Fatal(err)
		}
		if got := len(strings.Split(header.Kid, ":")) == 12; got != want.libtrust || (len(header.X5c) == 1) != want.chain || header.Typ != "JWT" || header.Alg != "ES256" {
			t.Errorf("%s: the header is %s, want libtrust's id: %v, a certificate: %v", name, raw, want.libtrust, want.chain)
		}
	}
}

// S96: requests without a credential get what is public and nothing else.
func TestAnonymous(t *testing.T) {
	s := newSite(t, nil)
	s.want(t, "nobody", s.get(t, "service="+service+"&scope=repository:public/a:pull,push,delete&scope=repository:team/a:pull&scope=registry:catalog:*", "-", ""), ": public/a=pull")
	s.want(t, "nobody, without a scope", s.get(t, "service="+service, "-", ""), ":")
	if a := s.get(t, "service="+service+"&offline_token=true", "-", ""); a.RefreshToken != "" {
		t.Error("nobody gets a refresh token")
	}
	for name, change := range map[string]func(*registry.Options){
		"switched off": func(o *registry.Options) { o.NoAnonymous = true },
		"nothing is public": func(o *registry.Options) {
			o.Anonymous = func(context.Context) (scope.Set, error) {
				return scope.ParseSet([]string{"path:/*:read", "registry:catalog:*", "repository:x:push"})
			}
		},
		"nobody knows": func(o *registry.Options) { o.Anonymous = nil },
	} {
		if a := newSite(t, change).get(t, "service="+service, "-", ""); a.status != http.StatusUnauthorized || !strings.Contains(a.Errors[0].Message, "log in") {
			t.Errorf("%s: %d %+v, want 401 that asks to log in", name, a.status, a.Errors)
		}
	}
}

// S97: whatever is revoked gets no more tokens, at once.
func TestRevoked(t *testing.T) {
	s := newSite(t, nil)
	ask := func() int { return s.get(t, "service="+service, "ci", s.robot.Secret.Reveal()).status }
	if got := ask(); got != http.StatusOK {
		t.Fatalf("before: %d, want 200", got)
	}
	if err := s.Tokens.Revoke(t.Context(), s.Admin, s.robot.Token.ID, ""); err != nil {
		t.Fatal(err)
	}
	if got := ask(); got != http.StatusUnauthorized {
		t.Errorf("after: %d, want 401", got)
	}
}

// What cannot be read is refused in JSON, and never with an error of the
// server's.
func TestBadRequests(t *testing.T) {
	s := newSite(t, nil)
	request := func(method, target, kind, body string) *http.Request {
		r := httptest.NewRequest(method, target, strings.NewReader(body))
		r.Header.Set("Content-Type", kind)
		return r
	}
	const form = "application/x-www-form-urlencoded"
	both := request(http.MethodPost, "/token", form, "grant_type=password&username=ann&password=x&service="+service)
	both.SetBasicAuth("ann", annPassword)
	header := request(http.MethodGet, "/token/?service="+service, "", "")
	header.Header.Set("Authorization", "Basic !")
	for name, tt := range map[string]struct {
		r     *http.Request
		want  int
		oauth string
	}{
		"PUT":                      {request(http.MethodPut, "/token/", form, ""), 405, ""},
		"HEAD with a body":         {request(http.MethodDelete, "/token", "", ""), 405, ""},
		"a query that is none":     {request(http.MethodGet, "/token/?service=%zz", "", ""), 400, ""},
		"a header that is none":    {header, 400, ""},
		"JSON":                     {request(http.MethodPost, "/token", "application/json", `{"grant_type":"password"}`), 415, "invalid_request"},
		"no type":                  {request(http.MethodPost, "/token", "", "service=x"), 415, "invalid_request"},
		"a form that is none":      {request(http.MethodPost, "/token", form, "grant_type=%zz"), 400, "invalid_request"},
		"no grant":                 {request(http.MethodPost, "/token", form, "service="+service), 400, "invalid_request"},
		"another grant":            {request(http.MethodPost, "/token", form, "grant_type=client_credentials&service="+service), 400, "unsupported_grant_type"},
		"no refresh token":         {request(http.MethodPost, "/token", form, "grant_type=refresh_token&service="+service), 400, "invalid_request"},
		"no service":               {request(http.MethodPost, "/token", form, "grant_type=password&username=ann&password=x"), 400, "invalid_request"},
		"two passwords":            {request(http.MethodPost, "/token", form, "grant_type=password&username=ann&password=x&password=y&service="+service), 400, "invalid_request"},
		"two credentials":          {both, 400, "invalid_request"},
		"the query of a POST":      {request(http.MethodPost, "/token?grant_type=password&service="+service, form, ""), 400, "invalid_request"},
		"more than anybody asks":   {request(http.MethodPost, "/token", form, strings.Repeat("scope=a&", 20_000)), 413, "invalid_request"},
		"a wrong password":         {request(http.MethodPost, "/token", form, "grant_type=password&username=ann&password=x&service="+service), 401, "invalid_grant"},
		"an unknown refresh token": {request(http.MethodPost, "/token", form, "grant_type=refresh_token&refresh_token=x&service="+service), 401, "invalid_grant"},
	} {
		a := s.do(t, tt.r)
		if a.status != tt.want || a.Error != tt.oauth {
			t.Errorf("%s: %d %q %+v, want %d %q", name, a.status, a.Error, a.Errors, tt.want, tt.oauth)
		}
		if tt.want == 405 && a.header.Get("Allow") != "GET, POST" {
			t.Errorf("%s: Allow = %q", name, a.header.Get("Allow"))
		}
	}
}

// The realm is where it was put, with and without the slash, and nobody is sent
// elsewhere.
func TestPaths(t *testing.T) {
	for given, want := range map[string]string{"": "/token/ /token", "/auth/registry": "/auth/registry/ /auth/registry"} {
		s := newSite(t, func(o *registry.Options) { o.Path = given })
		if got := strings.Join(s.Paths(), " "); got != want {
			t.Errorf("Paths() for %q = %q, want %q", given, got, want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	c := coretest.New(t, coretest.Options{})
	good := registry.Options{Check: &credential.Checker{}, Tokens: c.Tokens, Log: c.Log, Issuer: issuer}
	for name, change := range map[string]func(*registry.Options){
		"no core":       func(o *registry.Options) { o.Tokens = nil },
		"no issuer":     func(o *registry.Options) { o.Issuer = "" },
		"a name twice":  func(o *registry.Options) { o.Services = []registry.Service{{Name: "a"}, {Name: "a"}} },
		"no name":       func(o *registry.Options) { o.Services = []registry.Service{{}} },
		"nobody to ask": func(o *registry.Options) { o.Services = []registry.Service{{Name: "a", Relayed: true}} },
	} {
		o := good
		change(&o)
		if _, err := registry.New(o); err == nil {
			t.Errorf("New() with %s = nil, want an error", name)
		}
	}
}

// What another token server decides goes there as it came, and nothing else
// does.
func TestRelay(t *testing.T) {
	var got []string
	relay := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		user, _, _ := r.BasicAuth()
		got = append(got, strings.Join([]string{r.Method, r.RequestURI, string(body), user}, " "))
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = io.WriteString(w, `{"token":"theirs","access_token":"theirs"}`)
	})
	s := newSite(t, func(o *registry.Options) {
		o.Relay = relay
		o.Services = append(o.Services, registry.Service{Name: "pulp", Relayed: true})
	})
	form := "grant_type=refresh_token&service=pulp&refresh_token=x"
	for name, a := range map[string]answer{
		"ours": s.get(t, "service="+service, "ann", annPassword), "none": s.get(t, "", "ann", annPassword),
	} {
		if a.Token == "theirs" {
			t.Errorf("%s was relayed", name)
		}
	}
	for _, a := range []answer{s.get(t, "service=pulp&scope=x:y:z", "ann", annPassword), s.get(t, "service=other", "-", ""), s.post(t, form)} {
		if a.Token != "theirs" {
			t.Errorf("%+v was not relayed", a)
		}
	}
	want := []string{"GET /token/?service=pulp&scope=x:y:z  ann", "GET /token/?service=other  ", "POST /token " + form + " "}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("relayed %q, want %q", got, want)
	}
}
