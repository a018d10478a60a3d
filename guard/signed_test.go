package guard_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/guard"
	"github.com/latchkey-auth/latchkey/internal/jose"
)

// signing is a fake server that has keys.
type signing struct {
	*fake
	key, other *jose.Key
	ahead      time.Duration // of its clock

	mu        sync.Mutex
	published []*jose.Key
	header    http.Header
	status    int
	asked     int // for the keys
	number    int // of tokens
}

// newKey makes a key.
func newKey(t testing.TB) *jose.Key {
	t.Helper()
	k, err := jose.Generate(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// signed runs do in a bubble with a guard on a fake server that signs: by key,
// and once it is published by other.
func signed(t *testing.T, do func(t *testing.T, g *guard.Guard, s *signing)) {
	t.Helper()
	s := &signing{key: newKey(t), other: newKey(t), status: 200}
	s.publish(s.key)
	faked(t, func(o *guard.Options) {
		s.fake = o.Transport.(*fake)
		o.Transport = s
	}, func(t *testing.T, g *guard.Guard, f *fake) {
		f.answers(s.judge)
		do(t, g, s)
	})
}

func (s *signing) publish(keys ...*jose.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.published = keys
	s.header = http.Header{"Content-Type": {"application/json"}, "Cache-Control": {"public, max-age=300"}}
}

// RoundTrip answers about the keys, and lets the rest be answered.
func (s *signing) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path != "/latchkey/.well-known/jwks.json" {
		return s.fake.RoundTrip(r)
	}
	if r.Header.Get("Authorization") != "" {
		return nil, errors.New("the public keys were asked for with a credential")
	}
	time.Sleep(10 * time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	set := jose.JWKS{Keys: []jose.JWK{}}
	for _, k := range s.published {
		j, err := k.JWK(k.ID())
		if err != nil {
			return nil, err
		}
		set.Keys = append(set.Keys, j)
	}
	body, _ := json.Marshal(set)
	h := s.header.Clone()
	h.Set("Date", s.now().UTC().Format(http.TimeFormat))
	return &http.Response{StatusCode: s.status, Header: h, Body: io.NopCloser(bytes.NewReader(body)), Request: r}, nil
}

func (s *signing) keyQuestions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.asked
	s.asked = 0
	return n
}

// now is the time on the server's clock.
func (s *signing) now() time.Time { return time.Now().Add(s.ahead) }

type claims map[string]any

// token signs an access token of alice that lives for five minutes, with these
// claims in place of the usual ones.
func (s *signing) token(t testing.TB, key *jose.Key, change claims) string {
	t.Helper()
	return s.tokenOf(t, key, "at+jwt", change)
}

func (s *signing) tokenOf(t testing.TB, key *jose.Key, kind string, change claims) string {
	t.Helper()
	s.number++
	now := s.now()
	c := claims{
		"iss": "latchkey", "aud": "latchkey", "sub": "acc_1", "sid": "fam_1", "client_id": "latchkey", "jti": fmt.Sprint(s.number),
		"iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "scope": "path:/a/*:read",
	}
	for name, v := range change {
		c[name] = v
	}
	text, err := key.Sign(jose.Header{Type: kind}, c)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// judge answers about a token that is good, as the server does.
func (s *signing) judge(in api.Check) (api.Checked, error) {
	said, err := jose.Decode(in.Token)
	if err != nil {
		return api.Checked{}, nil
	}
	ends, err := said.Claims.Date("exp")
	if err != nil {
		return api.Checked{}, nil
	}
	now, family := s.now(), s.now().Add(24*time.Hour)
	ends = ends.Add(5 * time.Second)
	return api.Checked{
		Active: now.Before(ends), Account: "alice", AccountID: said.Claims.Text("sub"), Kind: "user", TokenID: said.Claims.Text("sid"), Class: "access",
		Scope: strings.Fields(said.Claims.Text("scope")), ExpiresAt: &ends, FamilyEnds: &family, Position: 10, CheckedAt: &now,
	}, nil
}

// costs checks that a token counts, after so many questions.
func (s *signing) costs(t *testing.T, g *guard.Guard, why, token string, want int) guard.Identity {
	t.Helper()
	s.questions()
	id := mustPass(t, g, token)
	if n := s.questions(); n != want {
		t.Errorf("%s: the check asked the server %d times, want %d", why, n, want)
	}
	return id
}

// refuses checks that a token does not count, after so many questions.
func (s *signing) refuses(t *testing.T, g *guard.Guard, why, token string, want int) {
	t.Helper()
	s.questions()
	if id, err := as(g, token); !errors.Is(err, guard.ErrRefused) {
		t.Errorf("%s: Check() = %+v, %v, want it refused", why, id, err)
	}
	if n := s.questions(); n != want {
		t.Errorf("%s: the check asked the server %d times, want %d", why, n, want)
	}
}

// An answer about a signed token is one about all that say the same.
func TestFamilyIsAskedOnce(t *testing.T) {
	signed(t, func(t *testing.T, g *guard.Guard, s *signing) {
		s.publish(s.key, s.other)
		first := s.costs(t, g, "the first token", s.token(t, s.key, nil), 1)
		time.Sleep(1900 * time.Millisecond)
		s.seen(10)
		next := s.costs(t, g, "the next token of the family", s.token(t, s.key, nil), 0)
		if next.ExpiresAt.Equal(first.ExpiresAt) || next.TokenID != "fam_1" || next.Account != "alice" || !next.Allows("path:/a/x:read") || next.Allows("path:/b:read") {
			t.Errorf("the next token stands for %+v, the first for %+v", next, first)
		}
		for why, change := range map[string]claims{
			"another family": {"sid": "fam_2"}, "another account": {"sub": "acc_2"}, "another audience": {"aud": []string{"latchkey", "b"}}, "another scope": {"scope": "path:/a/b:read"},
			"another client": {"client_id": "b"}, "another issuer": {"iss": "b"}, "one claim more": {"more": 1}, "one claim less": {"scope": nil},
		} {
			s.costs(t, g, "a token with "+why, s.token(t, s.key, change), 1)
			s.costs(t, g, "the next token with "+why, s.token(t, s.key, change), 0)
		}
		s.costs(t, g, "a token by another key", s.token(t, s.other, nil), 1)
		s.costs(t, g, "the next token by another key", s.token(t, s.other, nil), 0)
		again := s.token(t, s.key, nil)
		s.costs(t, g, "a token of the first kind", again, 0)
		s.costs(t, g, "the same token", again, 0)
		if n := s.keyQuestions(); n != 1 {
			t.Errorf("the keys were asked for %d times, want once", n)
		}
	})
}

// S83: what changes makes the answer about a family untrue as it does those about
// tokens.
func TestChangesReachFamilies(t *testing.T) {
	for name, tt := range map[string]struct {
		event string
		api.Change
		asks int
	}{
		"the family":           {api.EventChange, api.Change{Kind: api.ChangeToken, Token: "fam_1"}, 1},
		"another token":        {api.EventChange, api.Change{Kind: api.ChangeToken, Token: "tok_2"}, 0},
		"the account":          {api.EventChange, api.Change{Kind: api.ChangeAccount, Account: "acc_1"}, 1},
		"another account":      {api.EventChange, api.Change{Kind: api.ChangeAccount, Account: "acc_2"}, 0},
		"a group":              {api.EventChange, api.Change{Kind: api.ChangeGroups}, 1},
		"the keys":             {api.EventChange, api.Change{Kind: api.ChangeKeys}, 1},
		"what is missing":      {api.EventReset, api.Change{}, 1},
		"what is not yet told": {api.EventSeen, api.Change{}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			signed(t, func(t *testing.T, g *guard.Guard, s *signing) {
				s.costs(t, g, "the first token", s.token(t, s.key, nil), 1)
				tt.Position = 11
				s.answers(func(in api.Check) (api.Checked, error) {
					a, err := s.judge(in)
					a.Position = 11
					return a, err
				})
				s.tell(tt.event, tt.Change)
				s.costs(t, g, "the next token", s.token(t, s.key, nil), tt.asks)
				s.costs(t, g, "and the one after that", s.token(t, s.key, nil), 0)
			})
		})
	}
}

// S50, S54, S55: what the server has not signed is refused without asking it.
func TestForgeriesCostNothing(t *testing.T) {
	signed(t, func(t *testing.T, g *guard.Guard, s *signing) {
		good := s.token(t, s.key, nil)
		s.costs(t, g, "a good token", good, 1)
		part := strings.Split(good, ".")
		encode := base64.RawURLEncoding.EncodeToString
		none := encode([]byte(`{"alg":"none","typ":"at+jwt","kid":"` + s.key.ID() + `"}`))
		foreign := newKey(t)
		for why, token := range map[string]string{
			"another payload":           part[0] + "." + strings.Split(s.token(t, s.key, nil), ".")[1] + "." + part[2],
			"another signature":         part[0] + "." + part[1] + "." + strings.Split(s.token(t, s.key, nil), ".")[2],
			"no signature":              part[0] + "." + part[1] + ".",
			"no algorithm":              none + "." + part[1] + ".",
			"padding":                   good + "=",
			"too much":                  "eyJ." + strings.Repeat("a", jose.MaxToken) + ".b",
			"a header that is none":     "eyJhbGciOiJub25lIg." + part[1] + "." + part[2],
			"a key of somebody else":    s.token(t, foreign, nil),
			"no end":                    s.token(t, s.key, claims{"exp": nil}),
			"expired":                   s.token(t, s.key, claims{"exp": s.now().Add(-3 * time.Minute).Unix()}),
			"tampered, of another type": strings.TrimSuffix(s.tokenOf(t, s.key, "JWT", nil), "A") + "B",
		} {
			for range 2 {
				s.refuses(t, g, "a token with "+why, token, 0)
			}
		}
		// Tokens that may be by keys that are not published are for the server.
		s.costs(t, g, "a token of another kind", s.tokenOf(t, foreign, "JWT", nil), 1)
		s.costs(t, g, "the next token of another kind", s.tokenOf(t, foreign, "JWT", nil), 1)
		s.costs(t, g, "a token of another kind by the server's key", s.tokenOf(t, s.key, "JWT", nil), 1)
		s.costs(t, g, "the next such token", s.tokenOf(t, s.key, "JWT", nil), 1)
		s.costs(t, g, "a token that expired a moment ago", s.token(t, s.key, claims{"exp": s.now().Add(2 * time.Second).Unix()}), 0)
	})
}

// S58: a withdrawn key opens nothing from the moment that the guard hears of it,
// even while it is still among the published ones.
func TestWithdrawnKey(t *testing.T) {
	signed(t, func(t *testing.T, g *guard.Guard, s *signing) {
		token := s.token(t, s.key, nil)
		s.costs(t, g, "before", token, 1)
		s.publish(s.key, s.other)
		s.answers(func(in api.Check) (api.Checked, error) {
			if said, err := jose.Decode(in.Token); err != nil || said.Header["kid"] != s.other.ID() {
				return api.Checked{}, nil
			}
			a, err := s.judge(in)
			a.Position = 11
			return a, err
		})
		s.tell(api.EventChange, api.Change{Position: 11, Kind: api.ChangeKeys})
		s.refuses(t, g, "a token by the withdrawn key", token, 1)
		s.refuses(t, g, "a new token by the withdrawn key", s.token(t, s.key, nil), 1)
		s.costs(t, g, "a token by the next key", s.token(t, s.other, nil), 1)
		s.publish(s.other)
		time.Sleep(301 * time.Second)
		s.seen(11)
		s.refuses(t, g, "a token by the key that is not published any more", s.token(t, s.key, nil), 0)
	})
}

// S49, S56: keys are kept for as long as the server says; an unknown one makes
// the guard ask again, once a second at most, and at once after a change.
func TestKeysAreKept(t *testing.T) {
	signed(t, func(t *testing.T, g *guard.Guard, s *signing) {
		later := func(by time.Duration) {
			time.Sleep(by)
			s.seen(10)
		}
		s.costs(t, g, "a good token", s.token(t, s.key, nil), 1)
		later(299 * time.Second)
		mustPass(t, g, s.token(t, s.key, nil))
		if n := s.keyQuestions(); n != 1 {
			t.Errorf("within their time the keys were asked for %d times, want once", n)
		}
		later(2 * time.Second)
		mustPass(t, g, s.token(t, s.key, nil))
		if n := s.keyQuestions(); n != 1 {
			t.Errorf("after their time the keys were asked for %d times, want once", n)
		}
		later(time.Second)
		var wg sync.WaitGroup
		for range 100 {
			forged := s.token(t, newKey(t), nil)
			wg.Go(func() {
				if id, err := as(g, forged); !errors.Is(err, guard.ErrRefused) {
					t.Errorf("Check() of a token by an unknown key = %+v, %v", id, err)
				}
			})
		}
		wg.Wait()
		if n := s.keyQuestions(); n != 1 {
			t.Errorf("a flood of unknown keys made the guard ask for them %d times, want once", n)
		}
		s.publish(s.key, s.other)
		s.refuses(t, g, "a key that is published a moment later", s.token(t, s.other, nil), 0)
		later(time.Second)
		s.costs(t, g, "a second later", s.token(t, s.other, nil), 1)
		third := newKey(t)
		s.refuses(t, g, "another unknown key", s.token(t, third, nil), 0)
		s.publish(s.key, s.other, third)
		s.answers(func(in api.Check) (api.Checked, error) {
			a, err := s.judge(in)
			a.Position = 11
			return a, err
		})
		s.tell(api.EventChange, api.Change{Position: 11, Kind: api.ChangeKeys})
		s.costs(t, g, "a new key that the server told of", s.token(t, third, nil), 1)
	})
}

// Without the keys, the server is asked about each token, as about others.
func TestWithoutKeys(t *testing.T) {
	for why, spoil := range map[string]func(*signing){
		"no keys":          func(s *signing) { s.status = 404 },
		"nonsense as keys": func(s *signing) { s.header.Set("Content-Type", "text/html") },
		"a gateway's page": func(s *signing) { s.status = 302 },
	} {
		t.Run(why, func(t *testing.T) {
			signed(t, func(t *testing.T, g *guard.Guard, s *signing) {
				spoil(s)
				token := s.token(t, s.key, nil)
				s.costs(t, g, why, token, 1)
				s.costs(t, g, why+", the same token", token, 0)
				s.costs(t, g, why+", the next token", s.token(t, s.key, nil), 1)
				s.answers(always(func() api.Checked { return api.Checked{} }))
				s.refuses(t, g, why+", a bad token", s.token(t, newKey(t), nil), 1)
				if n := s.keyQuestions(); n != 1 {
					t.Errorf("%s: the keys were asked for %d times within a second, want once", why, n)
				}
			})
		})
	}
}

// S84: the networks that a family is bound to hold for all of its tokens.
func TestFamilyIsBoundToNetworks(t *testing.T) {
	signed(t, func(t *testing.T, g *guard.Guard, s *signing) {
		s.answers(func(in api.Check) (api.Checked, error) {
			a, err := s.judge(in)
			a.CIDRs, a.Active = []string{"192.0.2.0/24"}, in.Addr == "192.0.2.1"
			return a, err
		})
		from := func(token, addr string) error {
			_, err := g.Check(context.Background(), guard.Credential{Token: token, Addr: netip.MustParseAddr(addr)})
			return err
		}
		if err := from(s.token(t, s.key, nil), "192.0.2.1"); err != nil {
			t.Fatal(err)
		}
		s.questions()
		if err := from(s.token(t, s.key, nil), "192.0.2.1"); err != nil || s.questions() != 0 {
			t.Errorf("the next token from there: %v", err)
		}
		if err := from(s.token(t, s.key, nil), "198.51.100.1"); !errors.Is(err, guard.ErrRefused) || s.questions() != 1 {
			t.Errorf("the next token from elsewhere: %v, want it refused by the server", err)
		}
		if id, err := as(g, s.token(t, s.key, nil)); !errors.Is(err, guard.ErrRefused) {
			t.Errorf("the next token from nobody knows where: %+v, %v, want it refused", id, err)
		}
	})
}

// A token ends when it says so and when its family ends, by the server's clock,
// whatever this machine's says (S53).
func TestFamilyEnds(t *testing.T) {
	for _, ahead := range []time.Duration{0, 5 * time.Hour, -5 * time.Hour} {
		for why, tt := range map[string]struct {
			token, family time.Duration // to live
			known         bool          // when the family ends
		}{
			"the token ends first":        {10 * time.Second, time.Hour, true},
			"the family ends first":       {time.Hour, 10 * time.Second, true},
			"the family's end is unknown": {10 * time.Second, 0, false},
		} {
			t.Run(fmt.Sprintf("%s, %s ahead", why, ahead), func(t *testing.T) {
				signed(t, func(t *testing.T, g *guard.Guard, s *signing) {
					s.ahead = ahead
					ends := s.now().Add(tt.family)
					s.answers(func(in api.Check) (api.Checked, error) {
						a, err := s.judge(in)
						if a.FamilyEnds = &ends; !tt.known {
							a.FamilyEnds = nil
						} else if ends.Before(*a.ExpiresAt) {
							a.ExpiresAt = &ends
						}
						a.Active = s.now().Before(*a.ExpiresAt)
						return a, err
					})
					life := func() claims { return claims{"exp": s.now().Add(tt.token).Unix()} }
					s.costs(t, g, "the first", s.token(t, s.key, life()), 1)
					next := s.token(t, s.key, life())
					s.costs(t, g, "the next", next, 0)
					for range 6 {
						time.Sleep(1500 * time.Millisecond)
						s.seen(10)
						s.costs(t, g, "later", next, 0)
					}
					time.Sleep(1100 * time.Millisecond)
					s.seen(10)
					s.questions()
					if _, err := as(g, next); s.questions() != 1 {
						t.Errorf("after %s Check() = %v without asking", why, err)
					}
					time.Sleep(1900 * time.Millisecond)
					s.seen(10)
					late := s.token(t, s.key, claims{"exp": s.now().Add(time.Minute).Unix()})
					s.questions()
					if _, err := as(g, late); tt.family == 10*time.Second && err == nil {
						t.Errorf("a token counts after its family has ended")
					}
				})
			})
		}
	}
}

// A token whose time has not come is the server's to judge.
func TestNotYet(t *testing.T) {
	signed(t, func(t *testing.T, g *guard.Guard, s *signing) {
		s.costs(t, g, "the first", s.token(t, s.key, nil), 1)
		for _, name := range []string{"iat", "nbf"} {
			s.costs(t, g, "a token with an "+name+" to come", s.token(t, s.key, claims{name: s.now().Add(10 * time.Second).Unix()}), 1)
		}
	})
}

// S89: a guard that cannot follow the changes lets nobody in by what it knows of
// a family.
func TestFamilyIsNotTrustedForLong(t *testing.T) {
	signed(t, func(t *testing.T, g *guard.Guard, s *signing) {
		s.costs(t, g, "the first", s.token(t, s.key, nil), 1)
		time.Sleep(2100 * time.Millisecond)
		s.costs(t, g, "when nothing was heard for too long", s.token(t, s.key, nil), 1)
		s.fake.mu.Lock()
		s.broken = true
		s.fake.mu.Unlock()
		if id, err := as(g, s.token(t, s.key, nil)); !errors.Is(err, guard.ErrUnavailable) {
			t.Errorf("when the server does not answer either, Check() = %+v, %v", id, err)
		}
		s.refuses(t, g, "a forgery meanwhile", s.token(t, s.key, nil)+"A", 0)
	})
}

// After a minute the server is asked about a family anew, so that it knows of
// the use; and an answer that is stale, or about something else than what the
// token says, is not taken for its family.
func TestFamilyIsAskedNowAndThen(t *testing.T) {
	signed(t, func(t *testing.T, g *guard.Guard, s *signing) {
		s.costs(t, g, "the first", s.token(t, s.key, nil), 1)
		time.Sleep(61 * time.Second)
		s.seen(10)
		s.costs(t, g, "a minute later", s.token(t, s.key, nil), 1)
		for why, change := range map[string]func(*api.Checked){
			"stale":                  func(a *api.Checked) { a.Stale = true },
			"of another class":       func(a *api.Checked) { a.Class = "personal" },
			"about another family":   func(a *api.Checked) { a.TokenID = "fam_9" },
			"about another account":  func(a *api.Checked) { a.AccountID = "acc_9" },
			"without a time":         func(a *api.Checked) { a.CheckedAt = nil },
			"older than the changes": func(a *api.Checked) { a.Position = 0 },
		} {
			s.answers(func(in api.Check) (api.Checked, error) {
				a, err := s.judge(in)
				change(&a)
				return a, err
			})
			mine := claims{"scope": "path:/" + why[:5] + ":read"}
			s.costs(t, g, "an answer that is "+why, s.token(t, s.key, mine), 1)
			s.costs(t, g, "after an answer that is "+why, s.token(t, s.key, mine), 1)
		}
		synctest.Wait()
	})
}
