package guard_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/guard"
)

func TestAnswersAreKept(t *testing.T) {
	faked(t, nil, func(t *testing.T, g *guard.Guard, f *fake) {
		asksFor(t, g, f, "the first", 1)
		asksFor(t, g, f, "the second", 0)
		mustPass(t, g, long)
		f.questions()
		mustPass(t, g, long)
		if n := f.questions(); n != 0 {
			t.Errorf("a long token asked the server %d times again", n)
		}
		if h := g.Health(); !h.Fresh || h.Entries != 2 || h.Position != 10 || h.Err != nil || h.Lag > time.Second {
			t.Errorf("Health() = %+v, want all well", h)
		}
	})
}

// S83: what changes makes exactly the answers untrue that rest on it.
func TestChangesDropAnswers(t *testing.T) {
	for name, tt := range map[string]struct {
		event string
		api.Change
		asks int
	}{
		"the token":               {api.EventChange, api.Change{Kind: api.ChangeToken, Token: "tok_1"}, 1},
		"another token":           {api.EventChange, api.Change{Kind: api.ChangeToken, Token: "tok_2"}, 0},
		"the account":             {api.EventChange, api.Change{Kind: api.ChangeAccount, Account: "acc_1"}, 1},
		"another account":         {api.EventChange, api.Change{Kind: api.ChangeAccount, Account: "acc_2"}, 0},
		"a group":                 {api.EventChange, api.Change{Kind: api.ChangeGroups}, 1},
		"something not yet known": {api.EventChange, api.Change{Kind: "moon"}, 1},
		"a reset":                 {api.EventReset, api.Change{}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			faked(t, nil, func(t *testing.T, g *guard.Guard, f *fake) {
				mustPass(t, g, "lkp_alice")
				tt.Position = 11
				f.answers(always(func() api.Checked { return yes(11) }))
				f.tell(tt.event, tt.Change)
				asksFor(t, g, f, "after a change of "+name, tt.asks)
				asksFor(t, g, f, "once more", 0)
			})
		})
	}
}

// A number that is left out means that something was missed.
func TestGapsDropEverything(t *testing.T) {
	faked(t, nil, func(t *testing.T, g *guard.Guard, f *fake) {
		mustPass(t, g, "lkp_alice")
		f.answers(always(func() api.Checked { return yes(20) }))
		f.tell(api.EventChange, api.Change{Position: 12, Kind: api.ChangeToken, Token: "tok_2"})
		asksFor(t, g, f, "after a gap in the changes", 1)
		asksFor(t, g, f, "once more", 0)
		f.seen(14)
		asksFor(t, g, f, "after a gap before what was seen", 1)
		f.seen(3)
		asksFor(t, g, f, "after a log that begins anew", 1)
	})
}

// An answer that was on its way when a change of its token came in is not
// taken, and neither kept nor given to anybody.
func TestOvertakenAnswersAreAskedAgain(t *testing.T) {
	for name, change := range map[string]api.Change{
		"token": {Position: 11, Kind: api.ChangeToken, Token: "tok_1"}, "account": {Position: 11, Kind: api.ChangeAccount, Account: "acc_1"}, "groups": {Position: 11, Kind: api.ChangeGroups},
	} {
		t.Run(name, func(t *testing.T) {
			faked(t, nil, func(t *testing.T, g *guard.Guard, f *fake) {
				hold := make(chan struct{})
				f.answers(func(api.Check) (api.Checked, error) { // made before the change
					a := yes(10)
					<-hold
					return a, nil
				})
				result := make(chan error)
				go func() {
					_, err := as(g, "lkp_alice")
					result <- err
				}()
				synctest.Wait()
				f.tell(api.EventChange, change)
				f.answers(always(func() api.Checked { return api.Checked{} }))
				close(hold)
				if err := <-result; !errors.Is(err, guard.ErrRefused) {
					t.Errorf("Check() that a change overtook = %v, want %v", err, guard.ErrRefused)
				}
				if n := f.questions(); n != 2 {
					t.Errorf("the server was asked %d times, want twice", n)
				}
			})
		})
	}
}

// A change of somebody else does not disturb, and an answer that lags behind
// for ever gets nobody in.
func TestOnlyItsOwnChangesOvertakeAnAnswer(t *testing.T) {
	faked(t, nil, func(t *testing.T, g *guard.Guard, f *fake) {
		f.tell(api.EventChange, api.Change{Position: 11, Kind: api.ChangeToken, Token: "tok_2"})
		asksFor(t, g, f, "behind another's change", 1)
		asksFor(t, g, f, "once more", 0)
		f.tell(api.EventChange, api.Change{Position: 12, Kind: api.ChangeToken, Token: "tok_1"})
		if id, err := as(g, "lkp_alice"); !errors.Is(err, guard.ErrUnavailable) || id.Account != "" {
			t.Errorf("Check() of a server that lags = %+v, %v, want %v", id, err, guard.ErrUnavailable)
		}
	})
}

// What is older than all that the guard was told is answered but not kept.
func TestAnswersOfUnknownAgeAreNotKept(t *testing.T) {
	faked(t, nil, func(t *testing.T, g *guard.Guard, f *fake) {
		for _, position := range []int64{9, 0, -5} {
			f.answers(always(func() api.Checked { return yes(position) }))
			asksFor(t, g, f, fmt.Sprint("at position ", position), 1)
			asksFor(t, g, f, fmt.Sprint("again at position ", position), 1)
		}
		f.answers(always(func() api.Checked { a := yes(10); a.Stale = true; return a }))
		asksFor(t, g, f, "stale", 1)
		if asksFor(t, g, f, "stale, again", 1); !mustPass(t, g, "lkp_alice").Stale {
			t.Error("an answer that the server calls stale does not say so")
		}
	})
}

// Many who come at once with one token cost one question, and one who leaves
// spoils nothing for the others.
func TestOneQuestionForAll(t *testing.T) {
	faked(t, nil, func(t *testing.T, g *guard.Guard, f *fake) {
		hold := make(chan struct{})
		f.answers(func(api.Check) (api.Checked, error) { <-hold; return yes(10), nil })
		leaving, leave := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := g.Check(leaving, guard.Credential{Token: "lkp_alice"}); !errors.Is(err, context.Canceled) || !errors.Is(err, guard.ErrUnavailable) {
				t.Errorf("Check() of one who left = %v, want %v", err, context.Canceled)
			}
		})
		synctest.Wait()
		for range 100 {
			wg.Go(func() {
				if id, err := as(g, "lkp_alice"); err != nil || id.Account != "alice" {
					t.Errorf("Check() = %+v, %v, want alice", id, err)
				}
			})
		}
		synctest.Wait()
		leave()
		synctest.Wait()
		close(hold)
		wg.Wait()
		if n := f.questions(); n != 1 {
			t.Errorf("the server was asked %d times, want once", n)
		}
	})
}

// S89, S114: the bound holds whatever happens to the server.
func TestSilenceEndsTrust(t *testing.T) {
	faked(t, nil, func(t *testing.T, g *guard.Guard, f *fake) {
		mustPass(t, g, "lkp_alice")
		f.mu.Lock()
		f.broken = true // the stream stays open and says nothing
		f.mu.Unlock()
		time.Sleep(2*time.Second - time.Millisecond)
		mustPass(t, g, "lkp_alice")
		time.Sleep(2 * time.Millisecond)
		if id, err := as(g, "lkp_alice"); !errors.Is(err, guard.ErrUnavailable) || id.Account != "" {
			t.Errorf("Check() past the bound = %+v, %v, want %v", id, err, guard.ErrUnavailable)
		}
		if h := g.Health(); h.Fresh || h.Err == nil {
			t.Errorf("Health() past the bound = %+v, want the error", h)
		}
		f.mu.Lock()
		f.broken = false
		f.mu.Unlock()
		asksFor(t, g, f, "while changes are not followed", 1)
		asksFor(t, g, f, "again", 1)
		time.Sleep(5 * time.Second) // it follows again
		synctest.Wait()
		f.seen(10)
		if f.after != "10" {
			t.Errorf("the changes were followed behind %q, want 10", f.after)
		}
		asksFor(t, g, f, "when changes are followed again", 0)
		if h := g.Health(); !h.Fresh || h.Err != nil {
			t.Errorf("Health() = %+v, want all well", h)
		}
	})
}

// News that was long under way is as old as it is, however regularly it comes.
func TestLateNewsIsOldNews(t *testing.T) {
	faked(t, nil, func(t *testing.T, g *guard.Guard, f *fake) {
		mustPass(t, g, "lkp_alice")
		for i := range 20 {
			time.Sleep(500 * time.Millisecond)
			late := f.open() - 1400*time.Millisecond
			f.tell(api.EventSeen, api.Change{Position: 10, AsOf: late.Milliseconds()})
			if h := g.Health(); i > 4 && (h.Lag < 1399*time.Millisecond || !h.Fresh) {
				t.Fatalf("Health() with news 1.4 s late = %+v", h)
			}
		}
		for range 20 {
			time.Sleep(500 * time.Millisecond)
			late := f.open() - 2100*time.Millisecond
			f.tell(api.EventSeen, api.Change{Position: 10, AsOf: late.Milliseconds()})
		}
		if g.Health().Fresh {
			t.Error("news that is 2.1 s late passes for fresh")
		}
		asksFor(t, g, f, "with news 2.1 s late", 1)
		asksFor(t, g, f, "again", 1)
	})
}

// A stream whose opening was held up on its way cannot tell how new its news is:
// another is opened, and the guard does not stay without for as long as that one
// lasts.
func TestLateStreamIsOpenedAnew(t *testing.T) {
	faked(t, nil, func(t *testing.T, g *guard.Guard, f *fake) {
		f.mu.Lock()
		held := f.feed
		f.slow = 1900 * time.Millisecond
		f.mu.Unlock()
		held.Close()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		f.mu.Lock()
		held, f.slow = f.feed, 0
		f.mu.Unlock()
		for range 10 {
			f.seen(10)
			time.Sleep(500 * time.Millisecond)
		}
		f.seen(10)
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.feed == held {
			t.Error("the late stream is still followed")
		}
		if h := g.Health(); !h.Fresh || h.Lag > time.Second || h.Err != nil {
			t.Errorf("Health() after a stream that was held up = %+v, want all well", h)
		}
	})
}

// An answer that takes longer than answers may be old is none.
func TestSlowAnswersAreNone(t *testing.T) {
	faked(t, nil, func(t *testing.T, g *guard.Guard, f *fake) {
		f.answers(func(api.Check) (api.Checked, error) { a := yes(10); time.Sleep(3 * time.Second); return a, nil })
		began := time.Now()
		if id, err := as(g, "lkp_alice"); !errors.Is(err, guard.ErrUnavailable) || id.Account != "" {
			t.Errorf("Check() of a slow server = %+v, %v, want %v", id, err, guard.ErrUnavailable)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("Check() of a slow server took %v, want 2 s at most", took)
		}
		time.Sleep(5 * time.Second)
	})
}

// S114: an answer ends with its token, whatever the clocks of both machines
// say.
func TestAnswersEndWithTheirToken(t *testing.T) {
	for _, off := range []time.Duration{0, -5 * time.Hour, 5 * time.Hour} {
		faked(t, nil, func(t *testing.T, g *guard.Guard, f *fake) {
			f.answers(always(func() api.Checked {
				a := yes(10)
				now, ends := time.Now().Add(off), time.Now().Add(off+10*time.Second)
				a.CheckedAt, a.ExpiresAt = &now, &ends
				return a
			}))
			mustPass(t, g, "lkp_alice")
			for range 9 {
				time.Sleep(time.Second)
				f.seen(10)
			}
			asksFor(t, g, f, "before its end", 0)
			time.Sleep(time.Second)
			f.seen(10)
			f.answers(always(func() api.Checked { return api.Checked{} }))
			if _, err := as(g, "lkp_alice"); !errors.Is(err, guard.ErrRefused) {
				t.Errorf("Check() at the end of the token = %v, want %v", err, guard.ErrRefused)
			}
		})
	}
}

// The server hears of tokens in use: at least once a minute, and before an idle
// one ends.
func TestServerHearsOfUse(t *testing.T) {
	for idle, want := range map[int64]int{0: 10, 3600: 10, 60: 20, 1: 600} {
		faked(t, nil, func(t *testing.T, g *guard.Guard, f *fake) {
			f.answers(always(func() api.Checked { a := yes(10); a.IdleTimeout = idle; return a }))
			f.questions()
			for range 1200 { // ten minutes
				mustPass(t, g, "lkp_alice")
				time.Sleep(500 * time.Millisecond)
				f.seen(10)
			}
			if n := f.questions(); n < want || n > 2*want {
				t.Errorf("a token with the idle timeout %d s in use for ten minutes asked %d times, want about %d", idle, n, want)
			}
		})
	}
}

func TestRefusalsAreRememberedForAMoment(t *testing.T) {
	faked(t, nil, func(t *testing.T, g *guard.Guard, f *fake) {
		mustPass(t, g, "lkp_alice")
		f.answers(always(func() api.Checked { return api.Checked{} }))
		time.Sleep(90 * time.Second) // the good answer has ended
		f.questions()
		for range 10 {
			if _, err := as(g, "lkp_alice"); !errors.Is(err, guard.ErrRefused) {
				t.Fatalf("Check() = %v, want %v", err, guard.ErrRefused)
			}
		}
		if n := f.questions(); n != 1 {
			t.Errorf("ten refusals asked the server %d times, want once", n)
		}
		time.Sleep(time.Second)
		f.answers(always(func() api.Checked { return yes(10) }))
		mustPass(t, g, "lkp_alice")
	})
}

// S84: an answer for one address is none for another.
func TestAnswersHoldForTheirNetworks(t *testing.T) {
	faked(t, nil, func(t *testing.T, g *guard.Guard, f *fake) {
		f.answers(func(c api.Check) (api.Checked, error) {
			addr, err := netip.ParseAddr(c.Addr)
			if err != nil || !netip.MustParsePrefix("192.0.2.0/24").Contains(addr) {
				return api.Checked{}, nil
			}
			a := yes(10)
			a.CIDRs = []string{"192.0.2.0/24"}
			return a, nil
		})
		check := func(addr string) error {
			c := guard.Credential{Token: "lkp_alice"}
			if addr != "" {
				c.Addr = netip.MustParseAddr(addr)
			}
			_, err := g.Check(context.Background(), c)
			return err
		}
		for range 3 {
			for addr, want := range map[string]error{"192.0.2.1": nil, "::ffff:192.0.2.9": nil, "203.0.113.1": guard.ErrRefused, "": guard.ErrRefused, "fe80::1%eth0": guard.ErrRefused} {
				if err := check(addr); !errors.Is(err, want) {
					t.Errorf("Check() from %q = %v, want %v", addr, err, want)
				}
			}
		}
	})
}

// Memory is bounded, and what is in use stays.
func TestCacheIsBounded(t *testing.T) {
	faked(t, func(o *guard.Options) { o.MaxEntries = 64 }, func(t *testing.T, g *guard.Guard, f *fake) {
		f.answers(func(c api.Check) (api.Checked, error) {
			a := yes(10)
			a.TokenID, a.AccountID = "tok_"+c.Token, "acc_"+c.Token
			return a, nil
		})
		for i := range 1000 {
			mustPass(t, g, fmt.Sprint("lkp_", i))
			if h := g.Health(); h.Entries > 64 {
				t.Fatalf("%d tokens are kept, want 64 at most", h.Entries)
			}
		}
		f.questions()
		mustPass(t, g, "lkp_999")
		if n := f.questions(); n != 0 {
			t.Errorf("the token of just now was forgotten: asked %d times", n)
		}
		many := make([]string, 2000)
		for i := range many {
			many[i] = fmt.Sprintf("path:/%d/*:read", i)
		}
		f.answers(always(func() api.Checked { a := yes(10); a.Scope = many; return a }))
		mustPass(t, g, "lkp_huge")
		f.questions()
		if mustPass(t, g, "lkp_huge"); f.questions() != 1 {
			t.Error("an answer with thousands of rules is kept")
		}
		f.answers(always(func() api.Checked { return api.Checked{} }))
		for i := range 1000 {
			_, _ = as(g, fmt.Sprint("bad_", i))
		}
		if _, err := as(g, "lkp_no"); !errors.Is(err, guard.ErrRefused) {
			t.Errorf("Check() = %v, want %v", err, guard.ErrRefused)
		}
	})
}

// What no server of ours says gets nobody in.
func TestForeignAnswers(t *testing.T) {
	faked(t, nil, func(t *testing.T, g *guard.Guard, f *fake) {
		f.answers(always(func() api.Checked { return api.Checked{Active: true} }))
		if id, err := as(g, "lkp_x"); !errors.Is(err, guard.ErrUnavailable) {
			t.Errorf("Check() answered with a yes about nobody = %+v, %v, want %v", id, err, guard.ErrUnavailable)
		}
		f.answers(always(func() api.Checked {
			a := yes(10)
			a.Scope = []string{"nonsense", "path:/a/*:read", "path:/..:read", "*:x:y"}
			a.CIDRs = []string{"nowhere"}
			return a
		}))
		id := mustPass(t, g, "lkp_y")
		if got := fmt.Sprint(id.Scope()); got != "[path:/a/*:read]" {
			t.Errorf("Scope() = %s, want what can be read", got)
		}
	})
}

func TestCloseEndsEverything(t *testing.T) {
	faked(t, nil, func(t *testing.T, g *guard.Guard, f *fake) {
		mustPass(t, g, "lkp_alice")
		g.Close()
		for _, token := range []string{"lkp_alice", "lkp_new"} {
			if _, err := as(g, token); !errors.Is(err, guard.ErrUnavailable) {
				t.Errorf("Check() of a closed guard = %v, want %v", err, guard.ErrUnavailable)
			}
		}
	})
}
