package drf_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/dialect/drf"
	"github.com/latchkey-auth/latchkey/internal/throttle"
	"github.com/latchkey-auth/latchkey/internal/tokens"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// client does what scripts do that use these tokens.
type client struct {
	t    *testing.T
	base string
}

func newClient(t *testing.T, h http.Handler) client {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return client{t, s.URL}
}

func (c client) do(r *http.Request) (status int, header http.Header, body string) {
	c.t.Helper()
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return answer.StatusCode, answer.Header, string(content)
}

func (c client) login(name, password string) (status int, header http.Header, body string) {
	c.t.Helper()
	form := url.Values{"username": {name}, "password": {password}}
	r, err := http.NewRequest(http.MethodPost, c.base+"/api-token-auth/", strings.NewReader(form.Encode()))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return c.do(r)
}

func (c client) token(name, password string) string {
	c.t.Helper()
	status, _, body := c.login(name, password)
	var in struct{ Token string }
	if err := json.Unmarshal([]byte(body), &in); status != http.StatusOK || err != nil || in.Token == "" {
		c.t.Fatalf("login of %s: got %d %s, want 200 and a token", name, status, body)
	}
	return in.Token
}

// use asks for a protected page with a token.
func (c client) use(authorization string) (status int, body string) {
	c.t.Helper()
	r, err := http.NewRequest(http.MethodGet, c.base+"/protected/", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Authorization", authorization)
	status, _, body = c.do(r)
	return status, body
}

func TestObtainUseRevoke(t *testing.T) {
	core := newCore(t, throttle.Options{})
	core.addUser(t, "alice", "correct horse")
	c := newClient(t, sampleServer(core))

	first := c.token("alice", "correct horse")
	if !hex40.MatchString(first) {
		t.Errorf("the token %q has not the form of 40 hexadecimal digits", first)
	}
	if status, body := c.use("Token " + first); status != 200 || body != `{"user":"alice"}` {
		t.Errorf("use of the token: got %d %s, want alice", status, body)
	}
	if again := c.token("alice", "correct horse"); again != first {
		t.Errorf("second login: got the token %q, want %q again", again, first)
	}
	if n := core.revoke(t, "alice"); n != 1 {
		t.Errorf("two logins made %d tokens, want 1", n)
	}
	if status, body := c.use("Token " + first); status != 401 || body != `{"detail":"Invalid token."}` {
		t.Errorf("use of the revoked token: got %d %s, want 401", status, body)
	}
	second := c.token("alice", "correct horse")
	if second == first {
		t.Errorf("login after the revocation: got the revoked token again")
	}
	if status, _ := c.use("Token " + second); status != 200 {
		t.Errorf("use of the second token: got %d, want 200", status)
	}
	if status, _ := c.use("Token \xff\xfe"); status != 401 {
		t.Errorf("use of bytes that are no text: got %d, want 401", status)
	}
	if n := len(core.events(t, "token.issue")); n != 2 {
		t.Errorf("%d events of issued tokens, want 2", n)
	}
}

// Many clients of one account that log in at once get one token.
func TestLoginsAtOnce(t *testing.T) {
	core := newCore(t, manyLogins())
	core.addUser(t, "alice", "correct horse")
	c := newClient(t, sampleServer(core))
	const n = 20
	got := make([]string, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			r, _ := http.NewRequest(http.MethodPost, c.base+"/api-token-auth", strings.NewReader(`{"username":"alice","password":"correct horse"}`))
			r.Header.Set("Content-Type", "application/json")
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				return
			}
			defer answer.Body.Close()
			body, _ := io.ReadAll(answer.Body)
			got[i] = string(body)
		})
	}
	wg.Wait()
	for i, body := range got {
		if body != got[0] || !strings.HasPrefix(body, `{"token":"`) {
			t.Errorf("login %d of %d at once: got %s, the first %s, want one token", i+1, n, body, got[0])
		}
	}
	if list := core.list(t, "alice"); len(list) != 1 {
		t.Errorf("%d logins at once made %d tokens, want 1", n, len(list))
	}
}

// S99, S109: guessing is throttled, and every attempt is written down.
func TestGuessing(t *testing.T) {
	core := newCore(t, throttle.Options{Pair: throttle.Rate{Burst: 3, Every: time.Hour}})
	core.addUser(t, "alice", "correct horse")
	c := newClient(t, sampleServer(core))
	for i := range 3 {
		status, _, body := c.login("alice", "wrong")
		if status != 400 || body != `{"non_field_errors":["Unable to log in with provided credentials."]}` {
			t.Fatalf("guess %d: got %d %s, want 400", i+1, status, body)
		}
	}
	status, header, body := c.login("alice", "correct horse")
	wait := header.Get("Retry-After")
	if status != 429 || wait == "" || body != `{"detail":"Request was throttled. Expected available in `+wait+` seconds."}` {
		t.Errorf("a login after too many guesses: got %d %s and Retry-After %q, want 429", status, body, wait)
	}
	outcomes := map[string]int{}
	for _, e := range core.events(t, "login") {
		if e.ActorName == "alice" {
			outcomes[e.Outcome+" "+e.Reason]++
			if e.Addr != "127.0.0.1" {
				t.Errorf("the event of a login has the address %q, want 127.0.0.1", e.Addr)
			}
		}
	}
	if outcomes[audit.Refused+" unauthenticated"] != 3 || outcomes[audit.Refused+" throttled"] != 1 {
		t.Errorf("the events of the logins are %v, want 3 of wrong passwords and 1 throttled", outcomes)
	}
}

func TestOptions(t *testing.T) {
	core := newCore(t, throttle.Options{})
	core.addUser(t, "alice", "correct horse")
	opts := drf.Options{Path: "/tokens", Lifetime: time.Hour, Idle: time.Minute}
	h := drf.New(opts, core.accounts, core.tokens, slog.New(slog.DiscardHandler))
	if got := strings.Join(h.Paths(), " "); got != "/tokens/ /tokens" {
		t.Errorf("Paths() with %q = %s, want both forms", opts.Path, got)
	}
	c := newClient(t, web.Identify(nil, h))
	if got := c.token("alice", "correct horse"); !tokens.LooksNative(got) {
		t.Errorf("the token %q has not Latchkey's own form", got)
	}
	list := core.list(t, "alice")
	if len(list) != 1 {
		t.Fatalf("one login made %d tokens", len(list))
	}
	if life := list[0].ExpiresAt.Sub(list[0].CreatedAt); life != time.Hour || list[0].IdleAfter != time.Minute || list[0].Name != "DRF login" {
		t.Errorf("the token %q lives %v and %v without use, want %v and %v", list[0].Name, life, list[0].IdleAfter, time.Hour, time.Minute)
	}
}
