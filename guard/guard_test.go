package guard_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/guard"
	"github.com/latchkey-auth/latchkey/latchkeytest"
)

const bound = 2 * time.Second

func newGuard(t testing.TB, url, token string, change func(*guard.Options)) *guard.Guard {
	t.Helper()
	o := guard.Options{Server: url, Token: token, MaxStale: bound, Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&o)
	}
	g, err := guard.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return g
}

// eventually polls until do says yes.
func eventually(t testing.TB, what string, do func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !do(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never came to this: %s", what)
		}
	}
}

func fresh(t testing.TB, g *guard.Guard) {
	t.Helper()
	eventually(t, "the guard is fresh", func() bool { return g.Health().Fresh })
}

// endsInTime checks that a token that was revoked before now opens nothing from
// MaxStale later on, and comes to the error.
func endsInTime(t testing.TB, g *guard.Guard, token string, want error) {
	t.Helper()
	revoked := time.Now()
	eventually(t, fmt.Sprint("the token is refused with ", want), func() bool {
		asked := time.Now()
		id, err := as(g, token)
		if err == nil && asked.After(revoked.Add(bound)) {
			t.Fatalf("%v after it was revoked, the token stands for %s", time.Since(revoked), id.Account)
		}
		return errors.Is(err, want)
	})
}

// protected serves a handler behind a guard.
func protected(t testing.TB, wrap func(http.Handler) http.Handler) string {
	t.Helper()
	srv := httptest.NewServer(wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := guard.FromContext(r.Context())
		fmt.Fprintf(w, "%s %s %v", id.Account, id.Kind, id.Scope())
	})))
	t.Cleanup(srv.Close)
	return srv.URL
}

type reply struct {
	status int
	header http.Header
	body   string
}

func get(t testing.TB, method, url string, authorization ...string) reply {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header["Authorization"] = authorization
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{res.StatusCode, res.Header, string(body)}
}

func basic(user, password string) string {
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(user, password)
	return r.Header.Get("Authorization")
}

// What a handler that is protected in three lines answers to whom (S62, S71,
// S80).
func TestRequire(t *testing.T) {
	t.Parallel()
	srv := latchkeytest.Start(t)
	g := newGuard(t, srv.URL, srv.Service(t, "service"), nil)
	url := protected(t, g.Require("path:/reports/*:read", "repository:a:pull"))
	good := srv.Token(t, "alice", "path:/reports/*:*", "repository:a:pull,push")
	narrow := srv.Token(t, "alice", "path:/reports/7:read", "repository:a:pull")
	gone := srv.Token(t, "alice")
	srv.Revoke(t, gone)
	fresh(t, g)
	const none, invalid = `Bearer realm="latchkey"`, `Bearer realm="latchkey", error="invalid_token"`
	for _, tt := range []struct {
		name          string
		authorization []string
		status        int
		challenge     string
	}{
		{"bearer", []string{"Bearer " + good}, 200, ""},
		{"bearer in other letters", []string{"bEARER " + good}, 200, ""},
		{"token", []string{"Token " + good}, 200, ""},
		{"password of basic", []string{basic("anybody", good)}, 200, ""},
		{"none", nil, 401, none},
		{"another scheme", []string{"Negotiate abc"}, 401, none},
		{"empty password of basic", []string{basic("alice", "")}, 401, none},
		{"user of basic", []string{basic(good, "x")}, 401, invalid},
		{"revoked", []string{"Bearer " + gone}, 401, invalid},
		{"nonsense", []string{"Bearer x"}, 401, invalid},
		{"narrow", []string{"Bearer " + narrow}, 403, `Bearer realm="latchkey", error="insufficient_scope", scope="path:/reports/*:read"`},
		{"two", []string{"Bearer " + good, "Bearer " + good}, 400, ""},
		{"a good and a bad one", []string{"Bearer x", "Bearer " + good}, 400, ""},
		{"empty", []string{"Bearer "}, 400, ""},
		{"spaces", []string{"Bearer " + good + " x"}, 400, ""},
		{"too long", []string{"Bearer " + strings.Repeat("x", 9000)}, 400, ""},
	} {
		for range 2 { // asked, and from memory
			r := get(t, "GET", url, tt.authorization...)
			if r.status != tt.status || r.header.Get("WWW-Authenticate") != tt.challenge {
				t.Errorf("%s: %d %q %s, want %d %q", tt.name, r.status, r.header.Get("WWW-Authenticate"), r.body, tt.status, tt.challenge)
			}
			if tt.status == 200 {
				if want := "alice user [path:/reports/*:* repository:a:pull,push]"; r.body != want {
					t.Errorf("%s: the handler saw %q, want %q", tt.name, r.body, want)
				}
				continue
			}
			var p api.Problem
			if err := json.Unmarshal([]byte(r.body), &p); err != nil || p.Status != tt.status || p.Code == "" || p.Detail == "" || r.header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s: the answer %q is no problem", tt.name, r.body)
			}
			if strings.Contains(r.body, good) || strings.Contains(r.body, gone) {
				t.Errorf("%s: the answer repeats the credential", tt.name)
			}
		}
	}
	if r := get(t, "GET", protected(t, g.Require()), "Bearer "+narrow); r.status != 200 {
		t.Errorf("Require() without rules = %d, want any good token to do", r.status)
	}
	defer func() {
		if recover() == nil {
			t.Error("Require() of what is no rule did not panic")
		}
	}()
	g.Require("reports:read")
}

// S80: by method and path, as the server's own doors judge.
func TestProtect(t *testing.T) {
	t.Parallel()
	srv := latchkeytest.Start(t)
	g := newGuard(t, srv.URL, srv.Service(t, "service"), nil)
	url := protected(t, g.Protect)
	reader := "Bearer " + srv.Token(t, "alice", "path:/reports/*:read")
	writer := "Bearer " + srv.Token(t, "alice", "path:/reports/*:read,write", "path:/r%20x:delete")
	all := "Bearer " + srv.Token(t, "alice", "path:/*:*")
	for _, tt := range []struct {
		token, method, path string
		want                int
	}{
		{reader, "GET", "/reports/7", 200}, {reader, "HEAD", "/reports/7?x=1", 200}, {reader, "OPTIONS", "/reports/", 200},
		{reader, "POST", "/reports/7", 403}, {reader, "DELETE", "/reports/7", 403}, {reader, "PROPFIND", "/reports/7", 403},
		{reader, "GET", "/", 403}, {reader, "GET", "/reports", 403}, {reader, "GET", "/other", 403},
		{reader, "GET", "/reports/../other", 403}, {reader, "GET", "/reports/%2e%2e/other", 403}, {reader, "GET", "/reports%2f7", 403},
		{reader, "GET", "/reports//7", 403}, {reader, "GET", "//reports/7", 403}, {reader, "GET", "/reports/7;x", 403}, {reader, "GET", "/reports/%252e", 403},
		{writer, "PUT", "/reports/7", 200}, {writer, "DELETE", "/r%20x", 200}, {writer, "GET", "/r%20x", 403},
		{all, "GET", "/reports/../other", 200}, {all, "PROPFIND", "/x", 200},
	} {
		r := get(t, tt.method, url+tt.path, tt.token)
		if r.status != tt.want {
			t.Errorf("%s %s = %d %s, want %d", tt.method, tt.path, r.status, r.body, tt.want)
		}
		if tt.want == 403 && !strings.Contains(r.header.Get("WWW-Authenticate"), `error="insufficient_scope", scope="path:/`) {
			t.Errorf("%s %s has the challenge %q", tt.method, tt.path, r.header.Get("WWW-Authenticate"))
		}
	}
}

// What an identity allows is what the server says that its token covers.
func TestAllowsAsTheServerDoes(t *testing.T) {
	t.Parallel()
	srv := latchkeytest.Start(t)
	service := srv.Service(t, "service")
	g := newGuard(t, srv.URL, service, nil)
	rules := []string{"path:/a/*:read", "path:/a/b:read,write", "path:/*/x:delete", "repository:a/*:pull", "repository:*:push", "latchkey:tokens:read"}
	token := srv.Token(t, "alice", rules...)
	id := mustPass(t, g, token)
	for _, asked := range append([]string{
		"path:/a/b:write", "path:/a/c:write", "path:/a/b/c:read", "path:/b/x:delete", "path:/*:read", "path:/a/*:*", "repository:a/b:pull,push",
		"repository:b:pull", "repository:b:push", "registry:catalog:*", "latchkey:tokens:write", "*:*:*",
	}, rules...) {
		got, err := srv.Admin.Check(t.Context(), api.Check{Token: token, Scope: []string{asked}})
		if err != nil || got.Covered == nil {
			t.Fatal(got, err)
		}
		if id.Allows(asked) != *got.Covered {
			t.Errorf("Allows(%q) = %v, the server says %v", asked, id.Allows(asked), *got.Covered)
		}
	}
	for _, odd := range []string{"", "nonsense", "path:/a/b", "path:/a/..:read"} {
		if id.Allows(odd) {
			t.Errorf("Allows(%q) = true, want no for what is no rule", odd)
		}
	}
	nobody := guard.FromContext(context.Background())
	if nobody.Allows("path:/a:read") || nobody.AllowsRequest("GET", "/") || nobody.Account != "" || len(nobody.Scope()) > 0 {
		t.Errorf("FromContext() of an ordinary context = %+v, want nobody", nobody)
	}
}

// A revoked token, a disabled account and a lost right end what was kept, long
// before the bound, since they are told.
func TestChangesReachTheGuard(t *testing.T) {
	t.Parallel()
	srv := latchkeytest.Start(t)
	g := newGuard(t, srv.URL, srv.Service(t, "service"), nil)
	fresh(t, g)
	t.Run("token", func(t *testing.T) {
		token := srv.Token(t, "alice", "path:/a:read")
		mustPass(t, g, token)
		srv.Revoke(t, token)
		endsInTime(t, g, token, guard.ErrRefused)
	})
	t.Run("account", func(t *testing.T) {
		token, disabled := srv.Token(t, "bob", "path:/a:read"), true
		mustPass(t, g, token)
		if _, err := srv.Admin.Accounts.Update(t.Context(), "bob", api.UpdateAccount{Disabled: &disabled}); err != nil {
			t.Fatal(err)
		}
		endsInTime(t, g, token, guard.ErrRefused)
	})
	t.Run("right", func(t *testing.T) { // S83
		srv.Robot(t, "carl")
		grant, err := srv.Admin.Grants.Create(t.Context(), api.CreateGrant{Account: "carl", Scope: "repository:a:pull"})
		if err != nil {
			t.Fatal(err)
		}
		token := srv.Token(t, "carl")
		if !mustPass(t, g, token).Allows("repository:a:pull") {
			t.Fatal("the right is not there to begin with")
		}
		if err := srv.Admin.Grants.Delete(t.Context(), grant.ID); err != nil {
			t.Fatal(err)
		}
		lost := time.Now()
		eventually(t, "the right is lost", func() bool {
			asked := time.Now()
			still := mustPass(t, g, token).Allows("repository:a:pull")
			if still && asked.After(lost.Add(bound)) {
				t.Fatalf("the right is still there after %v", time.Since(lost))
			}
			return !still
		})
	})
	t.Run("rotation", func(t *testing.T) {
		old := srv.NewToken(t, "dora", api.CreateToken{})
		mustPass(t, g, old.Secret)
		renewed, err := srv.Admin.Tokens.Rotate(t.Context(), old.ID, api.RotateToken{UntilUsed: true})
		if err != nil {
			t.Fatal(err)
		}
		mustPass(t, g, old.Secret)
		mustPass(t, g, renewed.Secret)
		endsInTime(t, g, old.Secret, guard.ErrRefused)
		mustPass(t, g, renewed.Secret)
	})
}

// S89, S114: whatever becomes of the network or the server, a revoked token
// ends within the bound, and without a server nobody gets in.
func TestFaults(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		spoil, heal func(*network)
		want        error // of a revoked token
	}{
		"connections are cut":   {(*network).cut, func(*network) {}, guard.ErrRefused},
		"nothing gets through":  {(*network).stall, (*network).flow, guard.ErrUnavailable},
		"everything comes late": {func(n *network) { n.delay(3 * time.Second) }, func(n *network) { n.delay(0) }, guard.ErrUnavailable},
		"everything is slow":    {func(n *network) { n.delay(200 * time.Millisecond) }, func(n *network) { n.delay(0) }, guard.ErrRefused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := latchkeytest.Start(t)
			between := newNetwork(t, srv.URL)
			g := newGuard(t, between.url(), srv.Service(t, "service"), nil)
			url := protected(t, g.Require("path:/a:read"))
			gone, kept := srv.Token(t, "alice", "path:/a:read"), srv.Token(t, "bob", "path:/a:read")
			fresh(t, g)
			mustPass(t, g, gone)
			mustPass(t, g, kept)
			tt.spoil(between)
			srv.Revoke(t, gone)
			endsInTime(t, g, gone, tt.want)
			if errors.Is(tt.want, guard.ErrUnavailable) {
				r := get(t, "GET", url, "Bearer "+kept)
				if r.status != 503 || r.header.Get("Retry-After") == "" {
					t.Errorf("a good token without a server = %d %s, want 503 and when to retry", r.status, r.body)
				}
			}
			tt.heal(between)
			fresh(t, g)
			mustPass(t, g, kept)
			endsInTime(t, g, gone, guard.ErrRefused)
		})
	}
}

// A server that is stopped lets nobody in, and one that is there again lets in
// whom it did before.
func TestRestart(t *testing.T) {
	t.Parallel()
	srv := latchkeytest.Start(t)
	g := newGuard(t, srv.URL, srv.Service(t, "service"), nil)
	token := srv.Token(t, "alice", "path:/a:read")
	fresh(t, g)
	mustPass(t, g, token)
	srv.Stop()
	stopped := time.Now()
	eventually(t, "the guard lets nobody in", func() bool {
		asked := time.Now()
		_, err := as(g, token)
		if err == nil && asked.After(stopped.Add(bound)) {
			t.Fatalf("%v after the server stopped the guard still says yes", time.Since(stopped))
		}
		return errors.Is(err, guard.ErrUnavailable)
	})
	if h := g.Health(); h.Fresh || h.Err == nil {
		t.Errorf("Health() without a server = %+v", h)
	}
	srv.Resume(t)
	fresh(t, g)
	mustPass(t, g, token)
	if h := g.Health(); h.Err != nil {
		t.Errorf("Health() with the server back = %+v", h)
	}
}

// A service whose own token is bad, or has not the right, learns nothing and
// lets nobody in (S41, S89).
func TestServiceWithoutRight(t *testing.T) {
	t.Parallel()
	srv := latchkeytest.Start(t)
	good := srv.Token(t, "alice", "path:/a:read")
	for _, own := range []string{"lkr_nonsense", srv.Token(t, "robot", "path:/*:*")} {
		g := newGuard(t, srv.URL, own, nil)
		if r := get(t, "GET", protected(t, g.Require()), "Bearer "+good); r.status != 503 {
			t.Errorf("a service without the right answers %d %s, want 503", r.status, r.body)
		}
		eventually(t, "the guard says what is wrong", func() bool { return g.Health().Err != nil })
		if text := fmt.Sprint(g.Health().Err); strings.Contains(text, good) || strings.Contains(text, own) {
			t.Errorf("the error repeats a credential: %s", text)
		}
	}
}

// Many check while tokens are revoked, one after the other: none opens anything
// when MaxStale has passed since its revocation was answered, and the others do
// all the time.
func TestRevocationsUnderLoad(t *testing.T) {
	t.Parallel()
	srv := latchkeytest.Start(t)
	g := newGuard(t, srv.URL, srv.Service(t, "service"), nil)
	fresh(t, g)
	const n = 24
	type victim struct {
		secret string
		ended  atomic.Pointer[time.Time]
		seen   atomic.Bool // refused, by some checker
	}
	victims := make([]*victim, n)
	for i := range victims {
		victims[i] = &victim{secret: srv.Token(t, "alice", "path:/a:read")}
	}
	kept := srv.Token(t, "alice", "path:/a:read")
	ctx, cancel := context.WithCancel(t.Context())
	var checkers sync.WaitGroup
	for range 4 {
		checkers.Go(func() {
			for ctx.Err() == nil {
				for _, v := range victims {
					ended, asked := v.ended.Load(), time.Now()
					_, err := as(g, v.secret)
					switch {
					case err == nil && ended != nil && asked.After(ended.Add(bound)):
						t.Errorf("a token opens a door %v after it was revoked", asked.Sub(*ended))
						return
					case errors.Is(err, guard.ErrRefused):
						if v.seen.Store(true); ended == nil && v.ended.Load() == nil {
							continue // the revocation is under way
						}
					case err != nil:
						t.Errorf("Check() = %v", err)
						return
					}
				}
				if _, err := as(g, kept); err != nil {
					t.Errorf("Check() of a good token = %v", err)
					return
				}
			}
		})
	}
	for _, v := range victims {
		srv.Revoke(t, v.secret)
		now := time.Now()
		v.ended.Store(&now)
	}
	eventually(t, "all revoked tokens are refused", func() bool {
		for _, v := range victims {
			if !v.seen.Load() {
				return t.Failed()
			}
		}
		return true
	})
	cancel()
	checkers.Wait()
}

// S84: the address is that of the peer, or what the service's function says.
func TestClientAddr(t *testing.T) {
	t.Parallel()
	srv := latchkeytest.Start(t)
	service := srv.Service(t, "service")
	local := "Bearer " + srv.NewToken(t, "alice", api.CreateToken{CIDRs: []string{"127.0.0.0/8"}}).Secret
	remote := "Bearer " + srv.NewToken(t, "alice", api.CreateToken{CIDRs: []string{"192.0.2.0/24"}}).Secret
	byPeer := protected(t, newGuard(t, srv.URL, service, nil).Require())
	byProxy := protected(t, newGuard(t, srv.URL, service, func(o *guard.Options) {
		o.ClientAddr = func(*http.Request) netip.Addr { return netip.MustParseAddr("::ffff:192.0.2.7") }
	}).Require())
	got := map[string]int{
		"local by peer": get(t, "GET", byPeer, local).status, "remote by peer": get(t, "GET", byPeer, remote).status,
		"local by proxy": get(t, "GET", byProxy, local).status, "remote by proxy": get(t, "GET", byProxy, remote).status,
	}
	want := map[string]int{"local by peer": 200, "remote by peer": 401, "local by proxy": 401, "remote by proxy": 200}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("statuses differ (-want +got):\n%s", diff)
	}
}

func TestOptions(t *testing.T) {
	for name, o := range map[string]guard.Options{
		"no token":         {Server: "http://latchkey.example"},
		"no server":        {Token: "lkr_planted"},
		"a server of ftp":  {Token: "lkr_planted", Server: "ftp://latchkey.example"},
		"a password":       {Token: "lkr_planted", Server: "http://a:b@latchkey.example"},
		"a short bound":    {Token: "lkr_planted", Server: "http://latchkey.example", MaxStale: time.Millisecond},
		"a negative bound": {Token: "lkr_planted", Server: "http://latchkey.example", MaxStale: -time.Second},
		"a negative size":  {Token: "lkr_planted", Server: "http://latchkey.example", MaxEntries: -1},
		"an odd realm":     {Token: "lkr_planted", Server: "http://latchkey.example", Realm: `a"b`},
		"no CA file":       {Token: "lkr_planted", Server: "http://latchkey.example", CAFile: "/does/not/exist"},
	} {
		if g, err := guard.New(o); err == nil {
			g.Close()
			t.Errorf("New() with %s succeeded", name)
		} else if strings.Contains(err.Error(), "lkr_planted") {
			t.Errorf("New() with %s repeats the token: %v", name, err)
		}
	}
	secretive := []any{guard.Options{Token: "lkr_planted"}, guard.Credential{Token: "lkr_planted"}}
	for _, v := range secretive {
		encoded, _ := json.Marshal(v)
		if text := fmt.Sprintf("%v %+v %#v %s %s", v, v, v, v, encoded); strings.Contains(text, "planted") {
			t.Errorf("%T prints its token: %s", v, text)
		}
	}
}
