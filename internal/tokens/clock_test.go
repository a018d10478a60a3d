package tokens_test

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/clock"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

// TestClockJumps has the machine's clock jump by up to five minutes at any
// moment. What has ended is refused from then on, wherever the clock stands;
// what has more than five minutes left is not.
// S114
func TestClockJumps(t *testing.T) {
	const jump = 5 * time.Minute
	var running atomic.Int64 // the time that has really passed, ns
	passed := func() time.Duration { return time.Duration(running.Load()) }
	c := newCore(t) // its clock is the machine's
	s := c.Node(t, func(o *tokens.Options) {
		o.Now = clock.New(func() (time.Time, time.Duration) { return c.Clock.Now(), passed() })
	})
	d := rand.New(rand.NewPCG(114, 5))
	type life struct {
		what   string
		secret secret.Text
		ends   time.Duration // since the start; 0: it has ended
	}
	var lives []life
	for i := range 60 {
		user := c.User(t, fmt.Sprint("user", i))
		ends := time.Second + time.Duration(d.Int64N(int64(time.Hour)))
		made := issue(t, c, user, tokens.Request{ExpiresAt: c.Clock.Now().Add(ends)})
		lives = append(lives, life{"a token that expires", made.Secret, ends})

		rotated := issue(t, c, user, tokens.Request{})
		if _, err := s.Rotate(bg, user, rotated.Token.ID, tokens.Overlap{For: ends}); err != nil {
			t.Fatal(err)
		}
		lives = append(lives, life{"a secret that was rotated", rotated.Secret, ends})

		revoked := issue(t, c, user, tokens.Request{})
		if err := s.Revoke(bg, user, revoked.Token.ID, ""); err != nil {
			t.Fatal(err)
		}
		lives = append(lives, life{"a revoked token", revoked.Secret, 0})
	}
	var set time.Duration
	refused, passedBack := 0, 0
	for passed() < 75*time.Minute {
		step := time.Duration(d.Int64N(int64(time.Minute)))
		next := []time.Duration{-jump, -time.Second, 0, 0, time.Second, jump}[d.IntN(6)]
		running.Add(int64(step))
		c.Clock.Advance(step + next - set)
		set = next
		for _, l := range lives {
			_, err := present(s, l.secret)
			switch left := l.ends - passed(); {
			case left <= 0 && err == nil:
				t.Fatalf("%s ended %v ago and passes, with the clock set by %v", l.what, -left, set)
			case left <= 0:
				refused++
				if set < 0 && left > set {
					passedBack++ // by the machine's clock it would not have ended
				}
			case left > jump && err != nil:
				t.Fatalf("%s ends in %v and is refused, with the clock set by %v: %v", l.what, left, set, err)
			}
		}
	}
	if refused < 1000 || passedBack < 20 {
		t.Errorf("%d refusals, %d of what the clock says has not ended: too few to show anything", refused, passedBack)
	}
}
