//go:build e2e && linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
)

// leeway is for how long a used refresh token gets the same pair once more on
// the servers of these tests. Moments closer to its end than unsure are
// believed in neither way.
const (
	leeway = 8 * time.Second
	unsure = 2 * time.Second
)

// TestKilledPairs kills the server again and again while several clients
// refresh pairs. Every refresh that was answered holds after the restart: the
// new token works and the used one gets the same again, or ends the family once
// the leeway is over. A client that lost the answer can ask once more. No token
// ever gets two successors, and no family that has ended comes back.
// S21, S22, S23, S28, S114
func TestKilledPairs(t *testing.T) {
	config := fmt.Sprintf("tokens: {max_per_account: 1000000, refresh_leeway: %s}\n", leeway)
	t.Run("SQLite", func(t *testing.T) {
		killRefreshing(t, serve(t, serveOptions{config: config}), func() {})
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		db := newDatabase(t)
		s := serve(t, serveOptions{config: fmt.Sprintf("database: %q\n", db.dsn) + config})
		killRefreshing(t, s, func() { db.awaitAlone(t) })
	})
}

// refreshing is clients that refresh, and what they were told.
type refreshing struct {
	t        *testing.T
	client   *client.Client
	clients  [4][]*family // each with families of its own
	answered atomic.Int64
	seen     struct{ refreshed, again, lost, settled, burnt atomic.Int64 }
}

// family is a family as its client knows it.
type family struct {
	pair    api.TokenPair // the last that was answered
	spent   []spent       // tokens before it
	lostAt  time.Time     // not zero: the last use of its token got no answer, and began then
	ended   bool
	burning bool // the use that should have ended it got no answer
}

// spent is a used refresh token with what it got.
type spent struct {
	token    string
	next     api.TokenPair
	from, to time.Time // between which it was used
	replays  int
}

func killRefreshing(t *testing.T, s *latchkey, settled func()) {
	made := s.token(t, s.admin(), api.CreateToken{Name: "of the load"})
	r := &refreshing{t: t, client: s.client(client.Options{Token: made.Secret, Timeout: 20 * time.Second})}
	for range max(1, kills(t)/4) {
		var over atomic.Bool
		var clients sync.WaitGroup
		for i := range r.clients {
			clients.Go(func() {
				for !over.Load() {
					if !r.step(&r.clients[i]) {
						time.Sleep(shortPause)
					}
				}
			})
		}
		want := r.answered.Load() + 20 + rand.Int64N(100)
		within(t, time.Minute, "the load to get answers", func(context.Context) error {
			if got := r.answered.Load(); got < want && !t.Failed() {
				return fmt.Errorf("%d calls were answered, want %d", got, want)
			}
			return nil
		})
		s.crash()
		over.Store(true)
		clients.Wait()
		settled()
		s.restart()
		r.recheck(20)
		if t.Failed() {
			t.FailNow()
		}
	}
	r.recheck(all)
	r.burn(s)
	settled()
	s.restart()
	r.recheck(all)
	n := &r.seen
	t.Logf("%d refreshes, %d again, %d without an answer, %d of them settled, %d families burnt",
		n.refreshed.Load(), n.again.Load(), n.lost.Load(), n.settled.Load(), n.burnt.Load())
	if n.refreshed.Load() == 0 || n.again.Load() == 0 || n.lost.Load() == 0 || n.burnt.Load() == 0 {
		t.Error("want refreshes, some of them again and some without an answer, and families that are burnt")
	}
}

// all is more families than there are.
const all = 1 << 30

// burn lets used tokens come back when their leeway is over, as those of a
// thief do, and kills the server behind the last answer.
func (r *refreshing) burn(s *latchkey) {
	var some []*family
	for _, families := range r.clients {
		for _, f := range families[:min(5, len(families))] {
			if len(f.spent) > 0 && !f.ended {
				some = append(some, f)
			}
		}
	}
	for _, f := range some {
		within(r.t, time.Minute, "the leeway to be over", func(context.Context) error {
			if time.Since(f.spent[0].to) <= leeway+unsure {
				return errors.New("it is not")
			}
			return nil
		})
		r.replay(f, &f.spent[0])
	}
	s.crash()
}

// step makes one call, or a few at once, for a family of a client's, and
// reports whether there was an answer.
func (r *refreshing) step(families *[]*family) bool {
	n := len(*families)
	if n == 0 || rand.IntN(20) == 0 {
		made, err := r.client.Tokens.CreatePair(r.t.Context(), api.CreateTokenPair{Name: "refreshed", ExpiresIn: new(int64(3600))})
		if err != nil {
			return r.none("CreatePair", err) // nobody knows it
		}
		*families = append(*families, &family{pair: made})
		r.answered.Add(1)
		return true
	}
	f := (*families)[n-1-rand.IntN(min(n, 8))]
	switch k := rand.IntN(10); {
	case k < 2 && len(f.spent) > 0:
		return r.replay(f, &f.spent[len(f.spent)-1])
	case k < 3 && len(f.spent) > 3:
		return r.replay(f, &f.spent[0])
	}
	return r.refresh(f, 1+2*rand.IntN(2))
}

// outcomeOfUse is what one use of a refresh token got: a pair, a refusal or nothing.
type outcomeOfUse struct {
	pair    api.TokenPair
	refused bool
}

// use uses a refresh token, so many times at once. Only answers are returned.
func (r *refreshing) use(token string, times int) []outcomeOfUse {
	var mu sync.Mutex
	var got []outcomeOfUse
	var wg sync.WaitGroup
	for range times {
		wg.Go(func() {
			pair, err := r.client.Tokens.RefreshPair(r.t.Context(), api.RefreshTokenPair{RefreshToken: token})
			refused := errors.Is(err, client.ErrUnauthenticated) || errors.Is(err, client.ErrInvalid)
			if err != nil && !refused {
				r.none("RefreshPair", err)
				return
			}
			r.answered.Add(1)
			mu.Lock()
			defer mu.Unlock()
			got = append(got, outcomeOfUse{pair, refused})
		})
	}
	wg.Wait()
	return got
}

// none notes that there was no answer. Anything but that is a mistake.
func (r *refreshing) none(what string, err error) bool {
	var said *client.Error
	if errors.As(err, &said) && !errors.Is(err, client.ErrUnavailable) {
		r.t.Errorf("%s: %v, want it done, refused or 503", what, err)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		r.seen.lost.Add(1)
	}
	return false
}

// refresh uses the newest token of a family, and checks that the answers can
// be true.
func (r *refreshing) refresh(f *family, times int) bool {
	if !f.lostAt.IsZero() {
		times = 1 // the leeway may end between two uses
	}
	from, token := time.Now(), f.pair.RefreshToken
	got := r.use(token, times)
	late := !f.lostAt.IsZero() && time.Since(f.lostAt) > leeway-unsure
	if len(got) == 0 {
		if f.lostAt.IsZero() {
			f.lostAt = from
		}
		return false
	}
	if got[0].refused {
		if !f.ended && !f.burning && !late {
			r.t.Errorf("the newest refresh token of the family %s is refused; its use without an answer was %v ago", f.pair.Family.ID, sinceOf(f.lostAt))
		}
		f.ended = true
	} else if f.ended {
		r.t.Errorf("the family %s has ended, and is refreshed", f.pair.Family.ID)
	}
	f.burning = false
	for _, a := range got[1:] {
		if a.refused != got[0].refused || a.pair.RefreshToken != got[0].pair.RefreshToken || a.pair.AccessToken != got[0].pair.AccessToken {
			r.t.Errorf("a refresh token of the family %s got different answers", f.pair.Family.ID)
		}
	}
	if got[0].refused {
		return true
	}
	r.seen.refreshed.Add(1)
	if !f.lostAt.IsZero() {
		r.seen.settled.Add(1)
		from, f.lostAt = f.lostAt, time.Time{}
	}
	f.spent = append(f.spent, spent{token: token, next: got[0].pair, from: from, to: time.Now(), replays: times})
	f.pair = got[0].pair
	return true
}

func sinceOf(at time.Time) time.Duration {
	if at.IsZero() {
		return 0
	}
	return time.Since(at)
}

// replay uses a token that was used before.
func (r *refreshing) replay(f *family, s *spent) bool {
	young := time.Since(s.from) < leeway-unsure && s.replays < 15
	old := time.Since(s.to) > leeway+unsure
	if !young && !old {
		return true
	}
	if old && !f.ended {
		f.burning = true // until its answer is known
	}
	s.replays++
	got := r.use(s.token, 1)
	if young && time.Since(s.from) >= leeway { // it has taken its time, and may have come late
		f.burning = !f.ended
	}
	switch {
	case len(got) == 0:
		return false
	case f.ended || old || f.burning && got[0].refused:
		if !got[0].refused {
			r.t.Errorf("a refresh token of the family %s that was used %v ago gets a pair; the family has ended: %v", f.pair.Family.ID, time.Since(s.to), f.ended)
		}
		if !f.ended {
			r.seen.burnt.Add(1)
		}
		f.ended, f.burning = true, false
	case got[0].refused:
		r.t.Errorf("a refresh token of the family %s that was used %v ago is refused", f.pair.Family.ID, time.Since(s.from))
	case got[0].pair.RefreshToken != s.next.RefreshToken || got[0].pair.AccessToken != s.next.AccessToken:
		r.t.Errorf("a refresh token of the family %s gets a second successor", f.pair.Family.ID)
	default:
		r.seen.again.Add(1)
		f.burning = false
	}
	return true
}

// recheck asks about the newest families of each client, so many, while nothing
// else goes on: first what was answered, which settles what was not.
func (r *refreshing) recheck(most int) {
	var wg sync.WaitGroup
	for i := range r.clients {
		wg.Go(func() {
			families := slices.Clone(r.clients[i])
			slices.Reverse(families)
			for _, f := range families[:min(most, len(families))] {
				if n := len(f.spent); n > 0 && f.lostAt.IsZero() && !f.burning && time.Since(f.spent[n-1].from) < leeway-unsure {
					r.replay(f, &f.spent[n-1])
				}
				if !r.refresh(f, 1) {
					r.t.Errorf("a server that nobody disturbs does not answer about the family %s", f.pair.Family.ID)
				}
			}
		})
	}
	wg.Wait()
}
