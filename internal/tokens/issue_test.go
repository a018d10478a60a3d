package tokens_test

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/accounts"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

func TestIssueStoresWhatItReturns(t *testing.T) {
	c := newCore(t)
	user := c.User(t, "ann")
	made := issue(t, c, user, tokens.Request{
		Name: "laptop", Scope: []string{"path:/b/*:write,read", "path:/a:read"}, Labels: map[string]string{"k": "v"},
		CIDRs: prefixes("192.0.2.0/24", "2001:db8::/32"), ExpiresIn: of(hour), IdleAfter: of(time.Minute),
	})
	want := store.Token{
		ID: made.Token.ID, AccountID: user.AccountID, Class: "personal", Name: "laptop", Prefix: made.Secret.Reveal()[:10],
		Scope: []string{"path:/b/*:read,write", "path:/a:read"}, Labels: map[string]string{"k": "v"},
		CIDRs: prefixes("192.0.2.0/24", "2001:db8::/32"), CreatedAt: c.Clock.Now(), ExpiresAt: c.Clock.Now().Add(hour), IdleAfter: time.Minute,
	}
	stored, err := c.Store.Token(bg, made.Token.ID)
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]store.Token{"returned": made.Token, "stored": stored} {
		if diff := tokenDiff(want, got); diff != "" {
			t.Errorf("the token that was %s (-want +got):\n%s", name, diff)
		}
	}
	e := c.Events(t, "token.issue")
	if len(e) != 1 || e[0].Target != made.Token.ID || e[0].ActorID != user.AccountID || e[0].Outcome != "ok" {
		t.Errorf("the events are %+v, want one of the issue", e)
	}
}

// S74: what lists, events and the database have of a token does not open doors.
func TestIssueKeepsNoSecret(t *testing.T) {
	c := newCore(t)
	user := c.User(t, "ann")
	made := issue(t, c, user, tokens.Request{})
	list, err := listed(c, c.Admin, store.TokenQuery{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	shown := fmt.Sprintf("%+v %+v %+v", list, c.Events(t, ""), made)
	secret := made.Secret.Reveal()
	if strings.Contains(shown, secret) || strings.Contains(shown, secret[:11]) {
		t.Errorf("more of the secret than its prefix is shown in %s", shown)
	}
}

func TestClassFollowsTheOwner(t *testing.T) {
	c := newCore(t)
	robot := c.Account(t, accounts.NewAccount{Name: "ci", Kind: store.Robot})
	made := issue(t, c, c.Admin, tokens.Request{AccountID: robot.AccountID})
	if got := made.Secret.Reveal(); made.Token.Class != "robot" || !strings.HasPrefix(got, "lkr_") {
		t.Errorf("a robot's token has the class %q and begins with %q, want robot, lkr_", made.Token.Class, got[:4])
	}
	if id := mustPass(t, c.Tokens, made.Secret); id.Kind != "robot" || id.Name != "ci" {
		t.Errorf("it stands for %s %s, want robot ci", id.Kind, id.Name)
	}
}

// The rules of life: what is asked for, what is given.
func TestPolicy(t *testing.T) {
	strict := tokens.Policy{Classes: map[tokens.Class]tokens.Life{tokens.Personal: {Default: hour, Max: 2 * hour, Idle: time.Minute}}}
	free := tokens.Policy{Classes: map[tokens.Class]tokens.Life{tokens.Personal: {}}}
	c := newCore(t)
	user := c.User(t, "ann")
	for _, tt := range []struct {
		name   string
		policy tokens.Policy
		ask    tokens.Request
		life   time.Duration // 0: without end
		idle   time.Duration
		field  string // not "": refused for this field
	}{
		{"by default", tokens.Policy{}, tokens.Request{}, 90 * tokens.Day, 0, ""},
		{"the longest by default", tokens.Policy{}, tokens.Request{ExpiresIn: of(366 * tokens.Day)}, 366 * tokens.Day, 0, ""},
		{"longer than by default", tokens.Policy{}, tokens.Request{ExpiresIn: of(367 * tokens.Day)}, 0, 0, "expires_in"},
		{"without end by default", tokens.Policy{}, tokens.Request{ExpiresIn: of(time.Duration(0))}, 0, 0, "expires_in"},
		{"the default of a class", strict, tokens.Request{}, hour, time.Minute, ""},
		{"the longest of a class", strict, tokens.Request{ExpiresIn: of(2 * hour)}, 2 * hour, time.Minute, ""},
		{"too long", strict, tokens.Request{ExpiresIn: of(2*hour + 1)}, 0, 0, "expires_in"},
		{"too long as a time", strict, tokens.Request{ExpiresAt: at(2*hour + 1)}, 0, 0, "expires_at"},
		{"a time", strict, tokens.Request{ExpiresAt: at(2 * hour)}, 2 * hour, time.Minute, ""},
		{"without end", strict, tokens.Request{ExpiresIn: of(time.Duration(0))}, 0, 0, "expires_in"},
		{"negative", strict, tokens.Request{ExpiresIn: of(-time.Second)}, 0, 0, "expires_in"},
		{"now", strict, tokens.Request{ExpiresAt: at(0)}, 0, 0, "expires_at"},
		{"in the past", strict, tokens.Request{ExpiresAt: time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC)}, 0, 0, "expires_at"},
		{"in the year 9999", free, tokens.Request{ExpiresAt: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}, 0, 0, "expires_at"},
		{"without end where that is free", free, tokens.Request{ExpiresIn: of(time.Duration(0))}, 0, 0, ""},
		{"nothing where that is free", free, tokens.Request{}, 0, 0, ""},
		{"a hundred years", free, tokens.Request{ExpiresIn: of(tokens.MaxLife)}, tokens.MaxLife, 0, ""},
		{"more than that", free, tokens.Request{ExpiresIn: of(tokens.MaxLife + 1)}, 0, 0, "expires_in"},
		{"the longest duration there is", free, tokens.Request{ExpiresIn: of(time.Duration(1<<63 - 1))}, 0, 0, "expires_in"},
		{"another idle time", strict, tokens.Request{IdleAfter: of(hour)}, hour, hour, ""},
		{"never idle", strict, tokens.Request{IdleAfter: of(time.Duration(0))}, hour, 0, ""},
		{"a negative idle time", strict, tokens.Request{IdleAfter: of(-time.Second)}, 0, 0, "idle_timeout"},
		{"an absurd idle time", strict, tokens.Request{IdleAfter: of(time.Duration(1<<63 - 1))}, 0, 0, "idle_timeout"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := c.Idle(t, func(o *tokens.Options) { o.Policy = tt.policy })
			tt.ask.Name = "asked for"
			made, err := s.Issue(bg, user, tt.ask)
			if tt.field != "" {
				if f := fault.Of(err); f.Kind != fault.Invalid || f.Field != tt.field {
					t.Errorf("Issue() = %v, want a fault about %s", err, tt.field)
				}
				return
			}
			if err != nil {
				t.Fatalf("Issue() = %v", err)
			}
			want := time.Time{}
			if tt.life != 0 {
				want = c.Clock.Now().Add(tt.life)
			}
			if !made.Token.ExpiresAt.Equal(want) || made.Token.IdleAfter != tt.idle {
				t.Errorf("Issue() ends at %v, idle after %v, want %v, %v", made.Token.ExpiresAt, made.Token.IdleAfter, want, tt.idle)
			}
		})
	}
}

// at returns a time so much after that at which clocks stand in tests.
func at(later time.Duration) time.Time {
	return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add(later)
}

func TestPolicyThatMakesNoSense(t *testing.T) {
	c := newCore(t)
	for name, p := range map[string]tokens.Policy{
		"an unknown class":            {Classes: map[tokens.Class]tokens.Life{"nobody": {}}},
		"access tokens without end":   {Classes: map[tokens.Class]tokens.Life{tokens.Access: {}}},
		"a negative default":          {Classes: map[tokens.Class]tokens.Life{tokens.Robot: {Default: -1}}},
		"a negative longest":          {Classes: map[tokens.Class]tokens.Life{tokens.Robot: {Max: -1}}},
		"a negative idle time":        {Classes: map[tokens.Class]tokens.Life{tokens.Robot: {Idle: -1}}},
		"a default above the longest": {Classes: map[tokens.Class]tokens.Life{tokens.Robot: {Default: 2, Max: 1}}},
		"no end above the longest":    {Classes: map[tokens.Class]tokens.Life{tokens.Robot: {Max: 1}}},
		"a negative overlap":          {MaxOverlap: -1},
	} {
		_, err := tokens.New(tokens.Options{Store: c.Store, Keys: c.Keys, Audit: c.Audit, Log: c.Log, Policy: p})
		if err == nil {
			t.Errorf("New() with %s = nil, want an error", name)
		}
	}
}

func TestIssueRefuses(t *testing.T) {
	c := newCore(t)
	user := c.User(t, "ann")
	disabled := c.User(t, "old")
	if _, err := c.Accounts.Update(bg, c.Admin, disabled.AccountID, accounts.Change{Disabled: of(true)}); err != nil {
		t.Fatal(err)
	}
	many := make(map[string]string)
	for i := range 33 {
		many[fmt.Sprint(i)] = ""
	}
	for _, tt := range []struct {
		name   string
		caller *identity.Identity
		ask    tokens.Request
		want   fault.Kind
		field  string
	}{
		{"nobody", nil, tokens.Request{Name: "x"}, fault.Unauthenticated, ""},
		{"somebody else's account", user, tokens.Request{Name: "x", AccountID: c.Admin.AccountID}, fault.Forbidden, ""},
		{"an account that does not exist", c.Admin, tokens.Request{Name: "x", AccountID: "acc_nobody"}, fault.NotFound, ""},
		{"an account that does not exist, without the right", user, tokens.Request{Name: "x", AccountID: "acc_nobody"}, fault.Forbidden, ""},
		{"a disabled account", c.Admin, tokens.Request{Name: "x", AccountID: disabled.AccountID}, fault.Conflict, ""},
		{"a disabled account's own credential", disabled, tokens.Request{Name: "x"}, fault.Conflict, ""},
		{"no name", user, tokens.Request{}, fault.Invalid, "name"},
		{"a blank name", user, tokens.Request{Name: " \t"}, fault.Invalid, "name"},
		{"a long name", user, tokens.Request{Name: strings.Repeat("é", 129)}, fault.Invalid, "name"},
		{"a line break in the name", user, tokens.Request{Name: "a\u2028b"}, fault.Invalid, "name"},
		{"a NUL in the name", user, tokens.Request{Name: "a\x00b"}, fault.Invalid, "name"},
		{"a name that is not UTF-8", user, tokens.Request{Name: "a\xff"}, fault.Invalid, "name"},
		{"too many labels", user, tokens.Request{Name: "x", Labels: many}, fault.Invalid, "labels"},
		{"an empty label", user, tokens.Request{Name: "x", Labels: map[string]string{"": "v"}}, fault.Invalid, "labels"},
		{"a label with an equals sign", user, tokens.Request{Name: "x", Labels: map[string]string{"a=b": "v"}}, fault.Invalid, "labels"},
		{"a long label", user, tokens.Request{Name: "x", Labels: map[string]string{"k": strings.Repeat("v", 257)}}, fault.Invalid, "labels"},
		{"an unprintable label", user, tokens.Request{Name: "x", Labels: map[string]string{"k": "\x1b[0m"}}, fault.Invalid, "labels"},
		{"too many networks", user, tokens.Request{Name: "x", CIDRs: make([]netip.Prefix, 65)}, fault.Invalid, "cidrs"},
		{"a network that is none", user, tokens.Request{Name: "x", CIDRs: make([]netip.Prefix, 1)}, fault.Invalid, "cidrs"},
		{"a scope that does not parse", user, tokens.Request{Name: "x", Scope: []string{"path:/a"}}, fault.Invalid, "scope"},
		{"an empty rule", user, tokens.Request{Name: "x", Scope: []string{""}}, fault.Invalid, "scope"},
		{"too many rules", user, tokens.Request{Name: "x", Scope: strings.Split(strings.Repeat("path:/a:read ", 65), " ")[:65]}, fault.Invalid, "scope"},
	} {
		_, err := c.Tokens.Issue(bg, tt.caller, tt.ask)
		if f := fault.Of(err); f.Kind != tt.want || f.Field != tt.field {
			t.Errorf("Issue() with %s = %v, want a fault of the kind %q about %q", tt.name, err, tt.want, tt.field)
		}
	}
	list, err := listed(c, c.Admin, store.TokenQuery{Limit: 10})
	if err != nil || len(list) != 0 {
		t.Errorf("after refusals there are %d tokens, %v, want 0", len(list), err)
	}
}

// S77: who lacks the right is refused, told which, and it is written down.
func TestIssueNeedsTheScope(t *testing.T) {
	c := newCore(t)
	user := c.User(t, "ann")
	reader := mustPass(t, c.Tokens, issue(t, c, user, tokens.Request{Scope: []string{"latchkey:tokens:read"}}).Secret)
	c.Clock.Advance(time.Second)
	_, err := c.Tokens.Issue(bg, reader, tokens.Request{Name: "x", Scope: []string{"latchkey:tokens:read"}})
	if f := fault.Of(err); f.Kind != fault.Forbidden || f.Missing != "latchkey:tokens:write" {
		t.Errorf("Issue() = %v, want that latchkey:tokens:write is missing", err)
	}
	e := c.Events(t, "token.issue")
	if len(e) != 2 || e[0].Outcome != "refused" || e[0].Detail["missing"] != "latchkey:tokens:write" || e[0].TokenID != reader.TokenID {
		t.Errorf("the events are %+v, want a refusal with what is missing", e)
	}
}

// The limit of live tokens is exact however many ask at once, and ended ones
// do not count.
func TestLimitPerAccount(t *testing.T) {
	c := newCoreWith(t, func(o *tokens.Options) { o.Policy.MaxPerAccount = 10 })
	user := c.User(t, "ann")
	bob := c.Account(t, accounts.NewAccount{Name: "bob", MaxTokens: 3})
	for _, tt := range []struct {
		who  *identity.Identity
		most int64
	}{{user, 10}, {bob, 3}} {
		var given, limited atomic.Int64
		var callers sync.WaitGroup
		for range 40 {
			callers.Go(func() {
				_, err := c.Tokens.Issue(bg, tt.who, tokens.Request{Name: "x", ExpiresIn: of(hour)})
				switch {
				case err == nil:
					given.Add(1)
				case fault.Is(err, fault.Limit):
					limited.Add(1)
				default:
					t.Errorf("Issue() = %v, want a token or the limit", err)
				}
			})
		}
		callers.Wait()
		if given.Load() != tt.most || limited.Load() != 40-tt.most {
			t.Errorf("of 40 calls for %s %d were given a token and %d refused, want %d and %d", tt.who.Name, given.Load(), limited.Load(), tt.most, 40-tt.most)
		}
	}
	c.Clock.Advance(hour)
	issue(t, c, user, tokens.Request{})
}

func TestNoLimitPerAccount(t *testing.T) {
	c := newCoreWith(t, func(o *tokens.Options) { o.Policy.MaxPerAccount = -1 })
	user := c.User(t, "ann")
	for range 20 {
		issue(t, c, user, tokens.Request{})
	}
}

// A token that is told not to be given is not given: no error leaves a token.
func TestIssueWithoutAStore(t *testing.T) {
	c := newCore(t)
	user := c.User(t, "ann")
	for _, methods := range [][]string{{"Holder"}, {"Update"}, nil} {
		c.Tokens.Apply(store.Change{Kind: store.ChangeGroups})
		c.Store.Fail(store.ErrUnavailable, methods...)
		_, err := c.Tokens.Issue(bg, user, tokens.Request{Name: "x"})
		wantFault(t, fmt.Sprint("Issue() while ", methods, " fails"), err, fault.Unavailable)
		c.Store.Heal()
	}
	if list, err := listed(c, user, store.TokenQuery{AccountID: user.AccountID, Limit: 10}); err != nil || len(list) != 0 {
		t.Errorf("there are %d tokens, %v, want 0", len(list), err)
	}
}
